"""What the MCP registry says of a server after it was locked: `plan` and `status` pass it on, and depend on nobody's answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.usecases import standing
from support.cats import CatProject
from support.index import Index, serving
from support.mcp_registry import RegistryServer, published, serving_mcp
from support.project import server_release
from support.runs import PATIENCE

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
isolation = "best-effort"

[indexes.pypi]
url = "{index}"

[indexes.mcp]
url = "{registry}"
ttl = "{ttl}"

[servers.tiny]
source = "mcp:io.github.acme/tiny@1.0.0"

[servers.cat]
command = ["/bin/cat"]
"""
NOTE = "the registry says that mcp:io.github.acme/tiny@1.0.0 is deprecated: use \x1b[1mother"


def tiny(**other: Any) -> dict[str, Any]:
    package = {"registryType": "pypi", "identifier": "tiny-server", "version": "1.0"}
    return published("io.github.acme/tiny", packages=[package], **other)


DEPRECATED = tiny(status="deprecated", message="use \x1b[1mother")


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving_mcp(tiny()) as served:
        yield served


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with serving(server_release(tmp_path / "wheels")) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, registry: RegistryServer, index: Index, monkeypatch: pytest.MonkeyPatch) -> CatProject:
    """Locked while all was well; whatever is said is out of date at once, and waited for even on a busy machine."""
    monkeypatch.setattr(standing, "_LONGEST", PATIENCE)
    text = MANIFEST.format(platform=host_platform(), index=index.url, registry=registry.url, ttl="0s")
    made = CatProject(tmp_path, text)
    made.ok("lock")
    return made


def notes(project: CatProject, *words: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = project.ok("plan", "--json", *words).document["notes"]
    return found


def test_of_an_entry_that_is_as_it_was_nothing_is_said(project: CatProject) -> None:
    assert notes(project) == []
    assert "registry" not in project.ok("status").out


def test_a_deprecated_entry_is_a_note_that_changes_nothing(project: CatProject, registry: RegistryServer) -> None:
    registry.entries = [DEPRECATED]
    assert notes(project) == [{"address": "server:tiny", "what": NOTE}]
    project.ok("apply", "--yes", "--no-probe")
    shown = project.ok("plan", "--check").out
    assert shown.startswith("Nothing to do")
    assert shown.splitlines()[-1] == f"! server:tiny  {NOTE}".replace("\x1b", "\\x1b")
    servers = {item["name"]: item for item in project.ok("status", "--json").document["servers"]}
    assert (servers["tiny"]["sync"], servers["tiny"]["detail"]) == ("synced", NOTE)
    assert "\x1b" not in project.ok("status").out


def test_an_entry_that_was_deleted_or_is_gone_is_called_deleted(project: CatProject, registry: RegistryServer) -> None:
    registry.entries = [tiny(status="deleted", message="malware")]
    assert "is deleted: malware" in notes(project)[0]["what"]
    registry.entries = []
    assert "is deleted: the registry has it no more" in notes(project)[0]["what"]


def test_offline_nobody_is_asked_and_what_was_said_last_is_passed_on(
    project: CatProject, registry: RegistryServer
) -> None:
    registry.entries = [DEPRECATED]
    before = len(registry.asked)
    assert notes(project, "--offline") == []
    assert len(registry.asked) == before
    assert notes(project) == notes(project, "--offline") != []
    assert len(registry.asked) == before + 1


def test_within_its_time_to_live_an_answer_is_not_asked_for_again(
    project: CatProject, registry: RegistryServer
) -> None:
    project.edit('ttl = "0s"', 'ttl = "1h"')
    project.ok("lock")
    before = len(registry.asked)
    for _ in range(3):
        assert notes(project) == []
    assert len(registry.asked) == before, "the lock has just asked"


def test_a_registry_that_fails_says_nothing_and_is_left_alone_for_as_long(
    project: CatProject, registry: RegistryServer
) -> None:
    project.edit('ttl = "0s"', 'ttl = "1h"')
    project.ok("lock")
    (project.store / "cache" / "mcp-1").rename(project.store / "away")
    registry.failures["*"] = 1
    before = len(registry.asked)
    assert notes(project) == notes(project) == []
    assert len(registry.asked) == before + 1


def test_a_registry_that_never_answers_holds_a_plan_up_for_a_moment_only(
    project: CatProject, registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # it is waited for as users wait
    with socket.create_server(("127.0.0.1", 0)) as silent:
        project.edit(registry.url, f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        assert notes(project) == []
        assert time.monotonic() - began < 25, "the HTTP client alone would wait half a minute"


def test_a_registry_that_answers_nonsense_says_nothing(project: CatProject, registry: RegistryServer) -> None:
    before = len(registry.asked)
    assert notes(project) == []
    for path in registry.asked[before:]:
        registry.raw[path] = b"[]"
    assert notes(project) == []
    assert len(registry.asked) == before + 2
