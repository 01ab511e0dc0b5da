"""Every example is a manifest that this version takes, and its directories are projects that need no build."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.address import Kind, Source
from hatchlock.manifest.load import load
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.projects.detect import read_project
from hatchlock.sources.projects.path_reference import PathReference
from hatchlock.usecases.hatch_packages import validate_package
from support.ports import free_port
from support.project import TrialProject
from support.runs import Run, wait_for
from support.source_tree import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/hatchlock.toml"))
# Its base is made where the example is run.
INTENDED = {"mixed": ["environments.mixed.base"]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid_and_gives_no_reason_to_warn_that_is_not_intended(example: Path) -> None:
    loaded = load(example / "hatchlock.toml")
    assert loaded.manifest.project.name == example.name
    assert [warning.key for warning in loaded.warnings] == INTENDED.get(example.name, [])
    assert (example / "README.md").read_text().startswith("# ")
    for server in loaded.manifest.servers.values():
        source = Source.parse(str(server.source))
        if source.kind is Kind.HATCH:
            directory = example / declared_hatch(source.spec).path
            assert validate_package(directory, shown=str(directory)).package.facts.name == directory.name
        for mount in server.sandbox.mounts:
            assert (example / mount.source).is_dir()
        if source.kind is Kind.PATH:
            facts = read_project(example / PathReference.parse(source.spec).path)
            assert facts.needs_build == ""
            assert facts.scripts


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "server", "tool"), [("npm-server", "files", "read_file"), ("path-server", "dice", "roll")]
)
def test_an_example_does_what_its_page_says(tmp_path: Path, name: str, server: str, tool: str) -> None:
    project = TrialProject(tmp_path, name=name)
    shutil.copytree(ROOT / "examples" / name, project.directory, dirs_exist_ok=True)
    project.ok("lock")
    project.ok("apply", "--yes")
    assert tool in project.tools(server)
    assert project.steps() == []
    project.ok("lock", "--check")


@pytest.mark.network
def test_a_server_gets_its_service_its_key_and_a_place_for_data(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, name="sandboxed")
    shutil.copytree(ROOT / "examples" / "sandboxed", project.directory, dirs_exist_ok=True)
    key, port = secrets.token_hex(8), free_port()
    edited = (project.manifest, project.directory / "service.py", *project.directory.glob("forecast/src/*/*.py"))
    for file in edited:
        file.write_text(file.read_text().replace("8350", str(port)))
    project.ok("up", "--yes", "--no-probe")
    subprocess.run(project.command("secret", "set", "forecast"), input=key, env=project.env, text=True, check=True)
    service = subprocess.Popen([sys.executable, str(project.directory / "service.py"), key])
    try:
        assert wait_for(lambda: listens(port))
        with Run(command=project.launch_command("forecast")) as run:
            run.hello()
            assert run.call("forecast", city="Vienna") == "Vienna: sunny"
            assert "Error" in run.call("visit", url="http://other.example/")
            run.end()
    finally:
        service.terminate()
        service.wait()
    with Run(command=project.launch_command("forecast")) as run:
        run.hello()
        assert run.call("history") == "Vienna: sunny\n"
    assert "was not allowed to reach other.example" in project.ok("status").out


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
