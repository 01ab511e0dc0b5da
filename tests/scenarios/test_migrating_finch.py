"""What `docs/migrating/finch-mcp.md` says to do instead of each command of finch-mcp, done, in one project that came from it."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from support.git_server import Repository, serving_git
from support.index import serving
from support.migrating import World, quick_collections, rows
from support.npm_registry import NpmRelease, serving_npm
from support.project import server_release
from support.registry import push
from support.runs import SERVERS
from support.trees import plant
from support.unavailable import need_isolation

Check = Callable[[World], object]
ROWS = rows("finch-mcp")
ON_AN_ENGINE = "Images and containers"
SECTIONS = [name for name in dict.fromkeys(row.section for row in ROWS) if name != ON_AN_ENGINE]
PACKAGE = {"name": "bells", "version": "1.0.0", "bin": "index.js"}
ECHO = (SERVERS / "echo.py").read_text()
EMPTY_LAYER = gzip.compress(bytes(10_240), mtime=0)
HEAD = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = ["cursor"]

"""
NOTES = """
[servers.notes]
source = "path:./notes#as=python"
command = ["python", "./server.py"]
"""


CURSOR = ".cursor/mcp.json"
FINCH_ENTRY = {"command": "finch-mcp", "args": ["run", "uvx", "clock-server"], "env": {}}
FINCH_FILE = """
runtime:
  command: python server.py
  env:
    LOG_LEVEL: info
mcp:
  startupTimeout: 60
  bufferSize: 1048576
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need_isolation()
    root = tmp_path_factory.mktemp("finch")
    tools = Repository(root / "git/tools")
    tools.commit(
        {"package.json": json.dumps({**PACKAGE, "name": "tools", "bin": "index.js"}), "index.js": "#!/usr/bin/env node"}
    )
    tools.git("tag", "v1")
    bell = NpmRelease(
        name="bell-server", manifest={"bin": {"bell-server": "index.js"}}, files={"index.js": "#!/usr/bin/env node\n"}
    )
    servers = [server_release(root / "wheels" / name, name=name) for name in ("clock-server", "alarm-server")]
    with quick_collections(), serving(*servers) as pypi, serving_npm(bell) as npm, serving_git(root / "git") as git:
        made = World(root)
        made.places = {"https://git.example.com": git.url.rstrip("/"), "https://pypi.example.com/simple/": pypi.url}
        plant(made.directory / "notes", {"server.py": ECHO})
        plant(made.directory / "bells", {"package.json": PACKAGE, "index.js": "#!/usr/bin/env node"})
        (made.directory / "data").mkdir()
        (made.directory / "notes.env").write_text("API_KEY=abc\n")
        (made.directory / "notes.env").chmod(0o600)
        indexes = f'[indexes.pypi]\nurl = "{pypi.url}"\n[indexes.npm]\nurl = "{npm.url}"\n'
        made.write(HEAD.format(platform=host_platform()) + indexes + NOTES)
        plant(made.user_home / ".cursor", {"mcp.json": {"mcpServers": {"clock": FINCH_ENTRY}}})
        made.ok("import")
        made.up()
        yield made
        made.ok("destroy", "--yes")


@pytest.fixture
def on_an_engine(tmp_path: Path, engine: str, registry: str) -> World:
    made = World(tmp_path, DOCKER_HOST=engine)
    made.places = {"registry.example.com": registry}
    made.write(HEAD.format(platform=host_platform()))
    push(registry, "team/server", "1.4", layers=[EMPTY_LAYER], Entrypoint=["/bin/server"])
    return made


def declared(world: World, server: str) -> dict[str, Any]:
    return dict(tomllib.loads(world.manifest.read_text())["servers"][server])


def packages(world: World) -> list[str]:
    return [package.id.partition("+")[0] for package in read_lock(world.lock).packages]


def record(world: World, server: str) -> str:
    """Return the launch record of a server, as it is stored."""
    return (world.store / "projects/trial/launch" / f"{world.active()[server]}.json").read_text()


def listed(world: World, server: str) -> bool:
    return str(world.launcher) in str(json.loads((world.user_home / CURSOR).read_text())["mcpServers"][server])


def says(*texts: str) -> Check:
    """What the commands of a row have to say, together."""
    return lambda world: all(text in "".join(done.said for done in world.left) for text in texts)


IDLE = says("Nothing to do")
CHECKS: dict[str, Check] = {
    # what is run
    "run uvx": lambda world: (
        "pypi:alarm-server@1.0" in packages(world) and listed(world, "alarm") and listed(world, "clock")
    ),
    "run npx run npm": lambda world: "npm:bell-server@1.0.0" in packages(world) and "bell" in world.active(),
    "run pip": lambda world: declared(world, "second-alarm")["source"] == "pypi:alarm-server",
    "run COMMAND": lambda world: '"/bin/cat","-u"' in record(world, "cat"),
    "run DIR": lambda world: "path:bells@1.0.0" in packages(world) and "bells" in world.active(),
    "run GIT": lambda world: "git:tools@1.0.0" in packages(world) and "tools" in world.active(),
    "run ARGS": lambda world: '"--stderr","two words"' in record(world, "clock"),
    "EXTRA_ARGS": lambda world: '"--stderr","three more words"' in record(world, "alarm"),
    "build GIT build DIR build COMMAND build ARGS": IDLE,
    "--env -e": lambda world: '"LOG_LEVEL"' in record(world, "clock"),
    "--volume -v": lambda world: f'"source":"{world.directory}/data"' in record(world, "clock"),
    "--host-network": lambda world: "api.example.com:443" in record(world, "clock"),
    "--forward-registry": lambda world: "pypi:clock-server@1.0" in packages(world),
    "--force -f": says("env:clock  replaced"),
    "--verbose -V": IDLE,
    "MCP_STDIO MCP_CLIENT CLAUDE_DESKTOP": says("tools     3"),
    # images and containers
    "run IMAGE": lambda world: "hatchlock/trial/server:" in record(world, "server") and "1.4" in world.lock.read_text(),
    "--direct": lambda world: declared(world, "direct")["source"].startswith("oci:") and "direct" in world.active(),
    "list": says("server  container", "direct"),
    "list --all -a": says("server"),
    "publish PATH --registry -r --name -n --tag -t": says("/team/copy@sha256:"),
    "cleanup": says("nothing to delete"),
    "cleanup --containers -c --images -i": says("nothing to delete"),
    "cleanup --force -f": says("nothing to delete"),
    "cleanup --all -a": lambda world: world.active() == {},
    # caches and logs
    "cache stats": says("blobs"),
    "cache clear": lambda world: "clock" in world.active(),
    "cache clear --force -f": lambda world: "clock" in world.active(),
    "cache cleanup": says("nothing to delete"),
    "cache cleanup --max-age -m": says("nothing to delete"),
    "logs list": says("GENERATION"),
    "logs list --limit -l": lambda world: len(world.left[0].out.splitlines()) <= 10,
    "logs show FILE": says("apply at", "end: "),
    "logs cleanup --max-age -m": lambda world: '"log_size":"5m"' in record(world, "clock"),
    "XDG_CACHE_HOME": lambda world: world.left[0].out.strip() == str(world.store / "cache"),
    # the file
    "runtime.command": lambda world: (
        "./server.py" in world.manifest.read_text() and "server.py" in record(world, "notes")
    ),
    "runtime.workingDir": lambda world: '"/tmp"' in record(world, "clock"),
    "runtime.env": lambda world: '"LOG_LEVEL"' in record(world, "notes"),
    "mcp.startupTimeout": lambda world: "60" in record(world, "notes"),
    # what is promised
    "create PATH --name -n": lambda world: "journal" in world.active(),
    "dev PATH": says("tools     3"),
    "dev --env -e": lambda world: '"DEBUG"' in record(world, "notes"),
    "run dev --port -p": lambda world: "/mcp" in world.ok("status").out,
    "run --env-file": lambda world: "notes.env" in record(world, "notes") and "abc" not in record(world, "notes"),
    "run --user": lambda world: "2000" in record(world, "notes"),
    "run --read-only": says("root read-only"),
    "login": says("bubblewrap"),
    "cache list --verbose": says("clock", "used by"),
    "cache clear IMAGE --all --older-than": says("nothing to delete"),
    "FINCH_MCP_CACHE_DIR FINCH_MCP_LOG_DIR": lambda world: "another-store" in world.left[0].out,
    "FINCH_MCP_NO_CACHE": says("hatch.lock"),
    "FINCH_MCP_DEBUG": IDLE,
    "--version": says("hatchlock "),
}


def done(world: World, section: str) -> None:
    """Do every row of a section, and look at each."""
    for item in world.do(item for item in ROWS if item.section == section and item.steps):
        assert CHECKS[item.key](world), f"line {item.line}: {item.key}: {[left.said for left in world.left]}"


def test_every_row_that_can_be_done_is_looked_at() -> None:
    assert sorted({item.key for item in ROWS if item.steps} ^ set(CHECKS)) == []


@pytest.mark.parametrize("section", SECTIONS)
def test_what_a_section_says_can_be_done(world: World, section: str) -> None:
    done(world, section)
    assert world.steps() == []


@pytest.mark.engine
def test_what_is_said_of_images_can_be_done(on_an_engine: World) -> None:
    done(on_an_engine, ON_AN_ENGINE)


def test_a_project_with_a_file_of_finch_becomes_a_server_that_answers(tmp_path: Path) -> None:
    world = World(tmp_path, HEAD.format(platform=host_platform()).replace('clients = ["cursor"]\n', ""))
    plant(world.directory / "notes", {"requirements.txt": "", "server.py": ECHO, ".finch-mcp": FINCH_FILE})
    said = world.ok("import", "notes/.finch-mcp").out
    assert "finch-mcp never used it" in said
    assert declared(world, "notes") == {
        "source": "path:./notes",
        "runtime": "process",
        "command": ["python", "server.py"],
        "startup-timeout": 60,
        "env": {"LOG_LEVEL": "info"},
    }
    world.ok("up", "--yes", "--no-probe")
    assert "echo" in world.tools("notes")
