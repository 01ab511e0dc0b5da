"""What should stand in the files of applications, from manifest and machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.manifest.model import ClientSpec, EnvironmentSpec, Manifest, Project, ServerSpec
from hatchlock.paths import Home
from hatchlock.resources.client_target import Wanted, other_files, usual_files, wanted_entries
from hatchlock.resources.machine import Machine
from hatchlock.resources.target import Target
from hatchlock.usecases.applications import application_notes, look_for_applications
from hatchlock.usecases.project import Project as Files

MACHINE = Machine(
    platform="linux/amd64",
    system="linux",
    home=Home(root=Path("/s"), is_default=True),
    user_home=Path("/home/ada"),
    directory=Path("/srv/acme"),
    environ={},
    interpreters={},
    programs={},
    engine="",
)


def manifest(clients: tuple[str, ...], specs: tuple[ClientSpec, ...] = (), **fields: Mapping[str, object]) -> Manifest:
    server = ServerSpec(
        name="time",
        clients=clients,
        client_fields={name.replace("_", "-"): value for name, value in fields.items()},
        private=EnvironmentSpec(name="time"),
    )
    return Manifest(project=Project(name="acme"), servers={"time": server}, clients={spec.name: spec for spec in specs})


def wanted(of: Manifest, absent: frozenset[str] = frozenset()) -> Wanted:
    return wanted_entries(
        of,
        Machine(**{name: getattr(MACHINE, name) for name in MACHINE.__slots__} | {"absent": absent}),
    )


def test_each_application_gets_an_entry_as_it_writes_them_in_its_own_file() -> None:
    found = wanted(manifest(("codex", "goose", "opencode"))).entries
    assert [entry.file.path for entry in found] == [
        "/home/ada/.codex/config.toml",
        "/home/ada/.config/goose/config.yaml",
        "/home/ada/.config/opencode/opencode.json",
    ]
    args = ["run", "--project", "acme", "time"]
    assert [entry.value for entry in found] == [
        {"command": "/s/bin/hatchlock", "args": args},
        {"enabled": True, "type": "stdio", "cmd": "/s/bin/hatchlock", "args": args},
        {"type": "local", "command": ["/s/bin/hatchlock", *args]},
    ]


def test_an_entry_has_the_applications_own_fields_in_one_order() -> None:
    fields = {"excludeTools": ["b"], "timeout": 5}
    (entry,) = wanted(manifest(("gemini",), gemini=fields, cursor={"envFile": ".env"})).entries
    assert list(entry.value) == ["command", "args", "timeout", "excludeTools"]
    assert entry.value["timeout"] == 5


def test_a_field_replaces_what_is_written_of_it_otherwise() -> None:
    (entry,) = wanted(manifest(("goose",), goose={"enabled": False})).entries
    assert entry.value["enabled"] is False


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("claude-desktop", 'write scope = "user" into [clients.claude-desktop]'),
        ("qoder", "it reads the project's .mcp.json, which `claude-code` writes"),
    ],
)
def test_an_application_without_files_of_projects_is_a_problem_of_its_entry_alone(name: str, hint: str) -> None:
    found = wanted(manifest((name, "cursor"), (ClientSpec(name=name, scope="project"),)))
    (problem,) = found.problems
    assert str(problem.address) == f"client:{name}/time"
    assert problem.what == f"{CLIENTS[name].title} reads no file of a project"
    assert problem.hint == hint
    assert [entry.file.client for entry in found.entries] == ["cursor"]


def test_a_file_that_is_named_is_one_of_a_project_for_every_application() -> None:
    spec = ClientSpec(name="qoder", scope="project", path="shared.json")
    (entry,) = wanted(manifest(("qoder",), (spec,))).entries
    assert entry.file.path == "/srv/acme/shared.json"


def test_what_is_not_installed_is_left_out_only_where_that_is_asked() -> None:
    specs = (ClientSpec(name="zed", if_installed=True), ClientSpec(name="cursor", if_installed=True))
    found = wanted(manifest(("codex", "cursor", "zed"), specs), absent=frozenset({"zed", "codex"}))
    assert [entry.file.client for entry in found.entries] == ["codex", "cursor"]
    assert found.left_out == ("zed",)
    assert found.problems == ()


def test_every_usual_file_is_looked_at_once() -> None:
    files = [*usual_files(MACHINE), *other_files(MACHINE)]
    assert len(files) == len(set(files))
    assert {file.client for file in usual_files(MACHINE)} == {"claude-code", "cursor"}
    assert len(files) == len(CLIENTS) + sum(bool(client.project_file) for client in CLIENTS.values())


def test_an_application_is_there_if_its_file_is_or_anything_else_of_it(tmp_path: Path) -> None:
    specs = tuple(ClientSpec(name=name, if_installed=True) for name in ("codex", "gemini", "zed"))
    of = manifest(("codex", "cursor", "gemini", "zed"), specs)
    (tmp_path / ".codex").mkdir()
    (tmp_path / "g/.gemini").mkdir(parents=True)
    (tmp_path / "g/.gemini/settings.json").write_text("{}")
    environ = {"HOME": str(tmp_path), "GEMINI_CLI_HOME": str(tmp_path / "g")}
    absent, looked_at = look_for_applications(of, environ)
    assert absent == {"zed"}
    assert str(tmp_path / ".config/zed/settings.json") in looked_at
    assert not any("cursor" in path for path in looked_at)


def test_what_was_not_found_is_told_of_and_what_a_project_commits_is_not(tmp_path: Path) -> None:
    specs = (ClientSpec(name="gemini", scope="project"), ClientSpec(name="kiro", path="k.json"))
    found = wanted(manifest(("codex", "cursor", "gemini", "kiro"), specs))
    (tmp_path / ".cursor").mkdir()
    files = Files(
        manifest=tmp_path / "hatchlock.toml",
        home=MACHINE.home,
        environ={"HOME": str(tmp_path)},
        manifest_bytes=b"",
        overlay_bytes=b"",
        lock_bytes=None,
    )
    notes = application_notes(files, Target(project="acme", entries=found.entries, left_out=("zed",)))
    written = "its entries are written all the same"
    assert [f"{note.address}: {note.what}" for note in notes] == [
        f"client:zed: Zed is not installed, and is left out: there is no {tmp_path}/.config/zed/settings.json",
        f"client:codex: Codex was not found on this machine: there is no {tmp_path}/.codex/config.toml; {written}",
        f"client:kiro: Kiro was not found on this machine: there is no {tmp_path}/.kiro/settings/mcp.json; {written}",
    ]


def test_two_applications_with_one_file_have_one_entry_in_it_or_a_problem(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("one.json")
    files = {"cursor": "one.json", "windsurf": "link.json", "gemini": "one.json", "opencode": "one.json"}
    specs = tuple(ClientSpec(name=name, path=str(tmp_path / file)) for name, file in files.items())
    found = wanted(manifest(tuple(files), specs))
    # opencode has another place in it, gemini writes what windsurf writes, and only one of them can be there
    assert [entry.file.client for entry in found.entries] == ["cursor", "opencode"]
    assert [str(problem.address) for problem in found.problems] == ["client:windsurf/time", "client:gemini/time"]
    problem = found.problems[0]
    assert f"{tmp_path}/link.json is the file of Cursor as well, whose entry 'time' is another one" in str(problem.what)
    alike = wanted(manifest(("windsurf", "gemini"), specs))
    assert [entry.file.client for entry in alike.entries] == ["windsurf", "gemini"]
    assert alike.problems == ()
