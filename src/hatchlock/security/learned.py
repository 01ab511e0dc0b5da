"""What a server was seen to try, and the smallest profile that permits it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from hatchlock.launch import LaunchRecord, Sandbox, is_below, size_in_bytes
from hatchlock.security.denials import Denial, changes_of, is_host

__all__ = ["Observed", "observable", "remarks", "smallest_profile"]

_MEBIBYTE = 1 << 20
_STEPS = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
_HEADROOM = 2
_FEWEST_PROCESSES = 16
_FEWEST_FILES = 256
_LIMITS = frozenset({"memory", "pids", "files", "tmp"})
_OPEN_NETWORKS = (("internet",), ("host",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What a server tried while it was observed, with a network that leads nowhere and a root that is thrown away.

    Attributes:
        seconds: For how long.
        connections: `host:port` that it tried to connect to, sorted; `localhost:port` where nothing of its own listened.
        lookups: Names that it asked for without connecting to them, sorted.
        written: What it made outside of its home, /tmp and mounts, the outermost ones only, sorted; directories with a slash.
        denied: What it said itself to have been denied.
        memory: The most bytes that it used at once, its temporary files included where they are memory; 0 for unknown.
        data: Of the biggest process, bytes of data that it had reserved, which is what an rlimit counts; 0 for unknown.
        processes: The most processes and threads at once; 0 for unknown.
        files: The most open files of one process; 0 for unknown.
        tmp: The most bytes in its fullest temporary directory.
        unknown: What could not be observed here, and why, one clause each.
    """

    seconds: float = 0.0
    connections: tuple[str, ...] = ()
    lookups: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    denied: tuple[Denial, ...] = ()
    memory: int = 0
    data: int = 0
    processes: int = 0
    files: int = 0
    tmp: int = 0
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read back what `to_dict`, through JSON, gave."""
        lists = {name: tuple(values[name]) for name in ("connections", "lookups", "written", "unknown")}
        return cls(**{**values, **lists, "denied": tuple(Denial(**item) for item in values["denied"])})


def observable(record: LaunchRecord) -> LaunchRecord:
    """Return a launch record for a session in which much can be seen: what it makes is thrown away, limits are wide.

    The network leads nowhere, whatever the profile allows. Mounts are as they were; what the server keeps of its own is
    not there.
    """
    sandbox = record.sandbox
    wide = replace(
        sandbox,
        network=("none",),
        read_only=False,
        memory=_wider(sandbox.memory, "2g"),
        tmp=_wider(sandbox.tmp, "1g"),
        pids=sandbox.pids * 4,
        files=sandbox.files * 4,
        writable=(),
    )
    return replace(record, sandbox=wide, relay=None, volumes={})


def _wider(size: str, least: str) -> str:
    return size if size_in_bytes(size) >= size_in_bytes(least) else least


def smallest_profile(
    observed: Observed, record: LaunchRecord, *, memory_by_process: bool, answered: bool
) -> dict[str, object]:
    """Return the fields of a profile that have to change so that it permits what was seen and not much more.

    Args:
        observed: What was seen.
        record: The server, as it was applied.
        memory_by_process: Whether its memory is limited process by process (rlimit), and not as a whole.
        answered: Whether it did what it was asked to; one that did not may need more than was seen, so nothing shrinks.

    Returns:
        Field -> value, in the order of a profile; what is already so is left out.
    """
    wanted = {
        **_network(observed, record.sandbox),
        **_limits(observed, record.sandbox, memory_by_process=memory_by_process),
        **_files(observed, record),
    }
    if not answered:
        wanted = {name: _grown(name, value, record.sandbox) for name, value in wanted.items() if name not in _LIMITS}
    return {name: value for name, value in wanted.items() if value != getattr(record.sandbox, name)}


def _grown(name: str, value: object, sandbox: Sandbox) -> object:
    """Return a list with what the profile has of it already."""
    there = getattr(sandbox, name)
    if there in _OPEN_NETWORKS:
        return there
    if name not in {"network", "writable"} or not isinstance(value, tuple):
        return value
    return tuple(dict.fromkeys(item for item in (*there, *value) if item != "none")) or there


def remarks(observed: Observed, record: LaunchRecord, values: Mapping[str, object]) -> tuple[str, ...]:
    """Return what people should know before they take a proposed profile, as sentences without a full stop.

    Args:
        observed: What was seen.
        record: The server, as it was applied.
        values: What `smallest_profile` returned.
    """
    proposed = replace(record.sandbox, **values)  # type: ignore[arg-type]  # fields by name
    places = [*proposed.writable, *(mount.target for mount in proposed.mounts if mount.mode == "rw")]
    tried = (*observed.written, *(item.what for item in observed.denied if item.kind == "write"))
    lost = [path for path in dict.fromkeys(tried) if not any(is_below(path, place) for place in places)]
    return (
        *(f"{item} is an address, and a list holds names" for item in observed.connections if _is_address(item)),
        *(f"no volume can be where it writes {path}: look for an option by which it writes elsewhere" for path in lost),
        *(
            f"it was not seen to need {what}, which its profile allows: other work may"
            for what in _unused(observed, record)
        ),
    )


def _unused(observed: Observed, record: LaunchRecord) -> Iterator[str]:
    sandbox = record.sandbox
    if sandbox.network not in (("none",), *_OPEN_NETWORKS):
        yield from (item for item in sandbox.network if item not in observed.connections)
    yield from (place for place in sandbox.writable if not any(is_below(path, place) for path in observed.written))


def _network(observed: Observed, sandbox: Sandbox) -> dict[str, object]:
    if any(text.startswith("hosts") for text in observed.unknown):
        return {}
    names = tuple(item for item in observed.connections if is_host(item) and not _is_address(item))
    if not names and sandbox.network in _OPEN_NETWORKS and observed.connections:
        return {}
    return {"network": names or ("none",)}


def _is_address(item: str) -> bool:
    return item.rpartition(":")[0].replace(".", "").isdecimal()


def _limits(observed: Observed, sandbox: Sandbox, *, memory_by_process: bool) -> dict[str, object]:
    limits: dict[str, object] = {}
    most = max(observed.memory, observed.data if memory_by_process else 0)
    if most:
        limits["memory"] = _size(most)
    if observed.processes:
        limits["pids"] = max(_FEWEST_PROCESSES, _rounded(observed.processes * 2, 16))
    if observed.files * _HEADROOM > sandbox.files:
        limits["files"] = _rounded(int(observed.files * _HEADROOM), _FEWEST_FILES)
    if observed.tmp * _HEADROOM > size_in_bytes(sandbox.tmp):
        limits["tmp"] = _size(observed.tmp)
    return limits


def _size(used: int) -> str:
    wanted = used * _HEADROOM / _MEBIBYTE
    steps = next((step for step in _STEPS if step >= wanted), _rounded(int(wanted), 1024))
    return f"{steps // 1024}g" if steps % 1024 == 0 else f"{steps}m"


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step


def _files(observed: Observed, record: LaunchRecord) -> dict[str, object]:
    """The mounts that there are stay; volumes are for what was seen."""
    tried = [Denial(kind="write", what=path) for path in observed.written]
    said = [denial for denial in observed.denied if denial.kind in {"write", "mount", "ownership"}]
    bare = replace(record, sandbox=replace(record.sandbox, writable=()))
    return {"writable": (), **changes_of(dict.fromkeys((*tried, *said)), bare)}
