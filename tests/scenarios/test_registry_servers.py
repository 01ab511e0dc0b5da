"""`search`, and `add` with entries of the MCP registry, as a user types them, on a terminal and without one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.hatch_registry import HatchPackage, serving_hatch
from support.index import Index, serving
from support.mcp_registry import OFFICIAL, RegistryServer, published, real_entries, serving_mcp
from support.ports import closed_address
from support.project import TrialProject, server_release
from support.terminal import Session, at_terminal
from support.unavailable import need_isolation

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

# ours
[indexes.pypi]
url = "{index}"

[indexes.mcp]
url = "{registry}"
"""
ENTRY = "mcp:io.github.acme/tiny@1.0.0"


def tiny(**other: Any) -> dict[str, Any]:
    package = {"registryType": "pypi", "identifier": "tiny-server", "version": "1.0.0"}
    return published("io.github.acme/tiny", packages=[package | other])


ASKING = tiny(
    packageArguments=[
        {"type": "named", "name": "--quiet", "value": "true", "format": "boolean"},
        {"type": "positional", "valueHint": "directory", "isRequired": True, "description": "What it may read"},
    ],
    environmentVariables=[
        {"name": "LEVEL", "default": "info"},
        {"name": "REGION", "isRequired": True, "choices": ["eu", "us"], "description": "Where\x1b[31m\nit is"},
        {"name": "API_KEY", "isRequired": True, "isSecret": True, "description": "Your key"},
        {"name": "OPTIONAL"},
    ],
)


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving_mcp(ASKING) as served:
        yield served


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with serving(server_release(tmp_path)) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, registry: RegistryServer, index: Index) -> TrialProject:
    return TrialProject(
        tmp_path, MANIFEST.format(platform=host_platform(), index=index.url, registry=registry.url), CI="false"
    )


def server(project: TrialProject, name: str = "tiny") -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(project.manifest.read_text())["servers"][name]
    return found


def typed(project: TrialProject, *answers: tuple[str, str], words: tuple[str, ...] = ()) -> Session:
    command = project.command("add", "mcp:io.github.acme/tiny", "--runtime", "process", *words)
    return at_terminal(command, answers, cwd=project.directory, env=project.env)


# add


def test_without_a_terminal_all_that_is_missing_is_listed_and_nothing_is_written(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    done = project.fails("add", "mcp:io.github.acme/tiny", "--env", "REGION=eu", "--runtime", "process")
    assert done.err.splitlines()[:3] == [
        f"error: {ENTRY} needs what it was not told:",
        "  API_KEY    Your key (a secret)",
        "  directory  What it may read",
    ]
    given = f"hatchlock add {ENTRY} --runtime process --env REGION=eu"
    assert f"\nhint: {given} --secret API_KEY=env:API_KEY --arg directory=VALUE\n" in done.err
    assert project.manifest.read_bytes() == before
    assert not project.lock.exists()


def test_what_the_hint_says_would_do_does(project: TrialProject) -> None:
    said = ("--env", "REGION=eu", "--secret", "API_KEY=env:MY_KEY", "--arg", "directory=/data")
    done = project.ok("add", "mcp:io.github.acme/tiny", "--runtime", "process", *said)
    assert done.out.startswith("hatchlock.toml: + server:tiny\n")
    assert server(project) == {
        "source": ENTRY,
        "runtime": "process",
        "args": ["/data"],
        "env": {"REGION": "eu", "API_KEY": {"secret": "env:MY_KEY"}},
    }
    assert "# ours" in project.manifest.read_text()
    assert "--quiet" not in project.manifest.read_text()
    locked = project.lock.read_text()
    assert "--quiet" in locked
    assert project.ok("lock", "--check").status == 0


def test_on_a_terminal_it_asks_for_what_is_missing(project: TrialProject) -> None:
    done = typed(
        project,
        ("REGION: Where", "mars"),
        ("REGION cannot be 'mars': give one of eu, us", ""),
        ("it is needed", "us"),
        ("where the secret is [env:API_KEY]: ", "sk-very-secret-value-of-mine"),
        ("that is no reference", ""),
        ("directory: What it may read", "/data"),
    )
    assert done.status == 0, done.shown
    assert "(one of eu, us)" in done.shown
    assert "Where\x1b" not in done.shown
    assert server(project)["env"] == {"REGION": "us", "API_KEY": {"secret": "env:API_KEY"}}
    assert server(project)["args"] == ["/data"]
    for path in (project.manifest, project.lock):
        assert "sk-very" not in path.read_text()
    assert "OPTIONAL" not in done.shown


def test_what_was_said_is_not_asked_again(project: TrialProject) -> None:
    said = ("--env", "REGION=eu", "--arg", "directory=/data")
    done = typed(project, ("where the secret is", "file:key.txt"), words=said)
    assert done.status == 0, done.shown
    assert "REGION" not in done.shown
    assert server(project)["env"]["API_KEY"] == {"secret": "file:key.txt"}


def test_who_leaves_in_the_middle_has_written_nothing(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    done = typed(project, ("REGION", "eu"), ("where the secret is", "\x04"))
    assert done.status == 1
    assert "needs what it was not told" in done.shown
    assert project.manifest.read_bytes() == before


def test_with_json_or_in_ci_nobody_is_asked(project: TrialProject) -> None:
    assert typed(project, words=("--json",)).status == 1
    project.env["CI"] = "true"
    assert typed(project).status == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ("--env", "API_KEY=sk-abcdefghijklmnopqrst"),
            1,
            "API_KEY is a secret, and a manifest is no place for its value",
        ),
        (("--secret", "API_KEY=sk-abcdefghijklmnopqrst"), 64, "--secret API_KEY: what follows is no reference"),
        (("--secret", "sk-abcdefghijklmnopqrst"), 64, "--secret takes NAME=VALUE"),
        (("--env", "API_KEY=x", "--secret", "API_KEY=env:X"), 64, "API_KEY is given in two ways"),
        (("--env", "A=1", "--env", "A=2"), 64, "--env A is there twice"),
        (("--arg", "folder=/x"), 1, "does not ask for 'folder'"),
        (("--env", "REGION=mars"), 1, "REGION cannot be 'mars'"),
        (("--secret", "directory=env:X"), 1, "wants the secret directory as an argument"),
    ],
)
def test_wrong_answers_are_refused_without_repeating_a_secret(
    project: TrialProject, words: tuple[str, ...], status: int, message: str
) -> None:
    before = project.manifest.read_bytes()
    done = project.fails("add", "mcp:io.github.acme/tiny", *words, status=status)
    assert message in done.err
    assert "sk-abc" not in done.out + done.err
    assert project.manifest.read_bytes() == before


