"""The schema library's errors about JSON documents, in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from hatchlock.manifest.problem import Finding, KeyPath, did_you_mean
from hatchlock.manifest.wrong import Wrong

__all__ = ["UNKNOWN_KEY", "schema_findings"]

UNKNOWN_KEY = "unknown key"
"""What is said of a key that the schema does not have."""
_WANTED = {
    "string_type": "a string",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
_GIVEN = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_QUOTED = re.compile(r"'([^']*)'")


def schema_findings(model: type[BaseModel], document: dict[str, Any]) -> list[Finding]:
    """Return everything in which a document departs from its schema.

    Args:
        model: The schema.
        document: What `json` gave.
    """
    try:
        model.model_validate(document)
    except ValidationError as problems:
        return [_finding(error, model) for error in problems.errors(include_url=False)]
    return []


def _finding(error: Any, model: type[BaseModel]) -> Finding:
    kind, path, context = str(error["type"]), tuple(error["loc"]), error.get("ctx", {})
    wrong = context.get("error")
    if isinstance(wrong, Wrong):
        return Finding(path=path, what=wrong.what, advice=wrong.advice)
    if kind == "extra_forbidden":
        known = sorted(_keys(model, path[:-1]))
        advice = did_you_mean(str(path[-1]), known, f"its keys are {', '.join(known)}")
        return Finding(path=path, what=UNKNOWN_KEY, advice=advice)
    if kind == "missing":
        return Finding(path=path[:-1], what=f"{str(path[-1])!r} is missing", advice=f'write "{path[-1]}": …')
    if kind == "literal_error":
        choices = _QUOTED.findall(context["expected"])
        shown = f"{error['input']!r} is not {' or '.join(choices)}"
        return Finding(path=path, what=shown, advice=did_you_mean(str(error["input"]), choices))
    if kind == "too_short":
        return Finding(path=path, what="it must not be empty")
    wanted = _WANTED.get(kind, "something else")
    return Finding(path=path, what=f"it must be {wanted}, not {_GIVEN[type(error['input'])]}")


def _keys(model: type[BaseModel], path: KeyPath) -> Iterator[str]:
    schema = model.model_json_schema(by_alias=True)
    node = schema
    for part in path:
        node = _resolved(schema, node)
        node = node["items"] if isinstance(part, int) else node["properties"][part]
    yield from _resolved(schema, node)["properties"]


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]
    reference = choices[0].get("$ref", "")
    found: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]] if reference else choices[0]
    return found
