"""Whether a file is a seccomp profile in Docker's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hatchlock.security.seccomp_form import LARGEST_PROFILE, BadSeccompProfile, check_form

RULE = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
CONDITION = {"index": 0, "value": 40, "op": "SCMP_CMP_NE"}


def profile(*rules: Any, **values: Any) -> bytes:
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **values}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b'{"defaultAction": "SCMP_ACT_ERRNO"}',
        profile(),
        profile(RULE, {"name": "rmdir", "action": "SCMP_ACT_KILL_PROCESS"}),
        profile({**RULE, "args": [CONDITION], "comment": "", "includes": {"caps": ["CAP_BPF"]}, "excludes": {}}),
        profile({**RULE, "args": None}, archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": None}]),
        profile(syscalls=None),
    ],
)
def test_what_dockers_own_profile_may_say_is_taken(content: bytes) -> None:
    check_form(content, file="./p.json")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "it is not JSON"),
        (b"[]", "it is not an object"),
        (b"{}", "defaultAction is null"),
        (profile(defaultAction="ALLOW"), 'defaultAction is "ALLOW"'),
        (profile(syscalls={}), "syscalls is not a list"),
        (profile(RULE, "mkdir"), "syscalls[1] is not an object"),
        (profile({"action": "SCMP_ACT_ALLOW"}), "syscalls[0] names no system call"),
        (profile({**RULE, "name": "rmdir"}), "syscalls[0] has names and name"),
        (profile({**RULE, "names": "mkdir"}), "syscalls[0] has names that are no list of words"),
        (profile({**RULE, "action": "DENY"}), 'syscalls[0] has the action "DENY"'),
        (profile({**RULE, "args": {}}), "syscalls[0] has args that are no list"),
        (profile({**RULE, "args": [{**CONDITION, "index": 6}]}), "syscalls[0] has a condition that is none"),
        (profile({**RULE, "args": [{**CONDITION, "op": "!="}]}), "syscalls[0] has a condition that is none"),
        (profile({**RULE, "args": [{**CONDITION, "value": -1}]}), "syscalls[0] has a condition that is none"),
        (profile({**RULE, "args": [{**CONDITION, "value": True}]}), "syscalls[0] has a condition that is none"),
        (profile(architectures=["SCMP_ARCH_X86"], archMap=[{}]), "it has both architectures and archMap"),
        (b" " * (LARGEST_PROFILE + 1), "are too many"),
    ],
)
def test_what_an_engine_would_trip_over_is_named(content: bytes, why: str) -> None:
    with pytest.raises(BadSeccompProfile) as caught:
        check_form(content, file="./p.json")
    assert str(caught.value).startswith("./p.json is no seccomp profile: ")
    assert why in str(caught.value)
