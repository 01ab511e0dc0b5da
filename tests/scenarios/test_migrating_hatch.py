"""What `docs/migrating/hatch.md` says to do instead of each command of Hatch, done, in one project that came from Hatch."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from support.hatch_registry import HatchPackage, hatch_metadata, serving_hatch
from support.index import serving
from support.migrating import World, quick_collections, rows
from support.project import snapshot
from support.runs import SERVERS
from support.trees import plant
from support.unavailable import need_isolation

ROWS = rows("hatch")
SECTIONS = list(dict.fromkeys(row.section for row in ROWS))
Check = Callable[[World], object]
PYTHON = f"3.{sys.version_info.minor}"
ECHO = (SERVERS / "echo.py").read_text()
WRAPPER = "from server import mcp\n"
HEAD = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
isolation = "best-effort"

[indexes.pypi]
url = "{pypi}"

[indexes.hatch]
url = "{hatch}"

[servers.notes]
command = ["/bin/cat"]
"""


def kit(name: str) -> dict[str, Any]:
    """A package whose server needs nothing, as files."""
    return {"hatch_metadata.json": hatch_metadata(name, tools=[]), "server.py": ECHO, "wrapper.py": WRAPPER}


def hatch_home(world: World) -> None:
    """Write what Hatch left: an environment with a package, which Cursor lists, among servers of others."""
    home = world.user_home
    entry = {
        "command": "/opt/conda/envs/hatch_lab/bin/python",
        "args": [f"{home}/.hatch/envs/lab/weather_kit/server.py"],
        "env": {},
    }
    configured = {"config_path": "~/.cursor/mcp.json", "server_config": {"name": "weather_kit", **entry}}
    package = {
        "name": "weather_kit",
        "version": "1.0.0",
        "type": "hatch",
        "source": f"file://{home}/kits/weather_kit",
        "configured_hosts": {"cursor": configured},
    }
    lab = {
        "name": "lab",
        "description": "",
        "packages": [package],
        "python_environment": True,
        "python_version": PYTHON,
    }
    plant(home / ".hatch/envs", {"environments.json": {"lab": lab}, "current_env": "lab"})
    plant(home / ".hatch/envs/lab/weather_kit", kit("weather_kit"))
    others = {name: {"command": "/bin/cat", "args": [name]} for name in ("diary", "agenda", "old")}
    plant(home / ".cursor", {"mcp.json": {"mcpServers": {"weather_kit": entry, **others}}})
    (home / ".codex").mkdir()
    (home / ".config/zed").mkdir(parents=True)
    (home / "notes.env").write_text("API_KEY=abc\n")
    (home / "notes.env").chmod(0o600)
    for name in ("rain_kit", "wind_kit"):
        plant(world.directory / "kits" / name, kit(name))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need_isolation()
    units = [
        HatchPackage(name="units_kit", version=version, files={"server.py": ECHO}, metadata={"tools": []})
        for version in ("1.0.0", "2.0.0")
    ]
    with quick_collections(), serving() as pypi, serving_hatch(units) as registry:
        made = World(tmp_path_factory.mktemp("hatch"))
        made.env["LANG"] = "C.UTF-8"
        hatch_home(made)
        made.write(HEAD.format(platform=host_platform(), pypi=pypi.url, hatch=registry.index_url))
        made.ok("import", str(made.user_home / ".hatch/envs"), "--runtime", "process")
        made.ok("up", "--yes", "--no-probe")
        yield made


def entry(world: World, client: str, name: str) -> Mapping[str, Any]:
    """Return an entry as it stands in the user's file of an application; empty if there is none."""
    path = world.user_home / FILES[client]
    found = CLIENTS[client].dialect.read(path.read_bytes()).get(name) if path.exists() else None
    return found.value if found else {}


def ours(world: World, client: str, name: str) -> bool:
    return str(world.launcher) in str(entry(world, client, name))


