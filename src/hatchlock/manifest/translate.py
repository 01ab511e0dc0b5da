"""The schema library's errors, in our words and with the paths of the document."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from hatchlock.manifest.problem import Finding, KeyPath, did_you_mean
from hatchlock.manifest.wrong import Wrong

__all__ = ["schema_findings"]

_WANTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
_GIVEN = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
    dt.date: "a date",
    dt.datetime: "a date and time",
    dt.time: "a time",
}
_ELSEWHERE = {
    "privileged": "there is no privileged mode: name the `capabilities` that it needs",
    "no-new-privileges": "leave it out: it always holds",
    "init": "leave it out: every server has one",
    "cap-add": "write capabilities = […]",
    "cap-drop": "leave it out: all are dropped but those of `capabilities`",
    "volumes": "write `mounts` for files of this machine, `writable` for data of the server",
}
"""Keys of a sandbox in other tools."""
_A_WORD = "a word"
"""The tag of a union's side that is no table (`schema_base.word_or_table`)."""
_LONG = 80
_NUMBERS = {
    "int_type": re.compile(r"([0-9]{1,9})"),
    "float_type": re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)(?: ?s)?"),
    "bool_type": re.compile(r"(true|false)"),
}
"""What stands in quotes and is meant without them, by what is wanted."""
_QUOTED = re.compile(r"'([^']*)'")


def schema_findings(model: type[BaseModel], document: dict[str, Any], *, overlay: bool = False) -> list[Finding]:
    """Return everything in which a document departs from its schema.

    Args:
        model: The schema.
        document: What `tomllib` gave.
        overlay: Say of an unknown key that an overlay cannot hold it.
    """
    try:
        model.model_validate(document)
    except ValidationError as problems:
        return [_finding(error, model, document, overlay=overlay) for error in problems.errors(include_url=False)]
    return []


def _finding(error: Any, model: type[BaseModel], document: dict[str, Any], *, overlay: bool) -> Finding:
    kind, context = str(error["type"]), error.get("ctx", {})
    path = _document_path(error["loc"], document)
    wrong = context.get("error")
    if isinstance(wrong, Wrong):
        return Finding(path=path, what=wrong.what, advice=wrong.advice)
    if kind == "extra_forbidden":
        return _unknown_key(path, model, overlay=overlay)
    if kind == "missing":
        return _missing(path, error["loc"][-1])
    if kind == "literal_error":
        choices = _QUOTED.findall(context["expected"])
        given = _written(error["input"])
        what = f"{given} is none of {', '.join(choices)}" if choices[1:] else f'it must be "{choices[0]}", not {given}'
        return Finding(
            path=path,
            what=what,
            advice=did_you_mean(str(error["input"]), choices, _as_list(path, error["input"])),
        )
    if kind in _WANTED:
        wanted = "true, false or a table" if kind == "bool_type" and error["loc"][-1] == _A_WORD else _WANTED[kind]
        what = f"it must be {wanted}, not {_GIVEN[type(error['input'])]}"
        advice = _as_table(path, error) or _as_words(path, error) or _with_unit(path, error["input"])
        advice = (
            advice or _in_quotes(kind, error["input"]) or _bare(path, kind, error["input"]) or _as_lines(path, error)
        )
        return Finding(path=path, what=what, advice=advice)
    return Finding(path=path, what=_limit(kind, context) or str(error["msg"]).removeprefix("Input ").lower())


