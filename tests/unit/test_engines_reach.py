"""What of this machine a sandbox shows for the sake of an interpreter."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hatchlock.engines.node import find_node
from hatchlock.engines.process import find_interpreter
from hatchlock.engines.reach import outermost, shows_too_much


def program(path: Path, answer: object) -> Path:
    """Make a program that says of itself what is asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)
    return path


def node_prefixes(path: Path, home: Path, **variables: str) -> tuple[str, ...]:
    program(path, [str(path), "22.1.0"])
    return find_node("22", {"PATH": f"{path.parent}:/usr/bin:/bin", "HOME": str(home), **variables}).prefixes


@pytest.mark.parametrize("directory", [".local/bin", "bin", "tools/bin"])
def test_a_node_among_other_things_is_shown_alone(tmp_path: Path, directory: str) -> None:
    path = tmp_path / directory / "node"
    assert node_prefixes(path, tmp_path) == (str(path),)


@pytest.mark.parametrize("tree", [".nvm/versions/node/v22.1.0", "n"])
@pytest.mark.parametrize("mark", ["lib/node_modules", "include/node"])
def test_an_installation_of_node_is_shown_whole(tmp_path: Path, tree: str, mark: str) -> None:
    (tmp_path / tree / mark).mkdir(parents=True)
    assert node_prefixes(tmp_path / tree / "bin" / "node", tmp_path) == (str(tmp_path / tree),)


@pytest.mark.parametrize("tree", [".local", ".", ".."])
def test_not_if_that_shows_the_home_or_the_data_of_applications(tmp_path: Path, tree: str) -> None:
    home = tmp_path / "me"
    place = Path(os.path.normpath(home / tree))
    (place / "lib" / "node_modules").mkdir(parents=True)  # npm's prefix
    assert node_prefixes(place / "bin" / "node", home) == (f"{place}/bin/node",)


def test_nor_if_that_shows_the_store_or_the_home_of_somebody_else(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "lib" / "node_modules").mkdir(parents=True)
    path = tmp_path / "a" / "bin" / "node"
    assert node_prefixes(path, tmp_path / "me", HATCHLOCK_HOME=str(tmp_path / "a" / "store")) == (str(path),)
    (tmp_path / "b" / ".ssh").mkdir()
    path = tmp_path / "b" / "bin" / "node"
    assert node_prefixes(path, tmp_path / "me") == (str(path),)


@pytest.mark.parametrize(("prefix", "whole"), [(".local", False), (".", False), (".pyenv/versions/3.99.0", True)])
def test_of_a_prefix_that_holds_more_than_python_only_python_is_shown(tmp_path: Path, prefix: str, whole: bool) -> None:
    tree = Path(os.path.normpath(tmp_path / prefix))
    own = [f"{tree}/bin/python3.99", f"{tree}/lib/libpython3.99.so.1.0", f"{tree}/lib/python3.99"]
    program(tree / "bin" / "python3.99", [own[0], "3.99.0", [str(tree), str(tree)], own])
    found = find_interpreter("3.99", {"PATH": f"{tree}/bin:/usr/bin:/bin", "HOME": str(tmp_path)})
    assert found.prefixes == ((str(tree),) if whole else tuple(own))


def test_a_system_directory_shows_nothing_private() -> None:
    assert not shows_too_much(Path("/usr"), {"HOME": "/root"})
    assert shows_too_much(Path("/"), {"HOME": "/root"})


def test_what_is_below_another_path_is_shown_with_it() -> None:
    assert outermost(["/usr/lib/x", "/usr", "/opt/b", "/opt/bc", "/usr"]) == ("/opt/b", "/opt/bc", "/usr")
