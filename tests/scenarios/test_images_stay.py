"""What the assembler's rules gave once they give for ever: on every machine, from the files that fixtures/images keeps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from hatchlock.lock.model import ASSEMBLER
from hatchlock.paths import Home
from support.images import stored
from support.source_tree import ROOT

FIXTURES = ROOT / "fixtures" / "images"
RULES = sorted(path.name for path in FIXTURES.glob("rule-*"))


def machine(root: Path, rule: str) -> Path:
    """Return a project with the fixture's manifest and lock; its store, beside it, has the fixture's files."""
    project = root / "project"
    project.mkdir(parents=True)
    for name in ("hatchlock.toml", "hatch.lock"):
        shutil.copy(FIXTURES / rule / name, project / name)
    home = Home(root=root / "store", is_default=False)
    for blob in (FIXTURES / rule / "blobs").iterdir():
        stored(home, blob, algorithm="sha512" if len(blob.name) == len("a" * 128) else "sha256")
    return project


def verified(root: Path, rule: str, *, python: str = sys.executable, umask: int = 0o022, **variables: str) -> Any:
    project = machine(root, rule)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HATCHLOCK_", "XDG_", "PYTHON"))}
    env = {**kept, "HOME": str(root), "DOCKER_HOST": "unix:///nowhere/docker.sock", **variables}
    words = ["-C", str(project), "--home", str(root / "store"), "verify", "--json"]
    platforms = ["--platform", "linux/amd64", "--platform", "linux/arm64"]
    done = subprocess.run(
        [python, "-m", "hatchlock", *words, *platforms],
        cwd=root,
        env=env,
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def images(rule: str) -> Any:
    return json.loads((FIXTURES / rule / "images.json").read_text())


def test_every_rule_has_its_images() -> None:
    assert [f"rule-{number}" for number in range(1, ASSEMBLER + 1)] == RULES


@pytest.mark.parametrize("rule", RULES)
def test_the_images_are_bit_equal_and_what_the_lock_says(rule: str, tmp_path: Path) -> None:
    found = verified(tmp_path, rule)
    assert found["images"] == images(rule)
    assert {item["state"] for item in found["findings"]} == {"same"}
    assert all(item["compared"] == ["lock"] for item in found["findings"])
    layers = {(item["name"], layer["name"]) for item in found["images"] for layer in item["layers"]}
    assert layers >= {("mixed", name) for name in ("system", "python", "npm")} | {("weather", "application")}


@pytest.mark.parametrize("rule", RULES)
def test_neither_place_nor_umask_nor_clock_nor_language_matters(rule: str, tmp_path: Path) -> None:
    root = tmp_path / "ein anderer Ort, mit Ä und Leerzeichen"
    variables = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "SOURCE_DATE_EPOCH": "86400"}
    assert verified(root, rule, umask=0o077, PYTHONHASHSEED="7", **variables)["images"] == images(rule)


def other_pythons() -> list[str]:
    """Interpreters of this machine of the same minor version, whose compiled modules fit, and of another patch version."""
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = ("/usr/bin", "/usr/local/bin", *os.environ.get("PATH", "").split(":"))
    found: dict[str, str] = {}
    for path in dict.fromkeys(f"{place}/{minor}" for place in places if place):
        if not Path(path).is_file():
            continue
        done = subprocess.run([path, "-I", "-V"], capture_output=True, text=True, check=False)
        version = re.fullmatch(rf"Python ({re.escape(minor.removeprefix('python'))}\.\d+)\n", done.stdout)
        if done.returncode == 0 and version:
            found.setdefault(version[1], path)
    found.pop(".".join(map(str, sys.version_info[:3])), None)
    return [found[version] for version in sorted(found)]


@pytest.mark.parametrize("rule", RULES)
def test_another_python_gives_the_same(rule: str, tmp_path: Path) -> None:
    pythons = other_pythons()
    if not pythons:
        pytest.skip("there is no other patch version of this Python on this machine")
    own = os.pathsep.join([str(ROOT / "src"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    for number, python in enumerate(pythons):
        found = verified(tmp_path / str(number), rule, python=python, PYTHONPATH=own, PYTHONDONTWRITEBYTECODE="1")
        assert found["images"] == images(rule), python
