"""Plans as JSON: what `plan --json` prints, and what `plan --out` saves for `apply FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

from hatchlock.address import Address
from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, read_optional
from hatchlock.reconcile.plan import Drifted, Plan
from hatchlock.resources.base import Action, Privilege, Problem, Step
from hatchlock.resources.package_counts import PackageCounts

__all__ = ["PLAN_FORMAT", "BadPlanFile", "SavedPlan", "plan_to_dict", "read_plan", "write_plan"]

PLAN_FORMAT = 1


@dataclass(kw_only=True, eq=False)
class BadPlanFile(HatchlockError):
    """A file is no saved plan of this version."""

    code: ClassVar[str] = "bad-plan-file"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} is not a saved plan: {self.why}"

    def _hint(self) -> str:
        return "make one with `hatchlock plan --out FILE`"


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedPlan:
    """A plan with what it was made for.

    Attributes:
        plan: The plan.
        bindings: What must be the same when it is applied, name -> value: the project, its directory, and the digests of
            manifest, overlay and lock.
    """

    plan: Plan
    bindings: Mapping[str, str]


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """Return a plan as a JSON document with its `format_version`."""
    return {
        "format_version": PLAN_FORMAT,
        "steps": [_to_dict(step) for step in plan.steps],
        "problems": [_to_dict(problem) for problem in plan.problems],
        "unchanged": plan.unchanged,
        "existing": plan.existing,
        "drifted": [_to_dict(item) for item in plan.drifted],
        "only": list(plan.only),
        "held": plan.held,
        "summary": {action.value: plan.count(action) for action in Action},
        "packages": asdict(plan.packages),
    }


def write_plan(path: Path, saved: SavedPlan) -> None:
    """Save a plan; the file may be read by its owner only.

    Raises:
        PermissionProblem: The file cannot be written.
    """
    document = {**plan_to_dict(saved.plan), "bindings": dict(saved.bindings)}
    atomic_write(path, json.dumps(document, indent=2).encode() + b"\n")


def read_plan(path: Path) -> SavedPlan:
    """Read a saved plan.

    Raises:
        BadPlanFile: There is none at that path, or it is not of this version.
    """
    try:
        data = read_optional(path)
    except IsADirectoryError as error:
        raise BadPlanFile(path=str(path), why="it is a directory") from error
    if data is None:
        raise BadPlanFile(path=str(path), why="there is no such file")
    try:
        document = json.loads(data)
        if document["format_version"] != PLAN_FORMAT:
            raise BadPlanFile(path=str(path), why=f"its format is {document['format_version']}, not {PLAN_FORMAT}")
        plan = Plan(
            steps=tuple(map(_step, _list(document["steps"]))),
            problems=tuple(Problem(**_texts_with_address(item)) for item in _list(document["problems"])),
            unchanged=_count(document["unchanged"]),
            existing=_count(document["existing"]),
            drifted=tuple(Drifted(**_texts_with_address(item)) for item in _list(document.get("drifted", []))),
            only=tuple(map(_text, _list(document.get("only", [])))),
            held=_count(document.get("held", 0)),
            packages=_packages(document["packages"]),
        )
        return SavedPlan(plan=plan, bindings={name: _text(value) for name, value in document["bindings"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadPlanFile(path=str(path), why=_in_words(error)) from error


def _in_words(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"it is no JSON ({error})"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    return "it has something that no plan has"


def _to_dict(item: Step | Problem | Drifted) -> dict[str, Any]:
    document = asdict(item) | {"address": str(item.address)}
    if isinstance(item, Step):
        document["depends_on"] = [str(address) for address in item.depends_on]
    return document


def _step(document: Mapping[str, Any]) -> Step:
    values = {**document, "address": Address.parse(document["address"])}
    values["action"] = Action(values["action"])
    values["depends_on"] = tuple(map(Address.parse, _list(values["depends_on"])))
    values["details"] = {name: _text(value) for name, value in values["details"].items()}
    values["notes"] = tuple(map(_text, _list(values["notes"])))
    values["privilege"] = _privilege(values["privilege"])
    values["drift"] = _flag(values.get("drift", False))
    for name in ("cause", "before", "after", "loss"):
        _text(values[name])
    return Step(**values)


def _texts_with_address(document: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: _text(value) for name, value in document.items()}
    return {**texts, "address": Address.parse(texts["address"])}


def _packages(document: Mapping[str, Any]) -> PackageCounts:
    counts = {name: {key: _count(value) for key, value in found.items()} for name, found in document.items()}
    for name in counts["privileges"]:
        _privilege(name)
    if counts["sources"] and not any(counts["privileges"].values()):
        raise ValueError(document)
    return PackageCounts(**counts)


def _privilege(value: Any) -> Privilege:
    if value not in get_args(Privilege):
        raise ValueError(value)
    found: Privilege = value
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value