def _written(value: object) -> str:
    """Return a value as it stands in the document."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _as_list(path: KeyPath, given: object) -> str:
    """A network of one host is a list too."""
    return f'write ["{given}"]' if path[-1] == "network" and isinstance(given, str) and ":" in given else ""


def _as_table(path: KeyPath, error: Any) -> str:
    """A list of tables has two brackets around its name."""
    is_one = len(path) == 1 and error["type"] == "list_type" and isinstance(error["input"], dict)
    return f"write [[{path[0]}]]" if is_one else ""


def _as_words(path: KeyPath, error: Any) -> str:
    """A list of texts has its brackets, and of a command line each word is one of them."""
    given = error["input"]
    if error["type"] != "list_type" or not isinstance(given, str) or len(given) > _LONG:
        return ""
    words = given.split() if path[-1] in {"args", "command"} else [given]
    return f"write {path[-1]} = {json.dumps(words, ensure_ascii=False)}"


def _with_unit(path: KeyPath, given: object) -> str:
    """A size has a unit, and so is text."""
    is_size = path[-1] in {"memory", "swap", "tmp", "log-size"} and type(given) is int
    return f'write "{given}m" for {given} MiB' if is_size else ""


def _in_quotes(kind: str, given: object) -> str:
    """A text that looks like a number is still one; what it would be is not said: 3.10 is 3.1 to TOML."""
    return "put it in quotes" if kind == "string_type" and isinstance(given, int | float) else ""


def _bare(path: KeyPath, kind: str, given: object) -> str:
    """A number has no quotes, and here no unit: times are seconds."""
    number = _NUMBERS.get(kind)
    match = number.fullmatch(given) if number and isinstance(given, str) else None
    return f"write {path[-1]} = {match[1]}" if match else ""


def _as_lines(path: KeyPath, error: Any) -> str:
    """What has names is a table, and what has none a list."""
    key, is_list = path[-1], isinstance(error["input"], list)
    if error["type"] == "list_type" and isinstance(error["input"], dict):
        return f'write {key} = ["…"]'
    if is_list and key == "client":
        return "write clients = […]; `client.NAME` has an application's own fields"
    return f'write {key}.NAME = "…", a line for each' if is_list and key in {"env", "headers"} else ""


def _unknown_key(path: KeyPath, model: type[BaseModel], *, overlay: bool) -> Finding:
    *table, key = path
    siblings = sorted(set(_siblings(model, tuple(table))))
    if overlay:
        allowed = f"here it may hold only {', '.join(siblings)}; the rest belongs into the manifest"
        return Finding(
            path=path, what="an overlay cannot hold this key", advice=did_you_mean(str(key), siblings, allowed)
        )
    if key in _ELSEWHERE and table[-1:] == ["sandbox"]:
        return Finding(path=path, what="unknown key", advice=_ELSEWHERE[str(key)])
    return Finding(
        path=path,
        what="unknown key",
        advice=did_you_mean(str(key), siblings, f"its keys are {', '.join(siblings)}"),
    )


def _missing(path: KeyPath, key: str | int) -> Finding:
    table = f"[{key}]" if not path else repr(key)
    return Finding(
        path=path, what=f"{table} is missing", advice=f'write {key} = "…"' if path else "run `hatchlock init`"
    )


def _limit(kind: str, context: dict[str, Any]) -> str:
    sentences = {
        "greater_than": "it must be greater than {gt}",
        "greater_than_equal": "it must be at least {ge}",
        "less_than": "it must be less than {lt}",
        "less_than_equal": "it must be at most {le}",
        "finite_number": "it must be a finite number",
        "string_too_short": "it must not be empty",
        "too_short": "it must not be empty",
    }
    return sentences.get(kind, "").format(**context)


def _document_path(location: tuple[str | int, ...], document: Any) -> KeyPath:
    """Drop the parts of the library's path that name its own types rather than keys of the document."""
    path: list[str | int] = []
    value = document
    for part in location:
        inside = (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int))
        if inside:
            path.append(part)
            value = value[part]
    return tuple(path)


def _siblings(model: type[BaseModel], table: KeyPath) -> Iterator[str]:
    schema = model.model_json_schema(by_alias=True)
    nodes = [schema]
    for part in table:
        nodes = [below for node in nodes for below in _below(schema, node, part)]
    for node in nodes:
        yield from _resolved(schema, node).get("properties", {})


def _below(schema: dict[str, Any], node: dict[str, Any], part: str | int) -> Iterator[dict[str, Any]]:
    for choice in _choices(schema, node):
        named = choice.get("properties", {}).get(part)
        any_key = (*choice.get("patternProperties", {}).values(), choice.get("additionalProperties"))
        for below in (choice.get("items"),) if isinstance(part, int) else (named,) if named else any_key:
            if isinstance(below, dict):
                yield from _choices(schema, below)


def _choices(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    node = _resolved(schema, node)
    for choice in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _choices(schema, choice)
    yield node


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref", "")
    found: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]] if reference else node
    return found
