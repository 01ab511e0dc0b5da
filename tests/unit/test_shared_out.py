"""How runs of pytest share files out among each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from support.shared_out import CLAIMS
from support.source_tree import ROOT

FILES = 6
TEST = """
import pathlib, time
import pytest

@pytest.fixture(scope="module", autouse=True)
def once():
    write("begin")
    yield
    write("end")

def write(what):
    with pathlib.Path({log!r}).open("a") as log:
        log.write(f"{number} {{what}}\\n")

def test_one():
    time.sleep(0.05)
    write("one")

def test_two():
    write("two")
    assert {number} != 3
"""


def test_every_test_is_run_once_and_a_file_by_one_of_them(tmp_path: Path) -> None:
    log, claims = tmp_path / "log", tmp_path / "claims"
    claims.mkdir()
    for number in range(FILES):
        (tmp_path / f"test_{number}.py").write_text(TEST.format(log=str(log), number=number))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "support.shared_out",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), CLAIMS: str(claims)}
    runs = [subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=120)[0] for run in runs]

    done = log.read_text().splitlines()
    for number in range(FILES):
        own = [line.split()[1] for line in done if line.startswith(f"{number} ")]
        assert own == ["begin", "one", "two", "end"], said
    assert Counter(run.returncode for run in runs)[1] == 1, said
    assert sum("test_3.py::test_two" in each for each in said) == 1
