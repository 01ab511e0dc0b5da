"""Where a server may keep what it writes: what of `sandbox.writable` cannot be, or would be of no use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hatchlock.launch import HOME_INSIDE, place_inside
from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding, KeyPath

__all__ = ["relabel_findings", "writable_findings"]

_MEMORY = ("/tmp", "/run")  # noqa: S108  inside the sandbox
_OF_THE_SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr")


def writable_findings(path: KeyPath, sandbox: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the `writable` paths of a `sandbox` table, besides what is wrong with any target.

    Args:
        path: Where the table is.
        sandbox: As TOML gave it.
    """
    targets = [value for _, value in matches(sandbox, "mounts.*.target") if _is_path(value)]
    seen: list[str] = []
    for at, value in matches(sandbox, "writable.*"):
        if not _is_path(value):
            continue
        what, advice = _problem(value) or _collision(value, targets, seen) or ("", "")
        if what:
            yield Finding(path=(*path, *at), what=what, advice=advice)
        seen.append(value)


def relabel_findings(path: KeyPath, sandbox: dict[str, Any]) -> Iterator[Finding]:
    """Yield the mounts whose label no engine can be asked to change: it takes source and target in one word."""
    for at, mount in matches(sandbox, "mounts.*"):
        if isinstance(mount, dict) and mount.get("relabel"):
            for key in ("source", "target"):
                if ":" in str(mount.get(key, "")):
                    what = "the label of a path with a colon cannot be changed"
                    yield Finding(path=(*path, *at, key), what=what, advice="remove 'relabel', or rename the directory")


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _problem(value: str) -> tuple[str, str] | None:
    normal = place_inside(value)
    if value != normal:
        return f"{value!r} is {normal!r}, written in another way", f"write {normal!r}"
    if ":" in value:
        return "no engine takes a path with a colon", "choose another, such as /data"
    if value == HOME_INSIDE or _is_below(HOME_INSIDE, value):
        return "its home is memory, and new for every session", f"keep a directory of it: {HOME_INSIDE}/.cache"
    if below := next((place for place in _MEMORY if _is_below(value, place)), ""):
        return f"{below} is memory, and new for every session", "choose another, such as /data"
    if below := next((place for place in _OF_THE_SYSTEM if _is_below(value, place)), ""):
        return f"{below} is the system's, and read-only", "choose another, such as /data"
    return None


def _collision(value: str, targets: list[str], seen: list[str]) -> tuple[str, str] | None:
    for others, what in ((targets, "the mount at"), (seen, "the writable path")):
        for other in others:
            normal = place_inside(other)
            if value != normal and not _is_below(value, normal) and not _is_below(normal, value):
                continue
            return f"{value!r} and {what} {other!r} are in each other's place", "keep one of them, or move it"
    return None


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
