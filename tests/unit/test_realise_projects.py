"""Projects are laid out as they are, and work."""

from __future__ import annotations

import base64
import csv
import hashlib
import platform
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.realise.commands import BadCommand, console_script
from hatchlock.realise.projects import (
    BadProject,
    install_files,
    install_node_project,
    install_project,
    source_directory,
)
from hatchlock.realise.unpack import BadArchive
from support.archives import Item, make_tar, tree_of

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SOURCE = b"""
import importlib.metadata
class App:
    @staticmethod
    def main():
        names = importlib.metadata.requires("demo-server")
        print(importlib.metadata.version("demo-server"), names, __file__)
def main():
    App.main()
"""


@dataclass(frozen=True, kw_only=True)
class Project:
    snapshot: Path
    name: str = "demo-server"
    version: str = "1.0+local.1"
    import_root: str = "src"
    scripts: Mapping[str, str] = field(
        default_factory=lambda: {"demo": "demo_server:main", "other": "demo_server:App.main"}
    )
    requires: Sequence[str] = ("mcp>=1 ; python_version < '4'",)

    def install(self, environment: Path) -> Path:
        return install_project(
            environment,
            name=self.name,
            version=self.version,
            python=PYTHON,
            snapshot=self.snapshot,
            import_root=self.import_root,
            scripts=self.scripts,
            requires=self.requires,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    items = [Item("src/demo_server/__init__.py", SOURCE), Item("setup.py", b"raise SystemExit('it was run')")]
    return Project(snapshot=make_tar(tmp_path / "snapshot.tar", items, compression=""))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment without pip, as uv makes them."""
    root = tmp_path / "env"
    (root / "lib" / f"python{PYTHON}" / "site-packages").mkdir(parents=True)
    (root / "bin").mkdir()
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    (root / "bin" / "python").symlink_to(base)
    (root / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    return root


def packages_of(environment: Path) -> Path:
    return environment / "lib" / f"python{PYTHON}" / "site-packages"


def output(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, env={}, cwd="/").stdout


def test_a_python_project_is_found_and_its_scripts_start_it(environment: Path, project: Project) -> None:
    directory = project.install(environment)
    assert directory == environment / "src" / "demo-server"
    expected = f"1.0+local.1 {list(project.requires)} {directory}/src/demo_server/__init__.py\n"
    assert output(environment / "bin" / "demo") == expected
    assert output(environment / "bin" / "other") == expected
    question = "from importlib.metadata import *; print(entry_points(name='demo')['demo'].value, metadata('demo-server')['Name'])"
    assert output(environment / "bin" / "python", "-c", question) == "demo_server:main demo-server\n"


def test_its_record_names_every_file_that_it_has(environment: Path, project: Project) -> None:
    project.install(environment)
    packages = packages_of(environment)
    info = packages / "demo_server-1.0+local.1.dist-info"
    rows = {row[0]: row[1:] for row in csv.reader((info / "RECORD").read_text().splitlines())}
    assert list(rows) == sorted(rows)
    assert set(rows) == {
        "../../../bin/demo",
        "../../../bin/other",
        "_hatchlock_demo_server.pth",
        *(f"{info.name}/{name}" for name in ("INSTALLER", "METADATA", "RECORD", "entry_points.txt")),
    }
    for path, (digest, size) in rows.items():
        data = (packages / path).read_bytes()
        expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert path.endswith("RECORD") or (digest, size) == (f"sha256={expected}", str(len(data)))
    assert (info / "INSTALLER").read_text() == "hatchlock\n"
    assert stat.S_IMODE((environment / "bin" / "demo").stat().st_mode) == 0o755


def test_a_project_without_a_directory_for_its_sources_is_imported_from_its_root(
    environment: Path, project: Project, tmp_path: Path
) -> None:
    flat = make_tar(tmp_path / "flat.tar", [Item("demo_server.py", SOURCE)], compression="")
    replace(project, snapshot=flat, import_root=".").install(environment)
    assert output(environment / "bin" / "demo").endswith("/src/demo-server/demo_server.py\n")


def test_its_scripts_take_the_place_of_those_of_packages(environment: Path, project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    (environment / "bin" / "demo").symlink_to(elsewhere)
    project.install(environment)
    assert output(environment / "bin" / "demo").startswith("1.0")
    assert elsewhere.read_text() == "theirs"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "../demo"}, "name"),
        ({"name": "..", "version": "1"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"version": "1/../../x"}, "no version"),
        ({"version": "1\nName: other"}, "no version"),
        ({"import_root": "../.."}, "leads out"),
        ({"import_root": "/etc"}, "leads out"),
        ({"import_root": "lib"}, "no directory"),
        ({"import_root": "src\nimport os"}, "leads out"),
        ({"requires": ["a\nRequires-Dist: b"]}, "no requirement"),
    ],
)
def test_metadata_that_cannot_be_are_refused(
    environment: Path, project: Project, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadProject, match=problem) as caught:
        replace(project, **change).install(environment)
    assert caught.value.hint
    assert list(packages_of(environment).iterdir()) == []


@pytest.mark.parametrize(
    ("command", "entry"),
    [
        ("../x", "demo:main"),
        ("python", "demo:main"),
        ("python3.11", "demo:main"),
        ("node", "demo:main"),
        ("x", "demo"),
        ("x", "demo:main\nimport os"),
        ("x", "demo:main()"),
    ],
)
def test_scripts_that_cannot_be_or_take_the_interpreters_place_are_refused(
    environment: Path, project: Project, command: str, entry: str
) -> None:
    with pytest.raises(BadCommand, match="demo-server"):
        replace(project, scripts={command: entry}).install(environment)
    assert [path.name for path in (environment / "bin").iterdir()] == ["python"]


def test_a_snapshot_that_leads_out_is_refused(environment: Path, project: Project, tmp_path: Path) -> None:
    bad = make_tar(tmp_path / "bad.tar", [Item("src", kind="symlink", target="../../..")], compression="")
    with pytest.raises(BadArchive, match="demo-server"):
        replace(project, snapshot=bad).install(environment)


@pytest.mark.parametrize("name", ["with space", "a" * 120, "quote's"])
def test_scripts_start_from_wherever_the_environment_is(tmp_path: Path, name: str) -> None:
    python = tmp_path / name / "python"
    python.parent.mkdir()
    python.symlink_to(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    script = tmp_path / "script"
    text = console_script(str(python), "platform", "python_version")
    script.write_bytes(text.replace(b"sys.exit(", b"print(sys.argv[1:], "))
    script.chmod(0o755)
    assert output(script, "a b", "'c'") == f"['a b', \"'c'\"] {platform.python_version()}\n"


def test_a_node_project_is_a_link_in_node_modules_with_commands(environment: Path, tmp_path: Path) -> None:
    (environment / "node_modules" / "dep").mkdir(parents=True)
    (environment / "node_modules" / "dep" / "index.js").write_text("module.exports = 'found';")
    items = [
        Item("package.json", b'{"name": "@acme/tool", "main": "cli.js"}'),
        Item("cli.js", b"#!/usr/bin/env node\r\nconsole.log(require('dep'));"),
    ]
    linked = install_node_project(
        environment,
        name="@acme/tool",
        snapshot=make_tar(tmp_path / "s.tar", items, compression=""),
        commands={"tool": "cli.js", "python": "cli.js", "gone": "dist/cli.js"},
    )
    assert linked == ("tool",)
    assert (environment / "node_modules" / "@acme" / "tool").readlink() == Path("../../src/acme-tool")
    assert (environment / "bin" / "tool").readlink() == Path("../src/acme-tool/cli.js")
    done = subprocess.run([environment / "bin" / "tool"], capture_output=True, text=True, check=True)
    assert done.stdout == "found\n"


def test_a_node_project_never_takes_a_packages_place_nor_leads_out(environment: Path, tmp_path: Path) -> None:
    (environment / "node_modules" / "tool").mkdir(parents=True)
    snapshot = make_tar(tmp_path / "s.tar", [Item("cli.js")], compression="")
    with pytest.raises(BadProject, match="a package of that name"):
        install_node_project(environment, name="tool", snapshot=snapshot, commands={})
    with pytest.raises(BadCommand):
        install_node_project(environment, name="other", snapshot=snapshot, commands={"x": "../../bin/python"})
    for name in ("@acme/../x", "@acme", "a/b", "@a/b/c", ".bin", ""):
        with pytest.raises(BadProject):
            install_node_project(environment, name=name, snapshot=snapshot, commands={})


def test_plain_files_are_only_laid_out(environment: Path, tmp_path: Path) -> None:
    items = [Item("docs/a.md", b"text"), Item("run.sh", b"x", mode=0o755)]
    directory = install_files(environment, name="notes", snapshot=make_tar(tmp_path / "s.tar", items, compression=""))
    assert directory == source_directory(environment, "notes")
    assert tree_of(directory) == {"docs": "/", "docs/a.md": "text", "run.sh": "x"}
    assert [path.name for path in (environment / "bin").iterdir()] == ["python"]
