"""What a sandbox has stopped, in words, and the lines of the manifest that would permit it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Literal

from hatchlock.launch import WORKSPACE, LaunchRecord, Mount, Sandbox, is_below, size_in_bytes

__all__ = [
    "Denial",
    "DenialKind",
    "Report",
    "advice",
    "changes",
    "changes_of",
    "is_host",
    "permit",
    "sentence",
    "toml_table",
]

DenialKind = Literal["network", "write", "memory", "processes", "files", "space", "mount", "ownership", "system-call"]
_OTHERS_PORT = "443"
_NO_PLACE_FOR_DATA = (
    *(
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib32",
        "/lib64",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
    ),
    *("/srv", "/sys", "/usr", "/var", "/var/lib", "/var/log", "/var/cache", "/mnt", "/media"),
)
"""Directories that a volume would hide, or that are too much to be one server's data."""
_SCRIPTS = (".py", ".js", ".mjs", ".cjs", ".jar")
"""How arguments end that are a program; what else is a path among them may well be data."""
_PROGRAMS = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/sys", "/dev", "/opt/hatchlock")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Denial:
    """One thing that a server tried, or needed, and did not get.

    Attributes:
        kind: Of what sort it is.
        what: What it was: `api.example.com:443` (or without a port, or "" where nobody said), a path (with a slash at its end
            if it is known to be a directory), the limit that it met (`512m`, `128`), a system call and its object. A
            stranger's text.
        at: Where in the server's own code it was, `/path/module.py:12`, if it said so. No part of what it was.
    """

    kind: DenialKind
    what: str
    at: str = field(default="", compare=False)


Report = Callable[[Denial], None]
"""Takes a denial, from any thread; the same one is told once."""


def sentence(denial: Denial, server: str) -> str:
    """Return what was stopped, as a sentence without a full stop; what is not printable in it is `?`."""
    what = _printable(denial.what)
    texts: dict[DenialKind, str] = {
        "network": f"was not allowed to reach {what or 'another host (it does not say which)'}",
        "write": f"was not allowed to write to {what or 'a file (it does not say which)'}",
        "memory": f"needed more than its {what} of memory",
        "processes": f"wanted more than its {what} processes and threads",
        "files": f"wanted more than its {what} open files",
        "space": f"has filled its temporary space of {what}",
        "mount": f"looked for {what}, which this machine has and its sandbox has not",
        "ownership": f"was not allowed to use {what}, which belongs to another user",
        "system-call": f"was not allowed to {what}",
    }
    where = f" ({_printable(denial.at)})" if denial.at else ""
    return f"{server} {texts[denial.kind]}{where}"


def permit(denial: Denial, record: LaunchRecord) -> str:
    """Return the lines of the manifest that would permit a denial, as TOML, with everything that the profile has already.

    Args:
        denial: What was stopped.
        record: The server's launch record, as it was applied.

    Returns:
        A `[servers.NAME.sandbox]` table with the keys that change, or "" where no key of a manifest permits it (`advice`).
        `reason = "…"` is left to the user; a profile that has one keeps it.
    """
    return toml_table(record, changes(denial, record))


def toml_table(record: LaunchRecord, values: Mapping[str, object], *, reason: bool = True) -> str:
    """Return a `[servers.NAME.sandbox]` table with these keys, as TOML, and a place for the reason; "" for no keys.

    Args:
        record: The server's launch record: mounts below its directory are written relative to that.
        values: Field of `Sandbox` -> value.
        reason: Whether they need one, which a profile may have already.
    """
    if not values:
        return ""
    lines = [f"{name.replace('_', '-')} = {_toml(value, record.directory)}" for name, value in values.items()]
    left = ('reason = "…"',) if reason and not record.sandbox.reason else ()
    return "\n".join((f"[servers.{record.server}.sandbox]", *lines, *left))


def advice(denial: Denial, server: str) -> str:
    """Return what helps besides the lines of `permit`, as a clause; "" for nothing."""
    if denial.kind == "network":
        return _advice_on_hosts(denial.what, server)
    if denial.kind == "write" and not denial.what:
        return f"`hatchlock probe {server} --learn` says where it writes"
    texts: dict[DenialKind, str] = {
        "write": "look for an option or a variable by which it writes somewhere else, to its home for example",
        "ownership": "open it to others, `chmod o+rX`, or `o+rwX` to write, which is the only way if root starts the server",
        "system-call": "it runs as a user of its own without capabilities: look for an option by which it does without",
    }
    return texts.get(denial.kind, "")


def _advice_on_hosts(what: str, server: str) -> str:
    if not what:
        return f"`hatchlock probe {server} --learn` says which hosts it asks for"
    if _is_address(what):
        return "a list holds names and no addresses: let it use the host's name"
    return "" if _has_port(what) else f"it did not say the port: {_OTHERS_PORT} is a guess"


