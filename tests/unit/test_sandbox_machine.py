"""What is found out about this machine."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from hatchlock.engines.process import (
    InterpreterMissing,
    find_bwrap,
    find_interpreter,
    find_program,
    host_platform,
    isolation_system,
)
from support.unavailable import need_isolation

MINOR = f"3.{sys.version_info.minor}"


def test_the_platform_is_named_as_containers_name_it() -> None:
    assert re.fullmatch(r"(linux|darwin)/(amd64|arm64|\w+)", host_platform())


def test_the_running_python_is_found_as_its_real_self_and_not_as_an_environment() -> None:
    found = find_interpreter(MINOR, os.environ)
    assert found.version == "{}.{}.{}".format(*sys.version_info[:3])
    assert found.path == os.path.realpath(found.path)
    assert not (Path(found.path).parents[1] / "pyvenv.cfg").exists()
    assert any(found.path.startswith(f"{prefix}/") for prefix in found.prefixes)


def test_a_program_that_lies_about_its_version_is_asked_and_not_believed(tmp_path: Path) -> None:
    fake = tmp_path / "python3.99"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    fake.chmod(0o755)
    with pytest.raises(InterpreterMissing) as caught:
        find_interpreter("3.99", {"PATH": str(tmp_path)})
    assert caught.value.found != ()
    assert "Python 3.99 is not on PATH; found: " in str(caught.value)


def test_a_shim_leads_to_the_real_interpreter(tmp_path: Path) -> None:
    shim = tmp_path / "python3"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    shim.chmod(0o755)
    assert find_interpreter(MINOR, {"PATH": str(tmp_path)}) == find_interpreter(MINOR, os.environ)


def test_programs_are_found_on_path_first_and_only_when_executable(tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text("")
    assert find_bwrap(str(tmp_path)) != str(tmp_path / "bwrap")
    (tmp_path / "bwrap").chmod(0o755)
    assert find_bwrap(str(tmp_path)) == str(tmp_path / "bwrap")
    assert find_program("no-such-program-anywhere", str(tmp_path)) is None


def test_a_trial_is_remembered_until_something_changes_that_decides_on_it(tmp_path: Path) -> None:
    need_isolation()
    memory = tmp_path / "cache" / "trial"
    counter = tmp_path / "count"
    program = tmp_path / "bwrap"
    environ = {"PATH": str(tmp_path)}

    def trials(then: str) -> int:
        before = counter.stat().st_size if counter.exists() else 0
        program.write_text(f"#!/bin/sh\nprintf x >>{counter}\n{then}\n")
        program.chmod(0o755)
        for _ in range(2):
            isolation_system(environ, memory=memory)
        return counter.stat().st_size - before

    real = find_bwrap("/usr/bin")
    assert trials(f'exec {real} "$@"') == 1
    assert trials(f'exec {real} "$@" # another one') == 1
    # what does not work is tried again each time, in both ways
    assert trials("exit 1") == 4
    assert isinstance(isolation_system(environ, memory=memory), str)
    memory.write_text("of another version\n")
    assert trials(f'exec {real} "$@"') == 1
