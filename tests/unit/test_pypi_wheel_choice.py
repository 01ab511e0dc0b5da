"""Which wheel a target gets: the one that pip takes there."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from packaging.version import Version

from hatchlock.net.http import Http
from hatchlock.sources.python.pypi import PypiSource, PythonIndex
from hatchlock.sources.python.targets import PythonTarget, container_target, process_target
from support.index import Release, serving

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
GLIBC = platform.libc_ver()[1]

CHOICES: dict[str, Sequence[str]] = {
    "universal": ("py2.py3-none-any", "py2-none-any"),
    "newer-python": ("py3-none-any", "py311-none-any", "py312-none-any"),
    "own-abi": ("cp311-abi3-{p}", "cp311-cp311-{p}", "py3-none-{p}", "py3-none-any"),
    "stable-abi": ("cp37-abi3-{p}", "cp39-abi3-{p}", "cp312-abi3-{p}", "cp37-cp37m-{p}"),
    "no-abi": ("cp311-none-{p}", "py3-none-{p}", "cp311-none-any", "py3-none-any"),
    "many-tags": ("cp310.cp311-cp310.cp311-{p}.{old}", "cp311-cp311-{old}"),
    "older-platform": ("cp311-cp311-{p}", "cp311-cp311-{old}", "cp311-cp311-{newer}"),
    "build": ("1-py3-none-any", "2-py3-none-any", "10-py3-none-any", "py3-none-any"),
    "build-suffix": ("2a-py3-none-any", "2b-py3-none-any"),
    "build-against-tag": ("9-py3-none-any", "py3-none-{p}"),
    "not-a-build": ("x1-py3-none-any", "py2.py3-none-any"),
    "free-threaded": ("cp311-cp311t-{p}", "py3-none-any"),
    "elsewhere": ("cp311-cp311-win_amd64", "cp311-cp311-{newer}", "cp311-cp311-manylinux_2_17_ppc64le", "py3-none-any"),
}


def _releases(**words: str) -> list[Release]:
    return [
        Release(name=name, version="1.0", tag=tag.format(**words)) for name, tags in CHOICES.items() for tag in tags
    ]


def _ours(url: str, cache_dir: Path, target: PythonTarget) -> dict[str, str]:
    index = PythonIndex(name="pypi", url=url)
    with Http(environ={}) as http, PypiSource(http=http, cache_dir=cache_dir, indexes=[index]) as source:
        found = {name: source.candidate(name, Version("1.0"), target) for name in CHOICES}
        return {name: candidate.file.name for name, candidate in found.items() if candidate}


def _pips(url: str, home: Path, platforms: Sequence[str]) -> dict[str, str]:
    """Return pip's choice for Python 3.11."""
    options = ["install", "--dry-run", "--quiet", "--no-deps", "--report", "-", "--only-binary", ":all:"]
    options += ["--index-url", url, "--target", str(home / "none"), "--no-cache-dir", "--disable-pip-version-check"]
    options += ["--python-version", "3.11", *(f"--platform={item}" for item in platforms)]
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}
    argv = [sys.executable, "-m", "pip", *options, *CHOICES]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    items = json.loads(done.stdout)["install"]
    return {item["metadata"]["name"]: item["download_info"]["url"].rpartition("/")[2] for item in items}


def _manylinux(machine: str, newest: int) -> list[str]:
    return [f"manylinux_2_{minor}_{machine}" for minor in range(newest, 16, -1)]


@pytest.mark.parametrize(
    ("target", "platforms", "words"),
    [
        pytest.param(
            process_target("linux/amd64", "3.11", min_glibc="2.28"),
            _manylinux("x86_64", 28),
            {"p": "manylinux_2_28_x86_64", "old": "manylinux_2_17_x86_64", "newer": "manylinux_2_29_x86_64"},
            id="glibc",
        ),
        pytest.param(
            container_target("linux/amd64", "3.11.2", libc="musl 1.2"),
            ["musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "musllinux_1_0_x86_64"],
            {"p": "musllinux_1_2_x86_64", "old": "musllinux_1_1_x86_64", "newer": "musllinux_1_3_x86_64"},
            id="musl",
        ),
        pytest.param(
            process_target("darwin/arm64", "3.11", min_macos="13.0"),
            ["macosx_13_0_arm64"],
            {"p": "macosx_12_0_arm64", "old": "macosx_10_9_universal2", "newer": "macosx_14_0_arm64"},
            id="macos",
        ),
    ],
)
def test_the_same_wheel_as_pip_takes(
    tmp_path: Path, target: PythonTarget, platforms: Sequence[str], words: dict[str, str]
) -> None:
    with serving(*_releases(**words)) as index:
        assert _ours(index.url, tmp_path / "cache", target) == _pips(index.url, tmp_path, platforms)


@pytest.mark.skipif(sys.platform != "linux" or not GLIBC, reason="the tags of a glibc machine")
def test_the_tags_of_this_machine_are_those_that_the_interpreter_has() -> None:
    own = process_target(f"linux/{MACHINE}", PYTHON, min_glibc=GLIBC).tags
    tags = [str(tag) for tag in sys_tags()]
    assert set(own) == set(tags)
    # libraries differ in where they put `linux_x86_64`: it says nothing of the libc, so here it comes last
    assert [tag for tag in own if "-linux_" not in tag] == [tag for tag in tags if "-linux_" not in tag]