def has(world: World, client: str, name: str, **fields: Any) -> bool:
    found = entry(world, client, name)
    return ours(world, client, name) and {key: found.get(key) for key in fields} == fields


def record(world: World, server: str) -> str:
    """Return the launch record of a server, as it is stored."""
    return (world.store / "projects/trial/launch" / f"{world.active()[server]}.json").read_text()


def packages(world: World) -> list[str]:
    return [package.id.partition("+")[0] for package in read_lock(world.lock).packages]


def environment(world: World, server: str) -> Any:
    return tomllib.loads(world.manifest.read_text())["servers"][server].get("environment")


def documents(world: World) -> bool:
    return all("format_version" in done.document for done in world.left)


def says(*texts: str) -> Check:
    """What the commands of a row have to say, together."""
    return lambda world: all(text in "".join(done.said for done in world.left) for text in texts)


IDLE = says("Nothing to do")
FILES = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "codex": ".codex/config.toml",
    "cursor": ".cursor/mcp.json",
    "gemini": ".gemini/settings.json",
    "kiro": ".kiro/settings/mcp.json",
    "mistral-vibe": ".vibe/config.toml",
    "zed": ".config/zed/settings.json",
}
CHECKS: dict[str, Check] = {
    # environments
    "env create NAME": lambda world: len(world.environments()) == 2,
    "env create --description -D": lambda world: "what the analysts share" in world.ok("env", "show", "lab").out,
    "env create env python init --python-version": lambda world: (
        f"python       {PYTHON}" in world.ok("env", "show", "lab").out
    ),
    "env create env remove env use env python init env python remove --dry-run": IDLE,
    "env remove NAME": lambda world: "bench" not in world.ok("env", "list").out,
    "env remove --auto-approve": IDLE,
    "env list": says("lab", "present", "weather_kit"),
    "env list --json": lambda world: "lab" in str(world.left[0].document["environments"]),
    "env list --pattern": says("used by", "present"),
    "env list hosts env list servers": says("APPLICATION  INSTALLED", "SERVER       APPLICATION", "in-sync"),
    "env list hosts --server": lambda world: "foreign" not in world.left[0].out and "in-sync" in world.left[0].out,
    "env list servers --host": lambda world: "cursor" in world.left[0].out and "codex" not in world.left[0].out,
    "env list hosts env list servers --env -e": says("USED BY", "weather_kit"),
    "env list hosts env list servers --json": documents,
    "env use NAME env current": lambda world: environment(world, "weather_kit") == "lab",
    "env show NAME": says("hatch:weather_kit"),
    "env python init env python info env python remove env python shell --hatch_env": says("lab"),
    "env python init": IDLE,
    "env python init --force": says("env:lab  replaced"),
    "env python info": says("where"),
    "env python info --detailed": says("verified", "none altered", f"ok      Python {PYTHON}"),
    "env python remove": lambda world: "present" in world.ok("env", "show", "lab").out,
    "env python remove --force": says("nothing to delete"),
    "env python shell": lambda world: world.left[0].out == "",
    "env python shell --cmd": lambda world: world.left[0].out == "42\n",
    # packages
    "create NAME": lambda world: "is valid" in world.ok("validate", "snow_kit").out,
    "create --dir -d": lambda world: "is valid" in world.ok("validate", "kits/hail_kit").out,
    "validate DIR": says("rain_kit 1.0.0 is valid"),
    "package add PATH": lambda world: "hatch:rain_kit@1.0.0" in packages(world) and "rain-kit" in world.active(),
    "package add --env -e": lambda world: (
        environment(world, "rain-kit") == "lab" and "rain-kit" in world.ok("env", "show", "lab").out
    ),
    "package add --version -v": lambda world: "hatch:units_kit@1.0.0" in packages(world),
    "package add --host": lambda world: ours(world, "cursor", "wind-kit") and ours(world, "claude-desktop", "wind-kit"),
    "package add --force-download -f": lambda world: "damaged" not in world.left[0].err,
    "package add --refresh-registry -r": lambda world: "hatch:units_kit@1.0.0" in packages(world),
    "package add package remove package sync --dry-run": IDLE,
    "package add package remove package sync --auto-approve": IDLE,
    "package remove NAME": lambda world: (
        "hatch:rain_kit@1.0.0" not in packages(world) and "rain-kit" not in world.active()
    ),
    "package remove package sync --env -e": lambda world: "units-kit" not in world.active(),
    "package list": says("env:lab", "hatch:weather_kit"),
    "package list --env -e": says("hatch:weather_kit"),
    "package sync NAME --host": lambda world: all(
        ours(world, name, "weather_kit") for name in ("cursor", "claude-desktop", "gemini")
    ),
    # applications
    "mcp discover hosts": lambda world: all(name in world.left[0].out for name in CLIENTS),
    "mcp discover hosts --json": lambda world: (
        {item["name"] for item in world.left[0].document["applications"]} == set(CLIENTS)
    ),
    "mcp discover servers": says("weather_kit", "diary"),
    "mcp discover servers --env -e": says("USED BY", "weather_kit"),
    "mcp list hosts": says("foreign", "in-sync"),
    "mcp list servers": says("SERVER", "foreign"),
    "mcp list hosts mcp list servers --json": documents,
    "mcp list hosts mcp show hosts --server": lambda world: all(
        "diary" in done.out or "1 foreign" in done.out for done in world.left
    ),
    "mcp list servers mcp show servers --host": lambda world: (
        "diary" in world.left[1].out and "codex" not in world.left[0].out
    ),
    "mcp show hosts mcp show servers": lambda world: (
        "weather_kit" in world.left[0].out and "weather_kit" not in world.left[1].out
    ),
    "mcp show hosts mcp show servers --json": documents,
    "mcp remove server NAME": lambda world: not entry(world, "cursor", "old") and entry(world, "cursor", "diary"),
    "mcp remove server --host": lambda world: (
        not entry(world, "gemini", "weather_kit") and ours(world, "cursor", "weather_kit")
    ),
    "mcp remove host HOST": says("Restored: "),
    "mcp remove server mcp remove host mcp sync mcp backup restore --dry-run": says("puts back: weather_kit"),
    "mcp remove server mcp remove host mcp sync mcp backup restore --auto-approve": says("Restored: "),
    "mcp sync --from-host --to-host": lambda world: entry(world, "codex", "diary")["args"] == ["diary"],
    "mcp sync --servers": lambda world: entry(world, "claude-desktop", "agenda") and entry(world, "zed", "agenda"),
    "mcp sync --pattern": lambda world: entry(world, "zed", "diary"),
    "mcp sync --detailed": lambda world: "kiro@user/diary" in world.left[0].said and not entry(world, "kiro", "diary"),
    "mcp sync --from-env": lambda world: ours(world, "cursor", "weather_kit") and ours(world, "cursor", "notes"),
    "mcp backup list HOST": says("GENERATION"),
    "mcp backup list --detailed -d": says("puts back: weather_kit"),
    "mcp backup list --json": lambda world: world.left[0].document["generations"],
    "mcp backup restore HOST": says("Restored: "),
    "mcp backup restore --backup-file -f": says("Rolled back to generation"),
    "mcp backup clean HOST --older-than-days --keep-count --dry-run --auto-approve": says("generation"),
    # one entry
    "mcp configure SERVER --command": lambda world: "notes" in world.active(),
    "mcp configure --host": lambda world: all(
        ours(world, name, "notes") for name in ("codex", "cursor", "gemini", "kiro", "mistral-vibe")
    ),
    "mcp configure --args": lambda world: '"-u","-"' in record(world, "notes"),
    "mcp configure --env-var": lambda world: '"LOG_LEVEL"' in record(world, "notes"),
    "mcp configure --url --http-url": lambda world: (
        ours(world, "cursor", "tracker") and "mcp.example.com" in record(world, "tracker")
    ),
    "mcp configure --header": lambda world: (
        "X-Team" in record(world, "tracker") and not entry(world, "cursor", "tracker").get("headers")
    ),
    "mcp configure --bearer-token-env-var": lambda world: "env:TRACKER_TOKEN" in record(world, "tracker"),
    "mcp configure --env-header": lambda world: "env:TRACKER_KEY" in record(world, "tracker"),
    "mcp configure --api-key-env --api-key-header --api-key-format": lambda world: "Key {}" in record(world, "tracker"),
    "mcp configure --cwd": lambda world: '"/tmp"' in record(world, "notes"),
    "mcp configure --env-file": lambda world: (
        "notes.env" in record(world, "notes") and "abc" not in record(world, "notes")
    ),
    "mcp configure --input": lambda world: "keyring:search-key" in record(world, "notes"),
    "mcp configure --env-vars": lambda world: "env:LANG" in record(world, "notes"),
    "mcp configure --timeout": lambda world: has(world, "gemini", "notes", timeout=30000),
    "mcp configure --trust": lambda world: has(world, "gemini", "notes", timeout=30000, trust=True),
    "mcp configure --include-tools --exclude-tools": lambda world: "get_raw" in record(world, "notes"),
    "mcp configure --disabled": lambda world: has(world, "kiro", "notes", disabled=True),
    "mcp configure --auto-approve-tools": lambda world: has(world, "kiro", "notes", autoApprove=["get_note"]),
    "mcp configure --disable-tools": lambda world: has(world, "kiro", "notes", disabledTools=["delete_note"]),
    "mcp configure --startup-timeout": lambda world: has(world, "codex", "notes", startup_timeout_sec=20),
    "mcp configure --tool-timeout": lambda world: has(world, "codex", "notes", tool_timeout_sec=90),
    "mcp configure --enabled": lambda world: has(world, "codex", "notes", enabled=True),
    "mcp configure --prompt": lambda world: has(world, "mistral-vibe", "notes", prompt="Notes of the team"),
    "mcp configure --sampling-enabled": lambda world: has(world, "mistral-vibe", "notes", sampling_enabled=True),
    "mcp configure --dry-run": says("Nothing to do", "only client:cursor", "nothing"),
    "mcp configure --auto-approve": IDLE,
    # for every command
    "--version": says("hatchlock "),
    "--envs-dir": says("missing"),
    "--cache-dir": lambda world: world.left[0].out.strip() == str(world.store / "cache"),
    "--cache-ttl": lambda world: 'ttl = "2h"' in world.manifest.read_text(),
    "--log-level": IDLE,
    "HATCH_AUTO_APPROVE": IDLE,
    "NO_COLOR": lambda world: "\x1b[" not in world.left[0].said,
}


def test_every_row_that_can_be_done_is_looked_at() -> None:
    assert sorted({item.key for item in ROWS if item.steps} ^ set(CHECKS)) == []


@pytest.mark.parametrize("section", SECTIONS)
def test_what_a_section_says_can_be_done(world: World, section: str) -> None:
    for item in world.do(item for item in ROWS if item.section == section and item.steps):
        assert CHECKS[item.key](world), f"line {item.line}: {item.key}: {[done.said for done in world.left]}"
    assert world.steps() == []


def test_what_hatch_wrote_was_replaced_and_comes_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    hatch_home(world)
    before = (world.user_home / FILES["cursor"]).read_bytes()
    kept = snapshot(world.user_home / ".hatch")
    world.ok("import", str(world.user_home / ".hatch/envs"), "--runtime", "process")
    world.ok("up", "--yes", "--no-probe")
    assert ours(world, "cursor", "weather_kit")
    assert entry(world, "cursor", "diary") == {"command": "/bin/cat", "args": ["diary"]}
    world.ok("destroy", "--yes")
    assert (world.user_home / FILES["cursor"]).read_bytes() == before
    assert snapshot(world.user_home / ".hatch") == kept
