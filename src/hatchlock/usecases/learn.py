"""`probe --learn`: start a server in a session where much can be seen, and say the smallest profile for what it tries.

It writes nothing: not the manifest, not the lock, not what `status` shows.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hatchlock.errors import HatchlockError
from hatchlock.files import read_optional

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.security.learned import Observed
    from hatchlock.serve.probe import Call, ProbeResult

__all__ = ["Learned", "learn_server"]

_LINGER = 1.0
"""Seconds that a server is watched after its last answer: some begin their own work only then."""
_CALL_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """What was learnt of a server.

    Attributes:
        server: Its name.
        observed: What it tried.
        profile: The keys of its `sandbox` table that would change, with their values as in a manifest.
        toml: The same as TOML, with a place for the reason where one is needed; "" where nothing would change.
        remarks: What people should know before they take it, as sentences.
        result: What it said of itself; None when it did not answer.
        error: Why it did not answer; None when it did.
    """

    server: str
    observed: Observed
    profile: Mapping[str, Any] = field(default_factory=dict)
    toml: str
    remarks: tuple[str, ...]
    result: ProbeResult | None = None
    error: HatchlockError | None = None


def learn_server(
    home: Home,
    project: str,
    name: str,
    *,
    environ: Mapping[str, str],
    timeout: float | None = None,
    call: Call | None = None,
) -> Learned:
    """Watch an applied server while it answers `initialize`, lists its tools, and runs one if that is asked for.

    Args:
        home: The store.
        project: The project's name.
        name: The server's name.
        environ: What its secrets are taken from.
        timeout: Seconds for all of it; None for the server's `startup-timeout`, and a minute more for a call.
        call: The tool to run.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
        ProbeFailed: It was not even started.
        RunsElsewhere: It is a remote server.
    """
    from pathlib import Path

    from hatchlock.serve.learning.observer import OBSERVED
    from hatchlock.serve.probe import ProbeFailed, probe
    from hatchlock.usecases.elsewhere import check_runs_here
    from hatchlock.usecases.run import find_record

    record = find_record(home, project, name)
    check_runs_here(record)
    seconds = timeout or record.startup_timeout + (_CALL_SECONDS if call else 0)
    here = record.directory if Path(record.directory).is_dir() else None
    with _throw_away() as directory:
        watched = ["run", "--home", str(home.root), "--project", project, name, "--learn", directory]
        error, result = None, None
        try:
            result = probe(
                [str(home.bin / "hatchlock"), *watched],
                timeout=seconds + _LINGER,
                environ=environ,
                directory=here,
                call=call,
                linger=_LINGER,
            )
        except ProbeFailed as failed:
            failed.address = f"server:{name}"
            error = failed
        data = read_optional(Path(directory) / OBSERVED)
    if data is None:
        raise error or ProbeFailed(address=f"server:{name}", why="nothing was observed")
    return _learned(record, data, result, error)


@contextlib.contextmanager
def _throw_away() -> Iterator[str]:
    """Have a directory whose content is a stranger's in the end, and is gone afterwards."""
    import tempfile
    from pathlib import Path

    from hatchlock.store.strangers import delete_tree

    directory = tempfile.mkdtemp(prefix="hatchlock-learn-")
    try:
        yield directory
    finally:
        with contextlib.suppress(OSError):  # something of the server is still there, and ends by itself
            delete_tree(Path(directory))


def _learned(record: LaunchRecord, data: bytes, result: ProbeResult | None, error: HatchlockError | None) -> Learned:
    from hatchlock.security.denials import toml_table
    from hatchlock.security.learned import Observed, remarks, smallest_profile

    observed = Observed.from_dict(json.loads(data))
    values = smallest_profile(
        observed,
        record,
        memory_by_process=_memory_by_process(record),
        answered=result is not None and not result.failed,
    )
    profile = {name.replace("_", "-"): _plain(value) for name, value in values.items()}
    return Learned(
        server=record.server,
        observed=observed,
        profile=profile,
        toml=toml_table(record, values, reason=_needs_reason(profile)),
        remarks=remarks(observed, record, values),
        result=result,
        error=error,
    )


def _needs_reason(profile: Mapping[str, Any]) -> bool:
    from hatchlock.manifest.checks import relaxations

    return bool(relaxations(dict(profile)))


def _memory_by_process(record: LaunchRecord) -> bool:
    if record.runtime == "container":
        return False
    from hatchlock.engines.cgroups import bound, find_places

    return "memory" not in bound(find_places())


def _plain(value: object) -> Any:
    from dataclasses import asdict

    from hatchlock.launch import Mount

    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: item for name, item in asdict(value).items() if item} if isinstance(value, Mount) else value