def changes(denial: Denial, record: LaunchRecord) -> dict[str, object]:
    """Return the fields of the profile that would permit a denial, with their new values; empty where none does."""
    what, sandbox = denial.what, record.sandbox
    permits: dict[DenialKind, Callable[[], dict[str, object]]] = {
        "network": lambda: _network(what, sandbox),
        "write": lambda: _write(what, record),
        "memory": lambda: {"memory": _doubled(sandbox.memory)},
        "space": lambda: {"tmp": _doubled(sandbox.tmp)},
        "processes": lambda: {"pids": sandbox.pids * 2},
        "files": lambda: {"files": sandbox.files * 2},
        "mount": lambda: {"mounts": (*sandbox.mounts, Mount(source=what, target=what))},
        "ownership": lambda: {"run_as": "host"} if sandbox.run_as == "user" else {},
        "system-call": dict,
    }
    return permits[denial.kind]()


def changes_of(denials: Iterable[Denial], record: LaunchRecord) -> dict[str, object]:
    """Return the fields of the profile that would permit all of these, with their new values."""
    values: dict[str, object] = {}
    for denial in denials:
        sandbox = replace(record.sandbox, **values)  # type: ignore[arg-type]  # fields by name
        values |= changes(denial, replace(record, sandbox=sandbox))
    return values


def _has_port(what: str) -> bool:
    _, colon, port = what.rpartition(":")
    return bool(colon) and port.isdecimal()


def _network(what: str, sandbox: Sandbox) -> dict[str, object]:
    wanted = what if _has_port(what) else f"{what}:{_OTHERS_PORT}"
    if not is_host(what) or _is_address(what) or sandbox.network in {("internet",), ("host",)}:
        return {}
    known = () if sandbox.network == ("none",) else sandbox.network
    return {"network": (*known, wanted)}


def is_host(what: str) -> bool:
    """Whether a stranger's text is a name that a list of hosts could have, with or without a port."""
    return (
        bool(what)
        and what.isascii()
        and what.replace(".", "").replace("-", "").replace("_", "").replace(":", "").isalnum()
    )


def _is_address(what: str) -> bool:
    host = what.rpartition(":")[0] or what
    return host.replace(".", "").isdecimal() or ":" in host


def _write(path: str, record: LaunchRecord) -> dict[str, object]:
    sandbox = record.sandbox
    mount = _mount_of(path, sandbox.mounts)
    if mount is not None:
        if mount.mode == "rw":
            return {}
        opened = replace(mount, mode="rw")
        return {"mounts": tuple(opened if item is mount else item for item in sandbox.mounts)}
    directory = _data_directory(path)
    if not directory or any(is_below(directory, place) for place in sandbox.writable) or _hides(directory, record):
        return {}
    inner = [place for place in sandbox.writable if not is_below(place, directory)]
    return {"writable": (*inner, directory)}


def _hides(directory: str, record: LaunchRecord) -> bool:
    """Whether a volume there would hide the server's own program, or would have to be made inside of it."""
    programs = [word for index, word in enumerate(record.argv) if not index or word.endswith(_SCRIPTS)]
    own = (*programs, *record.read_only_paths, *filter(None, (record.cwd,)))
    return any(is_below(path, directory) for path in own) or any(
        is_below(directory, path) for path in record.read_only_paths
    )


def _mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    around = [mount for mount in mounts if is_below(path, mount.target)]
    return max(around, key=lambda mount: len(mount.target), default=None)


def _data_directory(path: str) -> str:
    """Return the directory that has to keep what a server writes to `path`; "" where a volume would hide the system."""
    name = path.rstrip("/")
    if not name.isprintable() or not name or any(is_below(name, place) for place in _PROGRAMS):
        return ""
    parent = str(PurePosixPath(name).parent)
    if not path.endswith("/") and parent not in _NO_PLACE_FOR_DATA:
        return parent
    # a name with a suffix is a file, and a directory in its place would not help
    is_file = not path.endswith("/") and bool(PurePosixPath(name).suffix)
    return "" if name in _NO_PLACE_FOR_DATA or is_file else name


def _doubled(size: str) -> str:
    amount = size_in_bytes(size) * 2
    for unit, letter in ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")):
        if amount % unit == 0:
            return f"{amount // unit}{letter}"
    return str(amount)


def _toml(value: object, directory: str) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item, directory) for item in value)}]"
    if isinstance(value, Mount):
        keys = {"source": _written(value.source, directory), "target": value.target}
        if value.mode != "ro":
            keys["mode"] = value.mode
        if value.relabel:
            keys["relabel"] = value.relabel
        return f"{{ {', '.join(f'{name} = {_toml(item, directory)}' for name, item in keys.items())} }}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    return str(value)


def _written(source: str, directory: str) -> str:
    if source == WORKSPACE or not directory or not is_below(source, directory):
        return source
    return f"./{PurePosixPath(source).relative_to(directory)}"


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
