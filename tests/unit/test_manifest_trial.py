"""The manifest of a trial: what is typed becomes a source, paths stay true, and of the project around it what is asked counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.manifest.load import loads
from hatchlock.manifest.trial import absolute, relative, source_word, trial_manifest, with_paths

AROUND = b"""
[project]
name = "acme"
platforms = ["linux/arm64"]
exclude-newer = "7d"
audit = "calls"

[defaults]
runtime = "process"
clients = ["cursor"]

[servers.time]
source = "pypi:mcp-server-time~=2026.1"

[indexes.pypi]
url = "https://index.example/simple"
"""


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("pypi:mcp-server-time", "pypi:mcp-server-time"),
        (".", "path:."),
        ("./server", "path:./server"),
        ("/srv/server", "path:/srv/server"),
        ("~/server", "path:~/server"),
        ("mine", "path:mine"),
        ("mine/server", "path:mine/server"),
        ("ghcr.io/team/server:1", "ghcr.io/team/server:1"),
        ("https://github.com/team/server", "git:https://github.com/team/server"),
        ("https://github.com/team/server/", "git:https://github.com/team/server"),
        ("https://github.com/team/server#v1.2", "git:https://github.com/team/server@v1.2"),
        ("https://git.example/team/server.git", "git:https://git.example/team/server.git"),
        ("git@git.example:team/server.git", "git:git@git.example:team/server.git"),
        ("git+https://git.example/team/server@main", "git:https://git.example/team/server@main"),
        ("ssh://git@git.example/team/server", "git:ssh://git@git.example/team/server"),
        ("https://mcp.example/mcp", "https://mcp.example/mcp"),
    ],
)
def test_directories_and_repositories_need_no_kind(text: str, source: str) -> None:
    assert source_word(text, is_directory=lambda path: path.startswith("mine")) == source


def test_paths_mean_the_same_from_elsewhere_and_are_written_as_people_do(tmp_path: Path) -> None:
    fields = {
        "source": "path:server",
        "env": {"LEVEL": "high", "TOKEN": {"secret": "file:token"}, "OTHER": {"secret": "env:X"}},
        "sandbox": {
            "network": "none",
            "mounts": [
                {"source": "./data", "target": "/data"},
                {"source": "~/notes", "target": "/notes"},
                {"source": "workspace", "target": "/workspace"},
            ],
        },
    }
    placed = with_paths(fields, absolute(tmp_path))
    assert placed["source"] == f"path:{tmp_path}/server"
    assert placed["env"] == {**fields["env"], "TOKEN": {"secret": f"file:{tmp_path}/token"}}  # type: ignore[dict-item]
    sources = [mount["source"] for mount in placed["sandbox"]["mounts"]]
    assert sources == [f"{tmp_path}/data", "~/notes", "workspace"]
    back = with_paths(placed, relative(tmp_path))
    assert back["source"] == "path:./server"
    assert [mount["source"] for mount in back["sandbox"]["mounts"]] == ["./data", "~/notes", "workspace"]
    assert with_paths(placed, relative(tmp_path / "elsewhere")) == placed


def test_paths_of_headers_mean_the_same_from_elsewhere_too(tmp_path: Path) -> None:
    fields = {"url": "https://mcp.example/mcp", "headers": {"X-Team": "blue", "X-Key": {"secret": "file:key"}}}
    placed = with_paths(fields, absolute(tmp_path))
    assert placed["headers"] == {"X-Team": "blue", "X-Key": {"secret": f"file:{tmp_path}/key"}}


def test_of_the_project_around_it_counts_what_is_about_where_things_come_from() -> None:
    text = trial_manifest(
        AROUND, name="try-1", platforms=("linux/amd64",), server="web", fields={"source": "npm:web@1", "args": ["--x"]}
    )
    manifest = loads(text, shown="try").manifest
    assert (manifest.project.name, manifest.project.platforms) == ("try-1", ("linux/amd64",))
    assert manifest.project.exclude_newer == "7d"
    assert list(manifest.servers) == ["web"]
    server = manifest.servers["web"]
    assert (server.runtime, server.args, server.clients) == ("process", ("--x",), ())
    assert [item.url for item in manifest.indexes["pypi"]] == ["https://index.example/simple"]


def test_outside_of_a_project_there_is_nothing_but_the_server() -> None:
    text = trial_manifest(b"", name="try-1", platforms=("linux/amd64",), server="cat", fields={"command": "/bin/cat"})
    assert text.count("[") == text.count("[project]") + text.count("[servers") + 1  # the list of platforms
    assert list(loads(text, shown="try").manifest.servers) == ["cat"]
