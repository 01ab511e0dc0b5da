"""MCP bundles, laid out, and their one command: really started, through a link, as environments offer it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hatchlock.realise.bundles import is_bundle
from hatchlock.realise.programs import install_program
from hatchlock.realise.unpack import BadArchive
from hatchlock.sources.mcp_registry.mcpb import BadBundle
from support.archives import Item, tree_of
from support.mcp_bundles import bundle_manifest, make_bundle

SHOW = b'#!/bin/sh\nprintf "%s|" "$A" "$B" "$@"\nprintf "%s" "$(dirname "$0")"\n'


def binary(**config: Any) -> dict[str, Any]:
    manifest = bundle_manifest("binary")
    manifest["server"]["mcp_config"] |= config
    return manifest


def laid_out(tmp_path: Path, manifest: dict[str, Any], *items: Item) -> tuple[Path, tuple[str, ...]]:
    main = Item(manifest["server"]["entry_point"], SHOW, mode=0o644)
    tmp_path.mkdir(exist_ok=True)
    path = make_bundle(tmp_path / "b.mcpb", manifest, main, *items, main=False)
    environment = tmp_path / "env with a blank"
    return environment, install_program(
        environment, name="thing", file=path, file_name="Thing-1.0.mcpb", system="linux"
    )


def run(command: Path, *words: str, **env: str) -> str:
    done = subprocess.run(
        [command, *words], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_bundle_is_known_by_its_name() -> None:
    assert is_bundle("Thing-1.0.MCPB")
    assert not is_bundle("mcpb.zip")


def test_its_command_runs_through_a_link_with_its_own_arguments_first(tmp_path: Path) -> None:
    config = {"args": ["--data", "${__dirname}/it's here", "a b"], "env": {"A": "$HOME `x` 'y'", "B": "${__dirname}"}}
    environment, commands = laid_out(tmp_path, binary(**config), Item("it's here", b""))
    assert commands == ("programs/thing/.hatchlock/thing",)
    link = tmp_path / "thing"
    link.symlink_to(environment / commands[0])
    root = os.path.realpath(environment / "programs" / "thing")
    assert run(link, "mine", "x y") == f"$HOME `x` 'y'|{root}|--data|{root}/it's here|a b|mine|x y|{root}/server"
    assert run(link, A="given", B="").startswith("given||")


def test_the_same_bundle_gives_the_same_tree(tmp_path: Path) -> None:
    first, _ = laid_out(tmp_path / "1", binary())
    second, _ = laid_out(tmp_path / "2", binary())
    assert tree_of(first) == tree_of(second)


def test_what_the_bundle_would_ask_its_user_is_left_out(tmp_path: Path) -> None:
    manifest = binary(args=["--dir", "${user_config.dir}", "--go"], env={"B": "${user_config.key}"})
    manifest["user_config"] = {
        "dir": {"type": "directory", "required": True},
        "key": {"type": "string", "sensitive": True},
    }
    environment, (command,) = laid_out(tmp_path, manifest)
    assert run(environment / command, B="given").split("|")[:3] == ["", "given", "--go"]


def test_an_interpreter_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    environment, (command,) = laid_out(tmp_path, bundle_manifest("node"))
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    for tool in ("dirname", "readlink"):
        (bin_directory / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/bin/sh", environment / command],
        env={"PATH": str(bin_directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (127, "this MCP bundle needs node: give its server node = a version\n")


def test_a_bundle_for_another_system_is_refused(tmp_path: Path) -> None:
    other = "linux" if sys.platform == "darwin" else "darwin"
    with pytest.raises(BadBundle, match=f"it is for {other}"):
        laid_out(tmp_path, binary() | {"compatibility": {"platforms": [other]}})


def test_a_bundle_that_holds_what_is_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=r"it holds \.hatchlock"):
        laid_out(tmp_path, binary(), Item(".hatchlock/thing", b"#!/bin/sh\n"))