def test_variables_of_any_other_server_may_be_given_too(project: TrialProject) -> None:
    said = ("--env", "LEVEL=debug", "--secret", "KEY=env:KEY", "--name", "other")
    project.ok("add", "pypi:tiny-server", "--runtime", "process", *said)
    assert server(project, "other")["env"] == {"LEVEL": "debug", "KEY": {"secret": "env:KEY"}}
    assert "--arg answers what an entry" in project.fails("add", "pypi:x", "--arg", "a=b", status=64).err


def test_a_deprecated_entry_is_told_and_a_deleted_one_refused(project: TrialProject, registry: RegistryServer) -> None:
    registry.entries = [
        published(
            "io.github.acme/tiny", "1.0.0", packages=tiny()["server"]["packages"], status="deprecated", message="old"
        ),
        published(
            "io.github.acme/bad", "1.0.0", packages=tiny()["server"]["packages"], status="deleted", message="malware"
        ),
    ]
    done = project.ok("add", "mcp:io.github.acme/tiny", "--runtime", "process")
    assert done.err.count("the registry says that it is deprecated: old") == 1
    assert (
        "says that mcp:io.github.acme/bad@1.0.0 is deleted: malware"
        in project.fails("add", "mcp:io.github.acme/bad@1.0.0").err
    )


def test_who_is_asked_is_warned_first(project: TrialProject, registry: RegistryServer) -> None:
    registry.entries = [ASKING | {"_meta": {OFFICIAL: {"status": "deprecated", "isLatest": True}}}]
    done = typed(project, ("the registry says that it is deprecated", ""), ("it is needed", "\x04"))
    assert done.status == 1
    assert done.shown.index("deprecated") < done.shown.index("REGION")


def test_an_entry_becomes_a_server_that_runs(project: TrialProject, registry: RegistryServer) -> None:
    need_isolation()
    registry.entries = [tiny(environmentVariables=[{"name": "LEVEL", "default": "info"}])]
    project.ok("add", "mcp:io.github.acme/tiny", "--runtime", "process")
    registry.entries = []
    project.ok("apply", "--yes", "--no-probe")
    assert project.tools("tiny") == ["echo", "large", "attempt"]
    assert project.steps() == []


# search


def test_a_search_shows_name_kinds_description_and_what_is_deprecated(
    project: TrialProject, registry: RegistryServer
) -> None:
    registry.entries = real_entries()
    done = project.ok("search", "toolbox", "--kind", "mcp")
    assert done.out.splitlines() == [
        "mcp:io.github.stacklok/genai-toolbox@1.0.0  oci  DEPRECATED",
        "    Will be removed soon. Please use database-toolbox instead.",
    ]
    listed = project.ok("search", "stacklok", "--kind", "mcp", "--limit", "2")
    assert len(listed.out.splitlines()) == 4
    assert "2 of 12 are shown; --limit 12 shows all" in listed.err
    assert "nothing that is listed has nowhere" in project.ok("search", "nowhere", "--kind", "mcp").err


def test_a_search_covers_both_indexes(project: TrialProject) -> None:
    with serving_hatch(HatchPackage(name="tiny_kit")) as hatch:
        project.manifest.write_text(project.manifest.read_text() + f'\n[indexes.hatch]\nurl = "{hatch.index_url}"\n')
        found = project.ok("search", "tiny", "--json").document
    assert [(item["kind"], item["source"]) for item in found["servers"]] == [
        ("mcp", ENTRY),
        ("hatch", "hatch:tiny_kit==1.0.0"),
    ]
    assert (found["total"], found["notes"]) == (2, [])


def test_an_index_that_is_away_is_a_note_as_long_as_another_one_answers(project: TrialProject) -> None:
    closed = closed_address("/index.json")
    project.manifest.write_text(project.manifest.read_text() + f'\n[indexes.hatch]\nurl = "{closed}"\n')
    done = project.ok("search", "tiny")
    assert done.out.startswith(f"{ENTRY}  pypi\n")
    assert "note: the index of hatch: was left out" in done.err


def test_a_search_that_can_ask_nobody_fails(project: TrialProject) -> None:
    assert "--offline was asked for" in project.fails("search", "tiny", "--offline").err
    assert "nothing would be shown" in project.fails("search", "tiny", "--limit", "0", status=64).err


def test_a_search_needs_no_project(tmp_path: Path) -> None:
    lonely = TrialProject(tmp_path / "nowhere")
    assert "--offline was asked for" in lonely.fails("search", "tiny", "--offline", "--kind", "mcp").err
