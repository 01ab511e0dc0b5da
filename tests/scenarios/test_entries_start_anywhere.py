"""Entries of user scope start with an empty environment, from any directory, and stay as they are when versions move.

One project lists one server in every application that is known. Whatever the form of the file, the entry means one command, and
that is started as the poorest application would.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.clients.shape import Start
from hatchlock.engines.process import host_platform
from support.cats import CatProject
from support.index import serving
from support.project import TrialProject, server_release

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = [{clients}]

[indexes.pypi]
url = "{index}"

[servers.tiny]
source = "pypi:tiny-server"
"""
MESSAGES = (
    {
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
)
ENVIRONMENTS: Mapping[str, dict[str, str]] = {
    "nothing": {},
    "what applications pass on": {"HOME": "/nowhere", "PATH": "/usr/bin:/bin"},
    "what lies": {"HOME": "", "PATH": "", "HATCHLOCK_HOME": "", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialProject]:
    """Return a project whose server has moved to another version since; its entries are in a directory with a blank."""
    root = tmp_path_factory.mktemp("some one")
    wheels = root / "wheels"
    with serving(server_release(wheels, version="1.0")) as index:
        clients = ", ".join(f'"{name}"' for name in CLIENTS)
        manifest = MANIFEST.format(platform=host_platform(), clients=clients, index=index.url)
        project = CatProject(root, manifest)
        project.ok("lock")
        project.ok("apply", "--yes", "--no-probe")
        before = {client.name: file_of(client, project).read_bytes() for client in CLIENTS.values()}
        launched = project.active()
        index.releases.append(server_release(wheels, version="2.0"))
        project.ok("lock", "--upgrade", "--refresh")
        project.ok("apply", "--yes", "--no-probe")
        assert project.active() != launched
        assert {client.name: file_of(client, project).read_bytes() for client in CLIENTS.values()} == before
        yield project


def file_of(client: Client, project: TrialProject) -> Path:
    return client.user_path(project.user_home, {}, "linux")


def entry_of(client: Client, project: TrialProject) -> object:
    return client.shape.read(client.dialect.read(file_of(client, project).read_bytes())["tiny"].value)


def test_every_application_has_an_entry_with_one_meaning(project: TrialProject) -> None:
    command = [str(project.launcher), "run", "--home", str(project.store), "--project", "trial", "tiny"]
    wanted = Start(command=command[0], args=tuple(command[1:]))
    assert {name: entry_of(client, project) for name, client in CLIENTS.items()} == dict.fromkeys(CLIENTS, wanted)
    assert " " in command[0]


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_its_command_answers_with(environment: dict[str, str], project: TrialProject, tmp_path: Path) -> None:
    start = entry_of(CLIENTS["claude-code"], project)
    assert isinstance(start, Start)
    done = subprocess.run(
        [start.command, *start.args],
        input="".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in MESSAGES),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    answers = {answer["id"]: answer["result"] for answer in map(json.loads, done.stdout.splitlines())}
    assert answers[1]["serverInfo"], done.stderr
    assert [tool["name"] for tool in answers[2]["tools"]] == ["echo", "large", "attempt"]


def test_moving_a_version_forth_and_back_leaves_every_file_as_it_is(project: TrialProject) -> None:
    before = {name: file_of(client, project).read_bytes() for name, client in CLIENTS.items()}
    stamps = {name: file_of(client, project).stat().st_mtime_ns for name, client in CLIENTS.items()}
    project.ok("rollback", "--yes")
    assert {name: file_of(client, project).read_bytes() for name, client in CLIENTS.items()} == before
    assert {name: file_of(client, project).stat().st_mtime_ns for name, client in CLIENTS.items()} == stamps
