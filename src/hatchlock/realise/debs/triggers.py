"""Triggers of dpkg, deb-triggers(5): which a package waits for or sets off, and dpkg's records of who waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hatchlock.realise.debs.contents import UnpackedDeb
from hatchlock.realise.debs.package_file import Control
from hatchlock.realise.tree import Entry

__all__ = ["TRIGGERS", "Trigger", "interest_records", "triggers_of"]

TRIGGERS = "var/lib/dpkg/triggers"
_OF_FILES = f"{TRIGGERS}/File"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """A line of a package's `triggers`.

    Attributes:
        name: Of the trigger; that of a file trigger is a path.
        is_interest: Whether the package waits for it; else it sets it off.
        awaits: Whether whoever sets it off waits for its end.
    """

    name: str
    is_interest: bool
    awaits: bool


def triggers_of(control: Control) -> tuple[Trigger, ...]:
    """Return the triggers that a package declares; lines of unknown kinds are passed over."""
    found = []
    for line in control.members.get("triggers", b"").decode(errors="replace").splitlines():
        words = line.partition("#")[0].split()
        kind, _, way = words[0].partition("-") if words else ("", "", "")
        if len(words) > 1 and kind in {"interest", "activate"}:
            found.append(Trigger(name=words[1], is_interest=kind == "interest", awaits=way != "noawait"))
    return tuple(found)


def interest_records(debs: Iterable[UnpackedDeb], files: Mapping[str, bytes]) -> list[Entry]:
    """Return dpkg's records of who waits for triggers, where the layer changes them.

    Args:
        debs: The packages of the layer.
        files: The content of the base's records.
    """
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    names: set[str] = set()
    for deb in debs:
        is_same = deb.control.field("Multi-Arch") == "same"
        name = f"{deb.name}:{deb.architecture}" if is_same else deb.name
        names |= {name, f"{name}/noawait"}
        for trigger in triggers_of(deb.control):
            if trigger.is_interest:
                who = name if trigger.awaits else f"{name}/noawait"
                is_path = trigger.name.startswith("/")
                waiting[_OF_FILES if is_path else f"{TRIGGERS}/{trigger.name}"].append(
                    f"{trigger.name} {who}" if is_path else who
                )
    own = [path for path in files if path.startswith(f"{TRIGGERS}/")]
    found = {path: _lines(files.get(path, b""), names, waiting[path]) for path in sorted({*own, *waiting})}
    return [Entry(path=path, content=content) for path, content in found.items() if content != files.get(path)]


def _lines(content: bytes, names: set[str], added: Sequence[str]) -> bytes:
    """Return a record with the lines of these packages in their newest form."""
    kept = [line for line in content.decode().splitlines() if line.split(" ")[-1] not in names or line in added]
    new = [line for line in dict.fromkeys(added) if line not in kept]
    return "".join(f"{line}\n" for line in (*kept, *new)).encode()
