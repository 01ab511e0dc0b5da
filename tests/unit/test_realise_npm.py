"""npm tarballs become the tree that npm itself makes of them."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hatchlock.digest import digest_file
from hatchlock.realise.commands import BadCommand
from hatchlock.realise.npm import BadPlace, NpmPlacement, link_commands, unpack_packages
from hatchlock.realise.unpack import BadArchive
from support.archives import Item, make_tar, tree_of

PROGRAM = b"#!/usr/bin/env node\r\nconsole.log('hello');\r\n"


def placement(
    tmp_path: Path, path: str, items: Sequence[Item], commands: Mapping[str, str] | None = None
) -> NpmPlacement:
    name = path.rpartition("node_modules/")[2]
    blob = make_tar(tmp_path / f"{path.replace('/', '+')}.tgz", items)
    return NpmPlacement(path=path, blob=blob, name=f"{name}@1.0.0", commands=commands or {})


def package_json(name: str, **more: object) -> Item:
    return Item("package/package.json", json.dumps({"name": name, "version": "1.0.0", **more}).encode())


def some_packages(tmp_path: Path) -> list[NpmPlacement]:
    """Two at the top, one inside another, scopes, commands, and all the oddities of tarballs."""
    first = [
        package_json("a", bin={"tool": "bin/tool.js", "gone": "missing.js"}, dependencies={"b": "1.0.0", "@s/c": "1"}),
        Item("package/bin/tool.js", PROGRAM),
        Item("package/helper.sh", b"x", mode=0o775),
        Item("package/link", kind="symlink", target="/etc/passwd"),
        Item("package/.gitignore", b"ignored"),
        Item("package/sub/.npmignore", b"kept"),
        Item("package/sub/.gitignore", b"not kept"),
    ]
    second = [
        Item("b-1.0.0/package.json", b'{"name":"b","version":"1.0.0","bin":"./cli"}'),
        Item("b-1.0.0/cli", b"x"),
    ]
    nested = [package_json("@s/c", bin={"c": "c.js", "tool": "c.js"}), Item("package/c.js", b"#!/usr/bin/env node\n")]
    return [
        placement(tmp_path, "node_modules/a/node_modules/@s/c", nested, {"c": "c.js", "tool": "c.js"}),
        placement(tmp_path, "node_modules/a", first, {"tool": "bin/tool.js", "gone": "missing.js"}),
        placement(tmp_path, "node_modules/b", second, {"b": "cli"}),
    ]


def with_modes(root: Path) -> dict[str, tuple[str, int]]:
    found = {path: (text, stat.S_IMODE((root / path).lstat().st_mode)) for path, text in tree_of(root).items()}
    return {path: facts for path, facts in found.items() if not path.endswith(".package-lock.json")}


def test_the_tree_is_that_of_npm_itself(tmp_path: Path) -> None:
    packages = some_packages(tmp_path)
    project = tmp_path / "npm"
    project.mkdir()
    lock: dict[str, dict[str, object]] = {
        "": {"name": "x", "version": "1.0.0", "dependencies": {"a": "1.0.0", "b": "1.0.0"}}
    }
    for package in packages:
        sum_ = base64.b64encode(bytes.fromhex(digest_file(package.blob, "sha512"))).decode()
        facts: dict[str, object] = {
            "version": "1.0.0",
            "resolved": f"file:{package.blob}",
            "integrity": f"sha512-{sum_}",
        }
        if package.commands:
            facts["bin"] = dict(package.commands)
        lock[package.path] = facts
    lock["node_modules/a"]["dependencies"] = {"b": "1.0.0", "@s/c": "1"}
    document = {"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": lock}
    (project / "package-lock.json").write_text(json.dumps(document))
    (project / "package.json").write_text(json.dumps(lock[""]))
    argv = ["npm", "ci", "--ignore-scripts", "--offline", "--no-audit", "--no-fund", "--no-update-notifier"]
    done = subprocess.run(
        [*argv, "--cache", tmp_path / "cache"],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
    )
    assert done.returncode == 0, done.stderr
    unpack_packages(packages, tmp_path / "ours")
    assert with_modes(tmp_path / "ours" / "node_modules") == with_modes(project / "node_modules")


def test_it_has_everything_in_its_place(tmp_path: Path) -> None:
    unpack_packages(some_packages(tmp_path), tmp_path / "out")
    modules = tmp_path / "out" / "node_modules"
    found = with_modes(modules)
    assert found["a/bin/tool.js"] == ("#!/usr/bin/env node\nconsole.log('hello');\r\n", 0o755)
    assert found["a/helper.sh"] == ("x", 0o755)
    assert found["a/package.json"][1] == 0o644
    assert found["a/.npmignore"] == ("ignored", 0o644)
    assert found["a/sub/.npmignore"] == ("kept", 0o644)
    assert not {"a/link", "a/.gitignore", "a/sub/.gitignore"} & set(found)
    assert {path: text for path, (text, _) in found.items() if ".bin/" in path} == {
        ".bin/tool": "-> ../a/bin/tool.js",
        ".bin/b": "-> ../b/cli",
        "a/node_modules/.bin/c": "-> ../@s/c/c.js",
        "a/node_modules/.bin/tool": "-> ../@s/c/c.js",
    }
    done = subprocess.run([modules / ".bin" / "tool"], capture_output=True, check=True)
    assert done.stdout == b"hello\n"


def test_the_order_of_the_packages_makes_no_difference(tmp_path: Path) -> None:
    packages = some_packages(tmp_path)
    rival = placement(tmp_path, "node_modules/z", [Item("p/x", b"z")], {"tool": "x"})
    unpack_packages([*packages, rival], tmp_path / "one")
    unpack_packages([rival, *reversed(packages)], tmp_path / "two")
    assert with_modes(tmp_path / "one") == with_modes(tmp_path / "two")
    assert (tmp_path / "one/node_modules/.bin/tool").resolve() == tmp_path / "one/node_modules/z/x"


def test_a_package_in_a_tarball_gives_way_to_the_locked_one(tmp_path: Path) -> None:
    outer = placement(
        tmp_path, "node_modules/a", [Item("package/node_modules/b/old"), Item("package/node_modules/bundled/x")]
    )
    inner = placement(tmp_path, "node_modules/a/node_modules/b", [Item("package/new")])
    unpack_packages([inner, outer], tmp_path / "out")
    modules = tmp_path / "out/node_modules/a/node_modules"
    assert sorted(str(path.relative_to(modules)) for path in modules.rglob("*") if path.is_file()) == [
        "b/new",
        "bundled/x",
    ]


@pytest.mark.parametrize(
    ("command", "target"),
    [("x", "../../outside"), ("x", "/bin/sh"), ("../../x", "cli"), ("..", "cli"), ("", "cli"), ("x", "")],
)
def test_a_command_that_leads_out_of_its_package_is_refused(tmp_path: Path, command: str, target: str) -> None:
    (tmp_path / "outside").write_bytes(b"theirs")
    package = placement(tmp_path, "node_modules/a", [Item("package/cli")], {command: target})
    with pytest.raises(BadCommand, match=r"a@1\.0\.0"):
        unpack_packages([package], tmp_path / "out")
    with pytest.raises(BadCommand):
        link_commands(tmp_path / "out", [package], node=None)
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) != 0o755
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "path", ["", "a", "node_modules", "node_modules/..", "node_modules/a/../b", "/node_modules/a", "node_modules/.bin"]
)
def test_a_place_that_is_none_of_a_package_is_refused(tmp_path: Path, path: str) -> None:
    package = NpmPlacement(path=path, blob=make_tar(tmp_path / "x.tgz", [Item("p/x")]), name="a@1.0.0")
    with pytest.raises(BadPlace):
        unpack_packages([package], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tarball_that_leads_out_is_refused_by_the_packages_name(tmp_path: Path) -> None:
    packages = some_packages(tmp_path)
    bad = placement(tmp_path, "node_modules/bad", [Item("package/../../x")])
    with pytest.raises(BadArchive, match=r"bad@1\.0\.0"):
        unpack_packages([*packages, bad], tmp_path / "out")


def test_commands_of_an_environment_take_the_place_of_what_others_brought_along(tmp_path: Path) -> None:
    packages = some_packages(tmp_path)
    root = tmp_path / "out"
    unpack_packages(packages, root)
    (root / "bin").mkdir()
    (root / "bin" / "own").write_text("the environment's own")
    for brought in ("tool", "node"):
        (root / "bin" / brought).write_text("a wheel's script")
    node = Path("/usr/bin/node")
    names = link_commands(root, packages[1:], node=node)
    assert {"node", "tool"} <= set(names)
    assert tree_of(root / "bin") == {
        "b": "-> ../node_modules/b/cli",
        "own": "the environment's own",
        "node": f"-> {node}",
        "tool": "-> ../node_modules/a/bin/tool.js",
    }
    assert link_commands(root, packages[1:], node=node) == names


@pytest.mark.parametrize("command", ["node", "node.exe", "nodejs", "python", "python3.11", "Python3", "activate.fish"])
def test_no_package_takes_the_place_of_an_interpreter(tmp_path: Path, command: str) -> None:
    commands = {command: "x.js", "npm": "x.js"}
    package = placement(tmp_path, "node_modules/a", [Item("package/x.js", b"x")], commands)
    unpack_packages([package], tmp_path / "out")
    assert link_commands(tmp_path / "out", [package], node=None) == ("npm",)
