"""Environments for people: listed, shown, without any server, shared by several, labelled."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.cats import CatProject
from support.index import Release, serving
from support.project import TrialProject, server_release, snapshot
from support.unavailable import need_isolation

MANIFEST = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "URL"

[environments.shared]
description = "for the analysts"
python = "3.11"
trust = "internal"

[environments.tools]
python = "3.11"
dependencies = ["pypi:adder>=1"]

[servers.one]
source = "pypi:tiny-server"
environment = "shared"
clients = ["claude-code", "cursor"]

[servers.two]
source = "pypi:tiny-server"
environment = "shared"
trust = "public"
"""


def adder() -> Release:
    """Return a package with a command, whose wheel has its files' hashes, as those of an index have."""
    release = Release(name="adder", version="1.5", headers=("License: MIT",), scripts={"adder": "adder:main"})
    files = {
        "adder.py": b"import sys\n\ndef main():\n    print(sum(map(int, sys.argv[1:])))\n",
        "adder-1.5.dist-info/METADATA": release.metadata,
        "adder-1.5.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "adder-1.5.dist-info/entry_points.txt": b"[console_scripts]\nadder = adder:main\n",
    }
    hashes = {
        name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=") for name, data in files.items()
    }
    rows = [f"{name},sha256={hashes[name].decode()},{len(data)}\n" for name, data in files.items()]
    files["adder-1.5.dist-info/RECORD"] = "".join([*rows, "adder-1.5.dist-info/RECORD,,\n"]).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return replace(release, body=stream.getvalue())


@pytest.fixture
def project(tmp_path: Path) -> Iterator[TrialProject]:
    """A locked project: two servers in one environment, and an environment for nobody."""
    need_isolation()
    with serving(server_release(tmp_path / "wheels"), adder()) as index:
        project = CatProject(tmp_path, MANIFEST.replace("URL", index.url))
        project.ok("lock")
        yield project


def apply(project: TrialProject) -> None:
    project.ok("apply", "--yes", "--no-probe")


def listed(project: TrialProject) -> dict[str, Any]:
    return {item["name"]: item for item in project.ok("env", "list", "--json").document["environments"]}


def shown(project: TrialProject, name: str, *words: str) -> Any:
    return project.ok("env", "show", name, *words, "--json").document


def test_one_environment_serves_two_servers_and_is_built_once(project: TrialProject) -> None:
    assert project.steps() == [
        *("create env:shared", "create env:tools", "create server:one", "create server:two"),
        *("create client:claude-code/one", "create client:cursor/one"),
    ]
    apply(project)
    assert len(project.environments()) == 2
    assert project.tools("one") == project.tools("two")
    assert project.steps() == []


def test_the_list_says_what_there_is_and_who_uses_it(project: TrialProject) -> None:
    before = listed(project)
    assert {name: item["state"] for name, item in before.items()} == {"shared": "missing", "tools": "missing"}
    apply(project)
    found = listed(project)
    assert found["shared"] == {
        "name": "shared",
        "runtime": "process",
        "private": False,
        "python": "3.11",
        "node": "",
        "base": "",
        "trust": "internal",
        "counts": {"pypi": 1},
        "servers": ["one", "two"],
        "state": "present",
        "details": [],
    }
    assert (found["tools"]["servers"], found["tools"]["state"]) == ([], "present")
    text = project.ok("env", "list").out
    assert "shared       process  shared  python 3.11  1 pypi    internal  present  one, two" in text
    assert "tools        process  shared  python 3.11  1 pypi    -         present  nobody" in text


def test_everything_about_one_environment(project: TrialProject) -> None:
    apply(project)
    found = shown(project, "tools")
    (package,) = found.pop("packages")
    assert package == {
        "id": "pypi:adder@1.5",
        "kind": "pypi",
        "name": "adder",
        "version": "1.5",
        "licence": "MIT",
        "size": len(adder().data),
        "source_class": "registry",
    }
    tree = Path(found["path"])
    assert (tree.parent, tree.name in project.environments()) == (project.store / "envs", True)
    sizes = {
        (path.lstat().st_dev, path.lstat().st_ino): path.lstat().st_size
        for path in tree.rglob("*")
        if not path.is_dir()
    }
    assert found["size"] == sum(sizes.values())
    assert found["download"] == len(adder().data)
    assert (found["requirements"], found["base"], found["verified"]) == (["pypi:adder>=1"], None, None)
    shared = shown(project, "one")
    assert (shared["name"], shared["description"]) == ("shared", "for the analysts")
    assert shared["clients"] == {"one": ["claude-code", "cursor"], "two": []}
    text = project.ok("env", "show", "shared").out
    assert "  used by      one (in claude-code, cursor), two\n" in text
    assert "  trust        internal\n" in text


