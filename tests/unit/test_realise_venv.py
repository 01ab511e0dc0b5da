"""Virtual environments that are written, and not made by their interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.realise.venv import write_environment
from hatchlock.realise.wheels import BadWheel
from support.wheels import make_wheel

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
INTERPRETER = Path(os.path.realpath(sys.executable))


def written(tmp_path: Path, *wheels: Path, interpreter: Path = INTERPRETER) -> Path:
    environment = tmp_path / "environment"
    write_environment(environment, [(wheel.name, wheel) for wheel in wheels], python=MINOR, interpreter=interpreter)
    return environment


def test_its_interpreter_finds_its_packages_and_those_beside_the_interpreter(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        name="greet",
        version="1.0",
        files={"greet.py": b"import sys\ndef main(): print(sys.prefix)\n"},
        entry_points="[console_scripts]\ngreet = greet:main\n",
    )
    environment = written(tmp_path, wheel)
    said = subprocess.run([environment / "bin" / "greet"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(environment)
    assert "include-system-site-packages = true" in (environment / "pyvenv.cfg").read_text()
    assert list(environment.rglob("__pycache__")) == []


def test_its_interpreter_is_not_started(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    environment = written(tmp_path, make_wheel(tmp_path, name="greet", version="1.0"), interpreter=program)
    assert (environment / "bin" / "python").readlink() == program
    assert not (tmp_path / "ran").exists()


def test_a_wheel_that_would_be_written_through_a_file_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path, name="odd", version="1.0", files={"odd": b"a file", "odd/inside.py": b"and a directory"}
    )
    with pytest.raises(BadWheel):
        written(tmp_path, wheel)
