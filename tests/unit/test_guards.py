"""What an engine leaves out without a word."""

from __future__ import annotations

import pytest

from hatchlock.launch import Sandbox
from hatchlock.resources.guards import GuardMissing, missing_guards

ASKING = Sandbox(seccomp="./strict.json", seccomp_sha256="0" * 64, apparmor="acme", selinux="container_t")


def test_what_the_engine_has_is_not_missing() -> None:
    assert missing_guards(ASKING, ("seccomp", "apparmor", "selinux", "cgroupns")) == ()


def test_everything_that_it_has_not_is_named() -> None:
    found = missing_guards(ASKING, ("rootless",))
    assert found == (
        "it has no seccomp for ./strict.json",
        "it has no AppArmor for acme",
        "it has no SELinux for container_t",
    )
    assert "without what it asks for: it has no seccomp" in str(GuardMissing(problems=found))


@pytest.mark.parametrize(
    "sandbox", [Sandbox(), Sandbox(seccomp="unconfined", apparmor="unconfined", selinux="disable")]
)
def test_nothing_is_missing_for_who_asks_for_nothing(sandbox: Sandbox) -> None:
    assert missing_guards(sandbox, ()) == ()
