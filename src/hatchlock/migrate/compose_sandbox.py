"""What a service of a compose file may do, as a manifest's sandbox."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hatchlock.manifest.checks import relaxations
from hatchlock.migrate.compose_texts import Texts
from hatchlock.migrate.document import Part
from hatchlock.migrate.image_use import Mount
from hatchlock.migrate.model import Left
from hatchlock.migrate.names import server_name

__all__ = ["SANDBOX_KEYS", "sandbox_of"]

_REASON = "taken over from a compose file"
_SOCKETS = re.compile(r"/(?:docker|podman|containerd|finch)\.sock$")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmg]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_TIME = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")
_MEMORY = ("/tmp", "/run", "/dev/shm")  # noqa: S108  inside, where they are memory anyway


def sandbox_of(service: Part, texts: Texts, *, project: str) -> tuple[dict[str, Any], list[Left]]:
    """Return the `sandbox` of a service, with a reason where it needs one, and what of it cannot be carried over.

    What hatchlock forbids by default stays forbidden unless the service asks for more by name: its root is read-only, and it
    has no capabilities. Its network is somebody else's affair.

    Args:
        service: The service.
        texts: Fills its texts.
        project: The name that compose gives to its volumes' project; "" where volumes have their own names alone.

    Raises:
        Unreadable: A key is written in a way that compose does not know.
    """
    found: dict[str, Any] = {}
    left: list[Left] = []
    for key, take in _KEYS.items():
        if part := service.get(key):
            left += take(part, texts, found)
    mounts, writable, lost = _volumes(service, texts, project)
    left += lost
    found |= {key: value for key, value in {"mounts": mounts, "writable": writable}.items() if value}
    return found | ({"reason": _REASON} if relaxations(found) else {}), left


_Take = Callable[[Part, Texts, dict[str, Any]], list[Left]]


def _memory(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    if size := _size(texts.of(part)):
        found["memory"] = size
        return []
    return [part.left("that is no size")]


def _tmp(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    if size := _size(texts.of(part)):
        found["tmp"] = size
    return []


def _cpus(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    return _number(part, texts, found, "cpus", float)


def _pids(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    return _number(part, texts, found, "pids", int)


def _number(part: Part, texts: Texts, found: dict[str, Any], key: str, kind: type[int | float]) -> list[Left]:
    try:
        number = kind(texts.of(part))
    except ValueError:
        return [part.left("that is no number")]
    if not 0 < number < math.inf:
        return [part.left("a server always has a limit")]
    found[key] = number
    return []


def _ulimits(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    left: list[Left] = []
    for limit in part.members():
        hard = limit.get("hard") if isinstance(limit.value, Mapping) else limit
        if limit.key == "nofile" and hard:
            left += _number(hard, texts, found, "files", int)
        elif limit.key == "nproc" and hard and "pids" not in found:
            left += _number(hard, texts, found, "pids", int)
        else:
            left.append(limit.left("hatchlock has no such limit"))
    return left


def _deploy(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    left: list[Left] = []
    takes: Mapping[str, _Take] = {"memory": _memory, "cpus": _cpus, "pids": _pids}
    for member in part.members():
        if member.key != "resources":
            left.append(member.left("a server runs once, on this machine"))
            continue
        for kind in member.members():
            for item in kind.members():
                take = takes.get(item.key) if kind.key == "limits" else None
                left += take(item, texts, found) if take else [item.left("hatchlock has limits, and reserves nothing")]
    return left


def _user(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    user = texts.of(part)
    if re.fullmatch(r"0*[1-9]\d*(:0*[1-9]\d*)?", user):
        found["user"] = user
        return []
    return [part.left("no server runs as root, or as a name that only its image knows")]


def _capabilities(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    left: list[Left] = []
    for item in part.each():
        name = texts.of(item).upper().removeprefix("CAP_")
        if name == "ALL":
            left.append(Left(line=item.line, what="`cap_add`: ALL; name the capabilities that it needs"))
        else:
            found.setdefault("capabilities", []).append(name)
    return left


def _security(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    left: list[Left] = []
    for item in part.each():
        key, _, value = re.sub(r"[=:]", " ", texts.of(item), count=1).partition(" ")
        match (key, value):
            case ("no-new-privileges", _):
                pass
            case ("seccomp", "unconfined"):
                found["seccomp"] = value
            case ("apparmor", _) if value != "docker-default":
                found["apparmor"] = value
            case ("label", "disable"):
                found["selinux"] = value
            case ("label", _) if value.startswith("type:"):
                found["selinux"] = value.removeprefix("type:")
            case ("apparmor", _):
                pass
            case _:
                what = f"`security_opt`: {key} {value}".rstrip() + ": write it as a key of the sandbox"
                left.append(Left(line=item.line, what=what))
    return left


def _signal(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    signal = texts.of(part).upper()
    found["stop-signal"] = signal if signal.startswith("SIG") else f"SIG{signal}"
    return []


def _grace(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    match = _TIME.fullmatch(texts.of(part))
    if match is None or not any(match.groups()):
        return [part.left("that is no time")]
    found["stop-grace"] = float(match["s"] or 0) + 60 * float(match["m"] or 0) + 3600 * float(match["h"] or 0)
    return []


def _tmpfs(part: Part, texts: Texts, found: dict[str, Any]) -> list[Left]:
    left: list[Left] = []
    for item in (part,) if isinstance(part.value, str) else part.each():
        path, _, options = texts.of(item).partition(":")
        size = dict(option.partition("=")[::2] for option in options.split(",")).get("size", "")
        if path not in _MEMORY:
            what = f"`tmpfs`: {path}; a directory of sandbox.writable can be written, and keeps what is in it"
            left.append(Left(line=item.line, what=what))
        elif path == _MEMORY[0] and (tmp := _size(size)):
            found["tmp"] = tmp
    return left


def _privileged(part: Part, _texts: Texts, _found: dict[str, Any]) -> list[Left]:
    return [part.left("nothing runs privileged; name the capabilities that it needs")] if part.value is True else []


_KEYS: Mapping[str, _Take] = {
    "mem_limit": _memory,
    "shm_size": _tmp,
    "cpus": _cpus,
    "pids_limit": _pids,
    "ulimits": _ulimits,
    "deploy": _deploy,
    "user": _user,
    "cap_add": _capabilities,
    "privileged": _privileged,
    "security_opt": _security,
    "stop_signal": _signal,
    "stop_grace_period": _grace,
    "tmpfs": _tmpfs,
}
SANDBOX_KEYS = frozenset({*_KEYS, "volumes"})
"""The keys of a service that are read here."""


def _volumes(service: Part, texts: Texts, project: str) -> tuple[list[dict[str, str]], list[str], list[Left]]:
    mounts: list[dict[str, str]] = []
    writable: list[str] = []
    left: list[Left] = []
    for item, mount in _each_volume(service.get("volumes"), texts):
        if mount is None:
            left.append(Left(line=item.line, what="`volumes`: only files of this machine and volumes are carried over"))
        elif _SOCKETS.search(mount.source):
            what = f"`volumes`: {mount.source}; whoever reaches a container engine owns the machine"
            left.append(Left(line=item.line, what=what))
        elif mount.source.startswith(("/", ".", "~")):
            source = texts.around.path(mount.source)
            mounts.append({"source": source, "target": mount.target, "mode": "ro" if mount.read_only else "rw"})
        elif mount.target not in _MEMORY:
            writable.append(mount.target)
            left += _data(service, item, mount, project)
    return mounts, writable, left


def _data(service: Part, item: Part, mount: Mount, project: str) -> Iterator[Left]:
    """The directory is the server's again; what is in it so far stays in the engine's volume."""
    if mount.source:
        name = f"{project}_{mount.source}" if project else mount.source
        yield Left(
            line=item.line,
            what=f"`volumes`: what the volume {mount.source} holds stays there; to copy it, write [[adopt]] with "
            f'address = "volume:{server_name(service.key)}{mount.target}" and name = "{name}"',
        )


def _each_volume(part: Part | None, texts: Texts) -> Iterator[tuple[Part, Mount | None]]:
    for item in part.each() if part else ():
        if not isinstance(item.value, Mapping):
            yield item, Mount.parse(texts.of(item))
            continue
        kind, source, read_only = item.get("type"), item.get("source"), item.get("read_only")
        if kind and kind.text() not in {"bind", "volume"}:
            yield item, None
            continue
        yield (
            item,
            Mount(
                source=texts.of(source) if source else "",
                target=texts.of(item.need("target")),
                read_only=bool(read_only and read_only.flag()),
            ),
        )


def _size(text: str) -> str:
    """Return a size as a manifest has it, never less; "" if it is none."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return ""
    size = math.ceil(float(match["number"]) * _UNITS[match["unit"].lower()])
    unit = next((unit for unit in ("g", "m", "k") if size and size % _UNITS[unit] == 0), "k")
    return f"{math.ceil(size / _UNITS[unit])}{unit}" if size else ""
