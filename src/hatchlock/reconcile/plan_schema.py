"""The JSON Schema of plans: of what `plan --json` and `show --json` print, and of saved plans. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from hatchlock.address import ResourceKind
from hatchlock.reconcile.planfile import PLAN_FORMAT
from hatchlock.resources.base import KNOWN_AFTER, Action, Privilege

__all__ = ["plan_schema"]

_Schema = Mapping[str, Any]
_TEXT: _Schema = {"type": "string"}
_TEXTS: _Schema = {"type": "array", "items": _TEXT}
_COUNT: _Schema = {"type": "integer", "minimum": 0}
_ADDRESS: _Schema = {"$ref": "#/$defs/address"}


def plan_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12). What a later version adds is no mistake by it; another `format_version` is."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hatchlock plan",
        "description": "What `hatchlock plan --json` prints, and what `plan --out` saves for `apply FILE`.",
        **_object(_PLAN, optional=("notes", "versions", "bindings", "stale")),
        "$defs": {
            "address": {
                "description": "A resource: its kind and its name.",
                "type": "string",
                "pattern": f"^({'|'.join(ResourceKind)}):.+$",
            },
            "step": {"description": "One external effect.", **_object(_STEP)},
            "problem": {
                "description": "What cannot be planned; it and what depends on it are left as they are.",
                **_object({"address": _ADDRESS, "code": _TEXT, "what": _TEXT, "hint": _TEXT}),
            },
            "error": {
                "description": "An error as every command prints it.",
                **_object({"code": _TEXT, "address": _TEXT, "place": _TEXT, "message": _TEXT, "hint": _TEXT}),
            },
        },
    }


def _object(properties: Mapping[str, _Schema], optional: Iterable[str] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": dict(properties)}


def _described(schema: _Schema, description: str) -> _Schema:
    return {**schema, "description": description}


def _mapping(values: _Schema, description: str) -> _Schema:
    return {"type": "object", "additionalProperties": values, "description": description}


def _list(items: _Schema, description: str) -> _Schema:
    return {"type": "array", "items": items, "description": description}


_STEP: Mapping[str, _Schema] = {
    "address": _ADDRESS,
    "action": _described({"enum": list(Action)}, "What is done; replace makes the same thing anew."),
    "cause": _described(_TEXT, "Why, in words."),
    "before": _described(_TEXT, "The key that must still be there when the step begins; empty for nothing."),
    "after": _described(_TEXT, "The key that will be there when it is done; empty for nothing."),
    "details": _mapping(_TEXT, f"What changes, for people; `{KNOWN_AFTER}` where nobody can know it before."),
    "depends_on": _list(_ADDRESS, "The steps that must be done before."),
    "privilege": _described({"enum": list(get_args(Privilege))}, "What it takes."),
    "loss": _described(_TEXT, "What is lost beyond what lock and store can make again; not empty means destructive."),
    "notes": _described(_TEXTS, "Relaxations of the sandbox, what is not pinned or not isolated."),
    "drift": {"type": "boolean", "description": "It puts right what somebody else has changed."},
}

_PLAN: Mapping[str, _Schema] = {
    "format_version": {"const": PLAN_FORMAT},
    "steps": _list({"$ref": "#/$defs/step"}, "In an order in which they could be done one by one."),
    "problems": _list({"$ref": "#/$defs/problem"}, "What cannot be planned."),
    "unchanged": _described(_COUNT, "Resources that are as they should be."),
    "existing": _described(_COUNT, "Resources of the project that exist."),
    "drifted": _list(
        _object({"address": _ADDRESS, "what": _TEXT}), "What somebody else has changed, and that stays as it is."
    ),
    "only": _described(_TEXTS, "The words of --only; empty when the plan is whole."),
    "held": _described(_COUNT, "The generation that the project was rolled back to; 0 for none."),
    "summary": _described(_object(dict.fromkeys(Action, _COUNT)), "How many steps do what."),
    "packages": _object(
        {
            "sources": _mapping(_COUNT, "Packages by source class, each counted once."),
            "privileges": _mapping(_COUNT, "Packages by what they take."),
        }
    ),
    "notes": _list(_object({"address": _TEXT, "what": _TEXT}), "Of `plan`: what people should know."),
    "versions": _object(
        {
            "since": _described(_TEXT, "What the plan goes on from; empty where no version changes."),
            "changes": _list(
                _object({"what": _TEXT, "sign": {"enum": ["+", "-", "~"]}, "before": _TEXT, "after": _TEXT}),
                "Of `plan`: packages, images and archives whose versions it changes.",
            ),
        }
    ),
    "bindings": _mapping(_TEXT, "Of a saved plan: what must be the same when it is applied."),
    "stale": {
        "anyOf": [{"type": "null"}, {"$ref": "#/$defs/error"}],
        "description": "Of `show`: why it cannot be applied any more.",
    },
}
