"""Whether a file is a seccomp profile in Docker's form, as far as every engine and every machine agree on it. Pure.

An engine that gets a broken profile says so when a server starts, in words about its own insides. So it is looked at when
it is locked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["LARGEST_PROFILE", "BadSeccompProfile", "check_form"]

LARGEST_PROFILE = 1 << 20
"""Bytes of a profile, of which Docker's own needs one seventieth; it goes into every request that makes a container."""

_ACTIONS = frozenset(
    f"SCMP_ACT_{name}"
    for name in ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP")
)
_OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))
_ARGUMENTS = 6
_BITS = 64


@dataclass(kw_only=True, eq=False)
class BadSeccompProfile(HatchlockError):
    """The file that `sandbox.seccomp` names is no seccomp profile."""

    code: ClassVar[str] = "bad-seccomp-profile"

    file: str
    why: str

    def __str__(self) -> str:
        return f"{self.file} is no seccomp profile: {self.why}"

    def _hint(self) -> str:
        return 'it has the form of Docker\'s own default.json; seccomp = "default" needs no file'


def check_form(content: bytes, *, file: str) -> None:
    """Refuse what is no profile.

    Args:
        content: The file's bytes.
        file: Its name, for messages.

    Raises:
        BadSeccompProfile: It is none; the sentence says what of it is wrong.
    """
    if problem := _problem(content):
        raise BadSeccompProfile(file=file, why=problem)


def _problem(content: bytes) -> str:
    if len(content) > LARGEST_PROFILE:
        return f"it has {len(content)} bytes, and more than {LARGEST_PROFILE} are too many"
    try:
        profile = json.loads(content)
    except ValueError as error:
        return f"it is not JSON ({error})"
    if not isinstance(profile, dict):
        return "it is not an object"
    return next(_problems(profile), "")


def _problems(profile: Mapping[str, Any]) -> Iterator[str]:
    if profile.get("defaultAction") not in _ACTIONS:
        yield f"defaultAction is {_shown(profile.get('defaultAction'))}, and not one of SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, …"
    if profile.get("architectures") and profile.get("archMap"):
        yield "it has both architectures and archMap"
    entries = profile.get("syscalls")
    if entries is not None and not isinstance(entries, list):
        yield "syscalls is not a list"
        return
    for number, entry in enumerate(entries or ()):
        for problem in _entry_problems(entry):
            yield f"syscalls[{number}] {problem}"


def _entry_problems(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "is not an object"
        return
    names, name = entry.get("names"), entry.get("name")
    if bool(names) == bool(name):
        yield "has names and name" if names else "names no system call"
    if names and not (isinstance(names, list) and all(isinstance(item, str) for item in names)):
        yield "has names that are no list of words"
    if entry.get("action") not in _ACTIONS:
        yield f"has the action {_shown(entry.get('action'))}, and not one of SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, …"
    arguments = entry.get("args")
    if arguments is not None and not isinstance(arguments, list):
        yield "has args that are no list"
        return
    for condition in arguments or ():
        if not _is_condition(condition):
            yield f"has a condition that is none: {_shown(condition)}"


def _is_condition(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("op") not in _OPERATORS:
        return False
    index, *numbers = (value.get("index"), value.get("value"), value.get("valueTwo", 0))
    return index in range(_ARGUMENTS) and all(type(number) is int and 0 <= number < 1 << _BITS for number in numbers)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  enough to find it