def test_looking_changes_nothing(project: TrialProject) -> None:
    apply(project)
    before = snapshot(project.root)
    listed(project)
    shown(project, "tools", "--verify")
    assert snapshot(project.root) == before


def test_a_file_that_was_edited_is_found_by_reading_all_of_them(project: TrialProject) -> None:
    apply(project)
    fresh = shown(project, "tools", "--verify")["verified"]
    assert fresh["files"] >= 4
    assert fresh["altered"] == []
    (module,) = Path(shown(project, "tools")["path"]).glob("lib/*/site-packages/adder.py")
    module.write_text("main = lambda: print('gotcha')")
    done = project.run("env", "show", "tools", "--verify", "--json")
    assert done.status == 1
    assert [Path(path).name for path in done.document["verified"]["altered"]] == ["adder.py"]
    assert project.ok("env", "show", "tools").err == "", "looking quickly does not read files"


def damaged(project: TrialProject) -> list[str]:
    item = listed(project)["tools"]
    assert item["state"] == "damaged"
    return list(item["details"])


def test_damage_is_seen_without_reading_every_file(project: TrialProject) -> None:
    apply(project)
    tree = Path(shown(project, "tools")["path"])
    (info,) = tree.glob("lib/*/site-packages/adder-1.5.dist-info")
    shutil.rmtree(info)
    assert damaged(project) == ["pypi:adder@1.5 is not in it any more"]
    python = tree / "bin" / "python"
    python.unlink()
    assert damaged(project)[0] == "its bin/python is gone"
    python.symlink_to("/bin/true")
    assert (
        damaged(project)[0]
        == f"its bin/python is {os.path.realpath('/bin/true')}, not {os.path.realpath(python_of(project))}"
    )
    (tree / ".hatchlock-receipt.json").write_text("{")
    assert damaged(project)[0] == "its receipt cannot be read"
    said = project.run("env", "show", "tools")
    assert said.status == 0
    assert f"hint: delete {tree}, then run `hatchlock apply`" in said.err
    shutil.rmtree(tree)
    assert listed(project)["tools"]["state"] == "missing"
    apply(project)
    assert listed(project)["tools"]["state"] == "present"


def python_of(project: TrialProject) -> str:
    tree = Path(shown(project, "shared")["path"])
    return str((tree / "bin" / "python").resolve())


def test_what_cannot_be_made_here_says_why(project: TrialProject) -> None:
    other = "linux/arm64" if host_platform() == "linux/amd64" else "linux/amd64"
    project.edit(f'platforms = ["{host_platform()}"]', f'platforms = ["{other}"]')
    project.ok("lock")
    why = f"the lock is for {other}, and this machine is {host_platform()}"
    item = listed(project)["tools"]
    assert (item["state"], item["details"]) == ("blocked", [why])
    plan = project.run("plan", "--json")
    assert {"env:tools", "server:one", "server:two"} == {item["address"] for item in plan.document["problems"]}


def test_an_environment_that_is_taken_out_is_left_to_garbage_collection(project: TrialProject) -> None:
    apply(project)
    before = project.environments()
    start = project.manifest.read_text().index("[environments.tools]")
    end = project.manifest.read_text().index("[servers.one]")
    project.write(project.manifest.read_text()[:start] + project.manifest.read_text()[end:])
    project.ok("lock")
    assert project.steps() == []
    assert "tools" not in listed(project)
    assert project.environments() == before


def test_names_that_nobody_has_are_refused_with_one_that_is_close(project: TrialProject) -> None:
    done = project.fails("env", "show", "tool")
    assert "the lock has no environment 'tool'" in done.err
    assert "did you mean 'tools'?" in done.err
    done = project.fails("env", "show", "tools", "--runtime", "container", status=64)
    assert "tools is an environment of the process runtime" in done.err
    assert "did you mean" not in done.err
    project.fails("env", "show", status=64)
    project.fails("env", "list", "tools", status=64)


def test_a_label_is_locked_planned_and_shown(project: TrialProject) -> None:
    apply(project)
    document = project.ok("status", "--json").document
    assert {item["name"]: item["trust"] for item in document["servers"]} == {"one": "internal", "two": "public"}
    assert [(item["name"], item["sync"]) for item in document["environments"]] == [("tools", "synced")]
    project.edit('trust = "internal"', 'trust = "vetted"')
    stale = project.fails("plan")
    assert "env:shared: trust changed since it was locked" in stale.err
    environments = project.environments()
    assert project.ok("lock").status == 0
    assert project.steps() == ["update server:one"]
    assert "internal -> vetted" in project.run("plan").out
    apply(project)
    assert project.environments() == environments, "a label builds nothing"
    assert listed(project)["shared"]["trust"] == "vetted"
