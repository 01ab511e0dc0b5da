"""Telling what a sandbox has stopped: once in a session to whoever reads stderr, and in a file for `status`.

What it hears of: the server's own words on stderr, the forwarder of a network list, the engine's word on its end.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hatchlock.errors import PermissionProblem
from hatchlock.launch import HOME_INSIDE, LaunchRecord

if TYPE_CHECKING:
    from hatchlock.security.complaints import ProfileFacts
    from hatchlock.security.denials import Denial

__all__ = ["Denials", "explanation", "named_paths", "profile_facts", "remedy"]

_MOST = 100
"""Denials told in one session; a server that tries every port must not fill the log."""
_MOST_BESIDE = 3
"""Files of one directory that are told of."""
_WORDS = (
    *("read-only file", "readonly database", "EROFS", "ermission denied", "EACCES", "not permitted", "EPERM"),
    *("o space left", "ENOSPC", "oo many open files", "EMFILE", "new thread", "annot fork", "fork:", "spawn"),
    *("thread", "ame resolution", "not known", "not resolve", "ailed to resolve", "EAI_AGAIN", "ENOTFOUND"),
    *(
        "no such host",
        "dns error",
        "lookup",
        "nodename",
        "nreachable",
        "ENETUNREACH",
        "no route to host",
        "EHOSTUNREACH",
    ),
    *(
        "onnection refused",
        "ECONNREFUSED",
        "ttempts failed",
        "dubious ownership",
        "call failed",
        "MemoryError",
        "out of memory",
        "bad_alloc",
        "memory allocation",
    ),
    *("allocation failed", "OutOfMemory", "allocate memory", "o such file", "ENOENT", "annot find module"),
    *("ead-only file", "ould not resolve"),
)
"""One of these is in every line that is worth the patterns, which take some milliseconds to be made ready."""


class Denials:
    """What was stopped in one session. Safe for several threads."""

    def __init__(
        self, record: LaunchRecord, *, say: Callable[[str], None], clean: Callable[[str], str], file: Path | None
    ) -> None:
        """Begin a session.

        Args:
            record: What is served, as it was applied.
            say: Takes what people should read, once for each denial.
            clean: Takes secrets out of a text.
            file: Where `status` finds them; None for nowhere.
        """
        self._record = record
        self._say = say
        self._clean = clean
        self._file = file
        self._told: set[Denial] = set()
        self._place = ""
        self._makes = False
        self._lock = threading.Lock()
        self._keeping = threading.Lock()

    def heard(self, line: str) -> None:
        """Take a line of the server's stderr."""
        if line.startswith('  File "/'):
            from hatchlock.security.complaints import place_in  # noqa: PLC0415  rarely needed, and slow to load

            self._place = place_in(line)
        makes = self._makes
        self._makes = "mkdir" in line or "makedirs" in line or (makes and line.startswith("  "))
        if any(word in line for word in _WORDS):
            from hatchlock.security.complaints import denials_in  # noqa: PLC0415

            for denial in denials_in(line, self._facts, directory=makes):
                # a file whose path nobody said: then it helps to know where in the server's code that was
                some_file = (denial.kind, denial.what, denial.at) == ("write", "", "")
                self.report(replace(denial, at=self._place) if some_file else denial)

    @functools.cached_property
    def _facts(self) -> ProfileFacts:
        return profile_facts(self._record)

    def report(self, denial: Denial) -> None:
        """Take a denial; the same one is told and kept once."""
        denial = replace(denial, what=self._clean(denial.what))
        with self._lock:
            if self._is_known(denial) or len(self._told) >= _MOST:
                return
            self._told.add(denial)
        self._say(explanation((denial,), self._record))
        if self._file is not None:
            self._keep(self._file, denial)

    def _is_known(self, denial: Denial) -> bool:
        """Whether it was told, perhaps with a port where this one has none, or in the line before, which said what it was."""
        known = [item.what for item in self._told if item.kind == denial.kind]
        if not denial.what:
            return bool(known)
        if denial.what.rstrip("/") in {item.rstrip("/") for item in known}:
            return True
        if denial.kind == "write":
            # some make a new name for each attempt
            beside = [item for item in known if PurePosixPath(item).parent == PurePosixPath(denial.what).parent]
            return len(beside) >= _MOST_BESIDE
        return denial.kind == "network" and any(item.startswith(f"{denial.what}:") for item in known)

    def _keep(self, file: Path, denial: Denial) -> None:
        from hatchlock.state.denials import Refusal, remember_denial  # noqa: PLC0415  only when there is one

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        refusal = Refusal(kind=denial.kind, what=denial.what, at=denial.at, when=now)
        # it was said: a full disk must not end the session
        with self._keeping, contextlib.suppress(OSError, PermissionProblem):
            remember_denial(file, self._record.digest, refusal)


def explanation(denials: Sequence[Denial], record: LaunchRecord) -> str:
    """Return what was stopped, with what would permit it: a sentence for each, and the lines for the manifest below them."""
    from hatchlock.security.denials import sentence  # noqa: PLC0415

    said = "\n".join(sentence(denial, record.server) for denial in denials)
    helps = remedy(denials, record)
    between = "; " if len(denials) == 1 else "\n"
    return f"{said}{between}{helps}" if helps else said


def remedy(denials: Sequence[Denial], record: LaunchRecord) -> str:
    """Return what helps where this was stopped: the lines for the manifest that permit all of it, and what helps besides.

    Returns:
        A clause, and the lines below it; "" where nothing helps.
    """
    from hatchlock.security.denials import advice, changes, changes_of, toml_table  # noqa: PLC0415

    lines = toml_table(record, changes_of(denials, record))
    beside = {advice(denial, record.server): denial.kind for denial in denials}
    beside.pop("", None)
    if not lines:
        return "; ".join(beside)
    notes = "; ".join(text if kind == "network" else f"or {text}" for text, kind in beside.items())
    every = all(changes(denial, record) for denial in denials)
    what = "it" if len(denials) == 1 else "all of it" if every else "what can be permitted"
    head = f"to permit {what} ({notes}):" if notes else f"to permit {what}:"
    return "\n".join([head, *(f"    {line}" for line in lines.splitlines())])


def profile_facts(record: LaunchRecord) -> ProfileFacts:
    """Return what decides whether a server's sandbox explains what it says, as this machine is now."""
    from hatchlock.security.complaints import ProfileFacts  # noqa: PLC0415  rarely needed, and slow to load

    named = frozenset(named_paths(record))
    absent = frozenset(path for path in named if os.path.exists(path))  # noqa: PTH110  a stranger's text
    return ProfileFacts(
        sandbox=record.sandbox,
        runtime=record.runtime,
        cwd=record.cwd or HOME_INSIDE,
        absent=absent,
        named=named - absent,
    )


def named_paths(record: LaunchRecord) -> Iterator[str]:
    """Yield the absolute paths among a server's arguments and variables that are neither the system's nor in its sandbox."""
    for word in (*record.argv[1:], *_values(record.env)):
        path = word.rpartition("=")[2] if word.startswith("-") else word
        if path.startswith("/") and path.count("/") > 1 and not _is_inside(path, record):
            yield path.rstrip("/")


def _values(env: Mapping[str, str]) -> Iterable[str]:
    for value in env.values():
        yield from value.split(":")


def _is_inside(path: str, record: LaunchRecord) -> bool:
    own = (*record.read_only_paths, *(mount.target for mount in record.sandbox.mounts), *record.sandbox.writable)
    system = ("/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc", "/dev", "/proc", "/sys")
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in (*own, *system))
