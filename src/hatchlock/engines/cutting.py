"""Containers of a server that is not trusted any more: frozen, cut off, looked at, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hatchlock.engines.api import Container, Engine, EngineError
from hatchlock.engines.trees import written_below

__all__ = ["Seen", "cut_off", "look_into"]

_KINDS = {0: "changed", 1: "added", 2: "deleted"}
_NO_NETWORKS = frozenset({"none", "host"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was found of a container, without anything that could be a secret: no variables, no arguments.

    Attributes:
        id: 64 hex digits.
        name: Its name.
        image: The engine's name for the content of its image.
        state: What it was doing.
        networks: What it was connected to.
        changes: Path -> "changed", "added" or "deleted", of its own file system.
        written: What was in its memory (`engines.trees.Written`), where its engine is this machine's.
        unknown: What could not be found out, as sentences.
    """

    id: str
    name: str
    image: str
    state: str
    networks: tuple[str, ...] = ()
    changes: Mapping[str, str] = field(default_factory=dict)
    written: tuple[Mapping[str, Any], ...] = ()
    unknown: tuple[str, ...] = ()


def cut_off(engine: Engine, container: Container) -> tuple[str, ...]:
    """Freeze a container, or else kill it, and take it off its networks; return what these were.

    A network that is another container's goes with that one.

    Raises:
        EngineError: The engine neither pauses nor kills it.
        EngineUnreachable: The engine does not answer.
    """
    place = f"/containers/{quote(container.id)}"
    try:
        engine.ask("POST", f"{place}/pause")
    except EngineError:
        engine.kill(container.id)  # it has ended, or its engine cannot freeze
    facts = engine.look_up(f"{place}/json") or {}
    names = tuple(sorted((facts.get("NetworkSettings") or {}).get("Networks") or {}))
    for name in names:
        if name not in _NO_NETWORKS:
            with contextlib.suppress(EngineError):  # it is frozen, and removed in the end
                engine.ask("POST", f"/networks/{quote(name)}/disconnect", {"Container": container.id, "Force": True})
    return names


def look_into(engine: Engine, container: Container, networks: tuple[str, ...], places: Iterable[str]) -> Seen:
    """Return what can be found out of a container before it is removed.

    Args:
        engine: Where it is.
        container: It.
        networks: What it was connected to.
        places: Absolute paths inside that are memory.

    Raises:
        EngineUnreachable: The engine does not answer.
    """
    unknown: list[str] = []
    changes: dict[str, str] = {}
    try:
        found = engine.look_up(f"/containers/{quote(container.id)}/changes") or []
        changes = {str(item["Path"]): _KINDS.get(item["Kind"], "changed") for item in found}
    except EngineError as error:
        unknown.append(f"what it has changed in its file system: {error}")
    root = _root(engine, container)
    if root is None:
        unknown.append("what it keeps in memory: its engine is not this machine's, or only root may look")
    return Seen(
        id=container.id,
        name=container.name,
        image=container.image,
        state=container.state,
        networks=networks,
        changes=dict(sorted(changes.items())),
        written=tuple(asdict(item) for item in written_below(root, places)) if root else (),
        unknown=tuple(unknown),
    )


def _root(engine: Engine, container: Container) -> Path | None:
    """Return a container's root as this machine sees it; an engine elsewhere counts its processes by itself."""
    try:
        pid = int(engine.inspect(container.id)["State"]["Pid"])
        if not pid or container.id not in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
            return None
        root = Path(f"/proc/{pid}/root")
        root.stat()
    except (EngineError, KeyError, TypeError, ValueError, OSError):
        return None
    return root
