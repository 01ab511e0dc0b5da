"""Which Node an environment gets; the programs that are looked at are scripts of the tests, and once the real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hatchlock.engines.node import Node, NodeMissing, find_node
from support.unavailable import unavailable


def program(directory: Path, text: str, name: str = "node") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def node(directory: Path, version: str, name: str = "node") -> str:
    """Make a program that says it is such a Node, where it is; return its directory, for PATH."""
    path = directory / name
    program(directory, f"echo '{json.dumps([str(path), version])}'", name)
    return str(directory)


def found(version: str, *directories: object, **environ: str) -> Node:
    return find_node(version, {**environ, "PATH": ":".join([*map(str, directories), "/nowhere"])})


@pytest.mark.parametrize("version", ["", "22", "22.4", "22.4.1"])
def test_the_first_that_fits_is_taken(tmp_path: Path, version: str) -> None:
    path = [node(tmp_path / "b" / "bin", "22.4.1"), node(tmp_path / "c" / "bin", "22.9.0")]
    program = f"{tmp_path}/b/bin/node"
    assert found(version, *path) == Node(path=program, version="22.4.1", prefixes=(program,))


@pytest.mark.parametrize("version", ["2", "22.4.10", "22.40", "4"])
def test_a_version_is_compared_by_its_numbers(tmp_path: Path, version: str) -> None:
    with pytest.raises(NodeMissing):
        found(version, node(tmp_path / "bin", "22.4.1"))


def test_a_later_one_is_taken_where_the_first_does_not_fit(tmp_path: Path) -> None:
    path = [node(tmp_path / "old" / "bin", "18.20.0"), node(tmp_path / "new" / "bin", "22.4.1")]
    assert found("22", *path).version == "22.4.1"
    assert found("", *path).version == "18.20.0"


def test_debians_name_for_it_counts_too(tmp_path: Path) -> None:
    assert found("22", node(tmp_path / "bin", "22.4.1", "nodejs")).path == f"{tmp_path}/bin/nodejs"


def test_what_there_is_instead_is_said_with_what_to_do(tmp_path: Path) -> None:
    path = [node(tmp_path / "a" / "bin", "18.20.0"), node(tmp_path / "b" / "bin", "20.1.0")]
    with pytest.raises(NodeMissing) as caught:
        found("22", *path, path[0])
    places = f"{tmp_path}/a/bin/node (18.20.0), {tmp_path}/b/bin/node (20.1.0)"
    assert str(caught.value) == f"Node 22 is not on PATH; found: {places}"
    assert caught.value.hint == 'install it and put it on PATH, or set node = "18"'


@pytest.mark.parametrize("environ", [{}, {"PATH": ""}, {"PATH": ":relative:/nowhere"}])
def test_without_any_there_is_nothing_but_to_install_one(environ: Mapping[str, str]) -> None:
    with pytest.raises(NodeMissing, match="Node is not on PATH") as caught:
        find_node("", environ)
    assert caught.value.hint == "install Node and put its directory on PATH"


@pytest.mark.parametrize(
    "text",
    [
        "exit 1",
        "echo hello",
        "echo '{}'",
        "echo '[1]'",
        "echo '[]'",
        "printf '\\377'",
        "kill $$",
    ],
)
def test_what_does_not_answer_as_node_is_passed_over(tmp_path: Path, text: str) -> None:
    program(tmp_path / "odd", text)
    assert found("", tmp_path / "odd", node(tmp_path / "bin", "22.4.1")).version == "22.4.1"


def test_what_cannot_be_started_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "none", "true").write_text("#!/nowhere/sh\n")
    program(tmp_path / "closed", "true").chmod(0o644)
    (tmp_path / "folder" / "node").mkdir(parents=True)
    odd = [tmp_path / name for name in ("none", "closed", "folder")]
    assert found("", *odd, node(tmp_path / "bin", "22.4.1")).version == "22.4.1"


def test_a_relative_directory_of_path_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node(tmp_path / "here", "22.4.1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NodeMissing):
        found("", "here", ".")


def test_a_shim_leads_to_the_real_program(tmp_path: Path) -> None:
    node(tmp_path / "versions" / "22.4.1" / "bin", "22.4.1")
    (tmp_path / "current").symlink_to("versions/22.4.1")
    real = f"{tmp_path}/versions/22.4.1/bin/node"
    program(tmp_path / "shims", f"echo '{json.dumps([f'{tmp_path}/current/bin/node', '22.4.1'])}'")
    assert found("22", tmp_path / "shims") == Node(path=real, version="22.4.1", prefixes=(real,))


@pytest.mark.parametrize("own", ["include/node", "lib/node_modules"])
def test_a_tree_of_its_own_is_shown_to_servers_with_it(tmp_path: Path, own: str) -> None:
    (tmp_path / "tree" / own).mkdir(parents=True)
    assert found("", node(tmp_path / "tree" / "bin", "22.4.1")).prefixes == (f"{tmp_path}/tree",)
    assert found("", node(tmp_path / "tree" / "programs", "22.4.1")).prefixes == (f"{tmp_path}/tree/programs/node",)


@pytest.mark.parametrize("directory", ["bin", ".local/bin"])
def test_what_else_is_in_a_home_is_not_shown_for_its_sake(tmp_path: Path, directory: str) -> None:
    (tmp_path / directory / ".." / "include" / "node").mkdir(parents=True)
    place = node(tmp_path / directory, "22.4.1")
    assert found("", place, HOME=str(tmp_path)).prefixes == (f"{place}/node",)


def test_the_users_options_for_node_do_not_reach_it(tmp_path: Path) -> None:
    program(tmp_path / "bin", f'[ -z "$NODE_OPTIONS$NODE_PATH" ] && echo \'["{tmp_path}/bin/node", "22.4.1"]\'')
    assert found("", tmp_path / "bin", NODE_OPTIONS="--require=/x.js", NODE_PATH="/x").version == "22.4.1"


def test_the_real_one_is_found_where_it_says_it_is() -> None:
    path = shutil.which("node")
    if path is None:
        unavailable("there is no Node here")
    said = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    real = find_node("", os.environ)
    assert f"v{real.version}" == said
    assert Path(real.path).is_relative_to(real.prefixes[0])
    assert not Path(real.path).is_symlink()
    assert find_node(real.version.partition(".")[0], os.environ) == real
