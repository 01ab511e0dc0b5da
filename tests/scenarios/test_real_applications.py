"""Applications themselves list, and where they can connect to, the server from the file that `apply` wrote.

Those that install fast are tried always, the others with --full; `scripts/prove-applications` tries all. The catalogue says
what each has shown, and in which version: this is where that is from.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS, Scope
from support.installing import install
from support.newer_python import newer_python
from support.project import TrialProject
from support.real_applications import APPLICATIONS, Call, RealApplication, visited_project, was_visited

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="namespaces are made by root"),
]

ALWAYS = ("claude-code", "codex", "opencode")
SCOPES: tuple[Scope, ...] = ("user", "project")
TRIED = [client.name for client in CLIENTS.values() if client.tried]
VERSIONS = dict(part.rpartition("@")[::2] for part in os.environ.get("PROVE_VERSIONS", "").split())
"""Others than the catalogue's, as `scripts/prove-applications` is told: codex@latest."""

Installed = Callable[[str], Path]


def cases(names: list[str]) -> list[object]:
    marks = {name: () if name in ALWAYS else (pytest.mark.full,) for name in names}
    return [pytest.param(name, marks=marks[name]) for name in names]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Installed]:
    """Return where an application is; all that are asked for are installed at once."""
    root = tmp_path_factory.mktemp("applications")
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(2) as pool:
        made: dict[str, Future[None]] = {
            name: pool.submit(install, APPLICATIONS[name], root / name, VERSIONS.get(name, ""))
            for name in sorted(asked & APPLICATIONS.keys())
        }

        def wait(name: str) -> Path:
            made[name].result()
            return root / name

        yield wait
    shutil.rmtree(root)  # a gigabyte, of which nothing is to be looked at afterwards


def applied(
    root: Path, application: RealApplication, scope: Scope, *, is_trusted: bool, **variables: str
) -> TrialProject:
    project = visited_project(root, application, scope, **variables)
    application.written(project, is_trusted=is_trusted)
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    return project


def outcome(application: RealApplication, directory: Path, project: TrialProject) -> str:
    """Return what the application made of the entry, after all that it shows was found."""
    for call in application.calls:
        said = application.said(call, directory, project)
        assert re.search(call.shows, said), said
    assert project.run("plan", "--check").status == 0  # whatever it has written into its file meanwhile
    return "connected" if was_visited(project) else "listed"


@pytest.mark.parametrize("name", cases(TRIED))
def test_an_application_uses_what_stands_in_the_users_file(name: str, installed: Installed, tmp_path: Path) -> None:
    application, tried = APPLICATIONS[name], CLIENTS[name].tried
    assert tried is not None
    directory = installed(name)
    # Gemini starts nothing in a folder that is not trusted, of the user's own servers neither
    project = applied(tmp_path, application, "user", is_trusted=name == "gemini")
    assert outcome(application, directory, project) == tried.user
    if any(call.goes_on for call in application.calls):
        return  # its session was killed in a pid namespace of its own: nobody outside can know that it is over
    project.ok("destroy", "--yes")
    file = CLIENTS[name].user_path(project.user_home, {}, "linux")
    assert not file.exists() or "door" not in CLIENTS[name].dialect.read(file.read_bytes())


@pytest.mark.parametrize("name", cases([name for name in TRIED if CLIENTS[name].project_file]))
def test_an_application_uses_what_stands_in_a_projects_file(name: str, installed: Installed, tmp_path: Path) -> None:
    application, tried = APPLICATIONS[name], CLIENTS[name].tried
    assert tried is not None
    directory = installed(name)
    if application.untrusted:
        project = applied(tmp_path / "before", application, "project", is_trusted=False)
        said = application.said(application.calls[0], directory, project, until=application.untrusted)
        assert re.search(application.untrusted, said), said
        assert not was_visited(project)
        assert re.search("trusted|trust the folder|approve", CLIENTS[name].notes["project"])
    project = applied(tmp_path / "after", application, "project", is_trusted=True)
    if application.approves:
        application.said(Call(words=application.approves), directory, project)
    assert outcome(application, directory, project) == tried.project


@pytest.mark.full
@pytest.mark.parametrize("name", cases([name for name in TRIED if CLIENTS[name].variables]))
def test_an_application_looks_where_its_variables_say(name: str, installed: Installed, tmp_path: Path) -> None:
    application, tried = APPLICATIONS[name], CLIENTS[name].tried
    assert tried is not None
    directory = installed(name)
    (variable,) = CLIENTS[name].variables
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    is_trusted = name == "gemini"
    project = applied(tmp_path, application, "user", is_trusted=is_trusted, **{variable: str(elsewhere)})
    assert CLIENTS[name].user_path(project.user_home, project.env, "linux").is_relative_to(elsewhere)
    assert outcome(application, directory, project) == tried.user


@pytest.mark.parametrize("name", ["claude-code"])
def test_claude_code_starts_nothing_but_what_an_administrator_was_given(
    name: str, installed: Installed, tmp_path: Path
) -> None:
    application, directory = APPLICATIONS[name], installed(name)
    project = applied(tmp_path, application, "user", is_trusted=False)
    user_file = project.user_home / ".claude.json"
    user_file.write_bytes(CLIENTS[name].dialect.set(user_file.read_bytes(), "theirs", {"command": "/bin/true"}))
    said = application.said(application.calls[0], directory, project)
    assert "door:" in said
    assert "theirs:" in said
    for form, start in (("managed-settings.json", str(project.launcher)), ("managed-mcp.json", "hatchlock")):
        given = tmp_path / form.removesuffix(".json")
        given.mkdir()
        project.ok("export", "--format", form, "--output", str(given / form))
        managed = replace(application, program=str(with_managed(given, directory / application.program)))
        said = managed.said(application.calls[0], directory, project)
        assert re.search(f"door: {re.escape(start)} run .*door - ✔ Connected", said), said
        assert "theirs:" not in said


def with_managed(given: Path, program: Path) -> Path:
    """Return a program that starts another one with these files in `/etc/claude-code`, which stays as it is for all others."""
    script = given / "start"
    over = given / "over"
    over.mkdir()
    script.write_text(f"""\
#!/bin/sh -e
mount -t tmpfs none {over}
mkdir {over}/up {over}/work
mount -t overlay overlay -o lowerdir=/etc,upperdir={over}/up,workdir={over}/work /etc
mkdir -p /etc/claude-code
cp {given}/*.json /etc/claude-code
exec {program} "$@"
""")
    script.chmod(0o755)
    return script


def test_every_application_of_the_catalogue_that_was_tried_can_be_tried_again() -> None:
    assert sorted(APPLICATIONS) == sorted(TRIED)


def test_a_shim_that_answers_nothing_is_passed_over_for_a_python_beside_ours(tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    real = versions / "3.12.1" / "bin" / "python3.12"
    answer = json.dumps([str(real), "3.12.1", ["/usr"], []])
    for program, does in (
        (tmp_path / "shims" / "python3.13", "exit 127"),
        (tmp_path / "shims" / "python3.12", "exit 127"),
        (versions / "3.13.0" / "bin" / "python3.13", "exit 1"),
        (real, f"echo '{answer}'"),
    ):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}/shims"}
    assert newer_python(environ, versions / "3.11.7") == str(real)
    assert newer_python(environ, tmp_path / "elsewhere" / "3.11.7") is None
