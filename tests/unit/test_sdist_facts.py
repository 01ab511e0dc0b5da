"""What source distributions say of themselves, without anything of them being run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.sdists import MetadataNotTold, SdistFacts, read_sdist_file
from support.sdists import sdist_bytes

OLD = b"Metadata-Version: 1.1\nName: thing\nVersion: 1.0\nLicense: MIT\n"
BINDING = b"Metadata-Version: 2.2\nName: thing\nVersion: 1.0\nRequires-Dist: anyio>=4\nRequires-Python: >=3.10\n"


def facts(tmp_path: Path, files: Mapping[str, bytes]) -> SdistFacts:
    archive = tmp_path / "thing-1.0.tar.gz"
    archive.write_bytes(sdist_bytes("thing-1.0", files))
    return read_sdist_file(archive, name=archive.name, scratch=tmp_path)


def test_a_pkg_info_that_binds_the_build_decides(tmp_path: Path) -> None:
    found = facts(tmp_path, {"PKG-INFO": BINDING, "setup.py": b"setup(install_requires=['other'])"})
    assert found.metadata.requires_dist == ("anyio>=4",)
    assert found.metadata.requires_python == ">=3.10"


def test_else_a_project_table_that_leaves_nothing_open(tmp_path: Path) -> None:
    document = b"""
[build-system]
requires = ["hatchling>=1"]
build-backend = "hatchling.build"
[project]
name = "thing"
dynamic = ["version"]
requires-python = ">=3.9"
dependencies = ["anyio; python_version < '3.12'"]
[project.optional-dependencies]
fast = ["uvloop; sys_platform == 'linux' or sys_platform == 'darwin'"]
[project.scripts]
thing = "thing.cli:main"
"""
    found = facts(tmp_path, {"PKG-INFO": OLD, "pyproject.toml": document})
    assert found.metadata.requires_dist == (
        "anyio; python_version < '3.12'",
        'uvloop; (sys_platform == "linux" or sys_platform == "darwin") and extra == "fast"',
    )
    assert (found.metadata.extras, found.metadata.licence) == (("fast",), "MIT")
    assert found.metadata.scripts == {"thing": "thing.cli:main"}
    assert (found.system.requires, found.system.backend) == (("hatchling>=1",), "hatchling.build")


def test_else_the_literals_of_setup_py(tmp_path: Path) -> None:
    setup = b"""
from setuptools import setup
setup(name="thing", python_requires=">=3.8", install_requires=["six"],
      extras_require={"fast": ["uvloop"], ":sys_platform == 'linux'": ["pyinotify"]},
      entry_points={"console_scripts": ["thing = thing:main [fast]"]})
"""
    found = facts(tmp_path, {"PKG-INFO": OLD, "setup.py": setup})
    assert found.metadata.requires_dist == ("six", 'uvloop; extra == "fast"', "pyinotify; sys_platform == 'linux'")
    assert (found.metadata.requires_python, found.metadata.scripts) == (">=3.8", {"thing": "thing:main"})
    assert found.system.requires == ("setuptools>=40.8.0", "wheel")
    assert found.system.backend == "setuptools.build_meta:__legacy__"


@pytest.mark.parametrize(
    "files",
    [
        {"PKG-INFO": OLD},
        {"PKG-INFO": OLD, "setup.py": b"from setuptools import setup\nsetup(install_requires=read())"},
        {"PKG-INFO": OLD, "setup.py": b"from setuptools import setup\nsetup(**facts())"},
        {"PKG-INFO": OLD, "setup.py": b"from setuptools import setup\nsetup(extras_require=read())"},
        {"PKG-INFO": OLD, "setup.cfg": b"[metadata]\nname = thing\n[options]\ninstall_requires = file: needs.txt\n"},
        {"PKG-INFO": OLD, "pyproject.toml": b'[project]\nname = "thing"\ndynamic = ["dependencies"]\n'},
        {
            "PKG-INFO": OLD,
            "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "poetry.core.masonry.api"\n',
            "setup.py": b"from setuptools import setup\nsetup(name='thing')",
        },
    ],
)
def test_what_is_left_to_the_build_is_not_guessed(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    with pytest.raises(MetadataNotTold, match=r"thing-1\.0\.tar\.gz does not say what it needs"):
        facts(tmp_path, files)


def test_a_build_system_that_requires_nothing_requires_nothing(tmp_path: Path) -> None:
    document = b'[build-system]\nrequires = []\nbuild-backend = "own:api"\nbackend-path = ["tools"]\n'
    system = facts(tmp_path, {"PKG-INFO": BINDING, "pyproject.toml": document}).system
    assert (system.requires, system.backend, system.backend_path) == ((), "own:api", ("tools",))


@pytest.mark.parametrize("files", [{"PKG-INFO": b"Nothing: here\n"}, {"pyproject.toml": b"[["}, {"setup.py": b"def ("}])
def test_what_is_broken_is_refused(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    with pytest.raises(BadAnswer, match="no proper source distribution"):
        facts(tmp_path, files)
