"""A home with six applications configured the usual careless way: `import`, `up`, and all of them have the same servers, pinned
and sandboxed, and no token is in any file; `destroy` gives back every byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.shape import Start
from hatchlock.engines.process import host_platform
from support.careless_home import ABOUT, TOKENS, WHERE, careless_home
from support.index import serving
from support.npm_registry import NpmRelease, serving_npm
from support.project import Done, TrialProject, server_release
from support.runs import SERVERS
from support.unavailable import need_isolation

MANIFEST = """\
# of this household
[project]
name = "home"
platforms = ["{platform}"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "{pypi}"

[indexes.npm]
url = "{npm}"
"""
REAL = """\
[project]
name = "home"
platforms = ["{platform}"]

[defaults]
runtime = "process"
"""
GITHUB = NpmRelease(
    name="tiny-github",
    version="1.2.0",
    manifest={"bin": {"tiny-github": "./loader.js"}},
    files={"loader.js": (SERVERS / "loader.js").read_text()},
)
UP = ("up", "--yes", "--no-probe")


class Home:
    """The project, what stood in the files, and everything that was said since."""

    def __init__(self, root: Path, manifest: str, *, github: str, time: str) -> None:
        need_isolation()
        self.project = TrialProject(root, manifest, name="home")
        self.files = careless_home(self.project.user_home, github=github, time=time)
        self.said: list[Done] = []

    def ok(self, *words: str) -> Done:
        done = self.project.ok(*words)
        self.said.append(done)
        return done

    def listed(self, client: str) -> dict[str, Start]:
        """Return the entries of an application that start a server through hatchlock."""
        path = self.project.user_home / WHERE[client]
        entries = CLIENTS[client].dialect.read(path.read_bytes(), path=str(path))
        meant = {name: CLIENTS[client].shape.read(entry.value) for name, entry in entries.items()}
        return {
            name: start
            for name, start in meant.items()
            if isinstance(start, Start) and start.command == str(self.project.launcher)
        }

    def entries(self, client: str) -> list[str]:
        path = self.project.user_home / WHERE[client]
        return sorted(CLIENTS[client].dialect.read(path.read_bytes(), path=str(path)))

    def leaks(self) -> list[str]:
        """Return the files that hold a token, and the outputs that did; but for the store of secrets."""
        every = (Path(directory, name) for directory, _, names in os.walk(self.project.root) for name in names)
        files = (path for path in every if path != self.project.store / "secrets.json" and path.is_file())
        found = [str(path) for path in files if _has_token(path.read_bytes())]
        return found + [" ".join(done.out[:200].split()) for done in self.said if _has_token(done.said.encode())]


def _has_token(data: bytes) -> bool:
    return any(token.encode() in data for token in TOKENS.values())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    time = server_release(tmp_path / "wheels", name="tiny-time")
    with serving(time) as pypi, serving_npm(GITHUB) as npm:
        manifest = MANIFEST.format(platform=host_platform(), pypi=pypi.url, npm=npm.url)
        yield Home(tmp_path / "world", manifest, github="tiny-github", time="tiny-time")


def test_import_and_up_and_back(home: Home) -> None:
    _there_and_back(home)
    text = home.project.manifest.read_text()
    assert text.startswith("# of this household\n")


@pytest.mark.full
@pytest.mark.network
def test_the_same_with_real_servers(tmp_path: Path) -> None:
    manifest = REAL.format(platform=host_platform())
    home = Home(tmp_path, manifest, github="@modelcontextprotocol/server-memory", time="mcp-server-time")
    _there_and_back(home)


def _there_and_back(home: Home) -> None:
    done = home.ok("import", "--keep-secrets")
    assert "6 servers added" in done.out, done.said
    assert [path for path, data in home.files.items() if path.read_bytes() != data] == []
    home.ok("lock")
    assert "launcher" not in home.ok("plan").said, "nothing of ours starts it yet"
    home.ok(*UP)
    assert {client: sorted(home.listed(client)) for client in WHERE} == ABOUT
    builtin = {"goose": ["developer"]}
    assert {client: home.entries(client) for client in WHERE} == {
        client: sorted(ABOUT[client] + builtin.get(client, [])) for client in WHERE
    }
    check = home.project.run("plan", "--check")
    assert check.status == 0, check.said
    assert home.project.tools("time")
    home.ok("status")
    home.ok("logs", "--audit")
    assert home.leaks() == []
    lock = home.project.lock.read_text()
    assert "sha256" in lock
    again = home.ok("import", "--keep-secrets")
    assert "nothing to import" not in again.out
    assert "0 servers added" in again.out
    assert home.project.run("plan", "--check").status == 0
    home.ok("destroy", "--yes")
    assert [str(path) for path, data in home.files.items() if path.read_bytes() != data] == []
