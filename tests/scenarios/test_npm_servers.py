"""npm servers as users have them, over a registry on loopback: real npm decides, Node runs them inside bubblewrap."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.model import Lock
from hatchlock.lock.store import read_lock
from support.archives import tree_of
from support.cats import CatProject
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.project import TrialProject
from support.runs import SERVERS, Run
from support.unavailable import need_isolation

MANIFEST = """\
[project]
name = "trial"
platforms = ["{here}", "{there}"]

[servers.loader]
source = "npm:@acme/loader@^1"
runtime = "process"

[indexes.npm]
url = "{url}"
"""
HERE = host_platform()
THERE = "linux/arm64" if HERE == "darwin/arm64" else "darwin/arm64"
NODE_SYSTEMS = {"linux/amd64": "linux", "linux/arm64": "linux", "darwin/amd64": "darwin", "darwin/arm64": "darwin"}
LOADER = (SERVERS / "loader.js").read_text()
TRACE = "a-script-was-here"
APPLY = ("apply", "--yes", "--no-probe")

# Runs the command line in a process that kills itself when it is about to write below this path.
KILLER = """
import os, signal, sys
from hatchlock.cli.main import main
def hook(event, arguments):
    writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    moving = event in {"os.symlink", "os.rename"}
    if (writing and sys.argv[1] in str(arguments[0])) or (moving and sys.argv[1] in str(arguments[1])):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
sys.exit(main(sys.argv[2:]))
"""


def exporting(name: str, version: str, code: str = "", **more: Any) -> NpmRelease:
    says = code or f"module.exports = {json.dumps(f'{name} {version}')};"
    return NpmRelease(name=name, version=version, files={"index.js": says}, **more)


def releases() -> list[NpmRelease]:
    """Everything that the server needs."""
    optional = {"only-here": "1.0.0", "only-there": "1.0.0"}
    return [
        NpmRelease(
            name="@acme/loader",
            version="1.2.0",
            dependencies={"near": "^1.0.0", "outer": "*", "noisy": "*"},
            manifest={"bin": {"loader": "./bin/loader.js"}, "optionalDependencies": optional, "license": "MIT"},
            files={"bin/loader.js": LOADER},
        ),
        exporting("near", "1.0.0"),
        exporting("near", "1.4.0"),
        exporting("near", "2.0.0"),
        exporting("outer", "1.0.0", "module.exports = require('near');", dependencies={"near": "^2.0.0"}),
        exporting("noisy", "1.0.0", manifest={"scripts": {"postinstall": f"touch {TRACE}"}}),
        exporting("only-here", "1.0.0", manifest={"os": [NODE_SYSTEMS[HERE]]}),
        exporting("only-there", "1.0.0", manifest={"os": [NODE_SYSTEMS[THERE]]}),
    ]


def manifest(url: str) -> str:
    return MANIFEST.format(here=HERE, there=THERE, url=url)


def made(root: Path, url: str, *copied: TrialProject) -> CatProject:
    """Return a project; locked as another one is if there is one."""
    project = CatProject(root, manifest(url))
    for other in copied:
        project.lock.write_bytes(other.lock.read_bytes())
    return project


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> CatProject:
    """A project whose server was locked, applied and probed; its registry is gone afterwards."""
    need_isolation()
    root = tmp_path_factory.mktemp("applied")
    with serving_npm(*releases()) as registry:
        project = made(root, registry.url)
        (root / "said").write_text(project.ok("lock").err)
        assert project.steps() == ["create env:loader", "create server:loader"]
        done = project.ok("apply", "--yes")
        assert "server:loader  answered in" in done.out + done.err
        assert "load" in done.out + done.err
    return project


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[NpmRegistry]:
    with serving_npm(*releases()) as served:
        yield served


@pytest.fixture
def locked(tmp_path: Path, registry: NpmRegistry, applied: CatProject) -> CatProject:
    """A project with the same lock and a registry of its own; nothing is applied or cached."""
    return made(tmp_path / "locked", registry.url, applied)


def environment_of(project: TrialProject) -> Path:
    (name,) = project.environments()
    return project.store / "envs" / name


def running(project: TrialProject, server: str = "loader") -> Run:
    return Run(command=project.launch_command(server), env={"HOME": str(project.user_home), "PATH": "/usr/bin:/bin"})


def lock_of(project: TrialProject) -> Lock:
    return read_lock(project.lock)


# locked and applied


def test_the_lock_has_the_whole_tree_of_every_platform(applied: CatProject) -> None:
    lock = lock_of(applied)
    environment = lock.environment("loader", "process")
    assert dict(environment.tree) == {
        "node_modules/@acme/loader": "npm:@acme/loader@1.2.0",
        "node_modules/near": "npm:near@1.4.0",
        "node_modules/noisy": "npm:noisy@1.0.0",
        "node_modules/only-here": "npm:only-here@1.0.0",
        "node_modules/only-there": "npm:only-there@1.0.0",
        "node_modules/outer": "npm:outer@1.0.0",
        "node_modules/outer/node_modules/near": "npm:near@2.0.0",
    }
    assert environment.platform_packages == {HERE: ("npm:only-here@1.0.0",), THERE: ("npm:only-there@1.0.0",)}
    assert (environment.python, environment.requirements) == ("", ("npm:@acme/loader@^1",))
    assert {len(file.sha512) for package in lock.packages for file in package.files} == {128}
    loader = lock.package("npm:@acme/loader@1.2.0")
    assert (loader.licence, dict(loader.scripts), loader.index) == ("MIT", {"loader": "bin/loader.js"}, "npm")
    assert lock.server("loader").command == ("loader",)


def test_only_what_runs_here_is_there_and_each_package_finds_its_own(applied: CatProject) -> None:
    modules = tree_of(environment_of(applied) / "node_modules")
    assert modules["near/index.js"] == 'module.exports = "near 1.4.0";'
    assert modules["outer/node_modules/near/index.js"] == 'module.exports = "near 2.0.0";'
    assert "only-here/index.js" in modules
    assert "only-there" not in modules
    with running(applied) as run:
        assert run.hello()["serverInfo"] == {"name": "loader", "version": "1.0.0"}
        assert run.call("load", module="near") == '"near 1.4.0"'
        assert run.call("load", module="outer") == '"near 2.0.0"'
        assert run.call("load", module="only-there") == "MODULE_NOT_FOUND"
        assert run.end()[0] == 0


def test_the_mcp_sdk_lists_its_tools_and_so_does_probe(applied: CatProject) -> None:
    assert applied.tools("loader") == ["load"]
    found = applied.ok("probe", "loader", "--json").document
    assert (found["server"], [tool["name"] for tool in found["tools"]]) == ("loader", ["load"])


def test_an_install_script_is_named_and_not_run(applied: CatProject) -> None:
    said = (applied.root / "said").read_text()
    assert "npm:noisy@1.0.0 wants to run a script when it is installed; it is installed without" in said
    assert lock_of(applied).package("npm:noisy@1.0.0").install_script
    assert (environment_of(applied) / "node_modules" / "noisy" / "index.js").exists()
    assert not list(applied.root.rglob(TRACE))


def test_afterwards_there_is_nothing_to_do(applied: CatProject) -> None:
    assert applied.steps() == []
    (applied.store / "cache" / "memo").rename(applied.root / "memo")
    assert applied.run("plan", "--check").status == 0, "without its memory too"
    assert applied.half_done() == []


def test_a_lock_that_is_locked_again_is_the_same(locked: CatProject, registry: NpmRegistry) -> None:
    before = locked.lock.read_bytes()
    locked.ok("lock")
    assert registry.asked == [], "what is fresh is not asked for"
    locked.ok("lock", "--upgrade")
    assert locked.lock.read_bytes() == before


def test_the_published_newer_version_is_taken_only_when_it_may_move(locked: CatProject, registry: NpmRegistry) -> None:
    registry.releases.append(exporting("near", "1.5.0"))
    registry.tags["near"] = {"latest": "2.0.0"}
    before = locked.lock.read_bytes()
    locked.ok("lock")
    assert locked.lock.read_bytes() == before
    locked.ok("lock", "--upgrade", "near")
    assert lock_of(locked).environment("loader", "process").tree["node_modules/near"] == "npm:near@1.5.0"
    assert lock_of(locked).package("npm:near@2.0.0").index == "npm"


# what must not be


def test_a_tarball_with_other_bytes_stops_before_any_change(locked: CatProject, registry: NpmRegistry) -> None:
    near = next(item for item in registry.releases if (item.name, item.version) == ("near", "1.4.0"))
    good = near.files
    near.files = {"index.js": "steal()"}
    done = locked.fails(*APPLY)
    assert "near-1.4.0.tgz" in done.err
    assert "sha512" in done.err
    assert (locked.environments(), locked.active()) == ([], {})
    assert not list((locked.store / "envs").glob("*"))
    near.files = good
    locked.ok(*APPLY)
    assert len(locked.environments()) == 1


@pytest.mark.parametrize("place", ["node_modules/../../near", "/tmp/near", "node_modules/./near", "../near"])
def test_a_lock_that_leads_out_of_the_environment_is_refused(locked: CatProject, place: str) -> None:
    text = locked.lock.read_text()
    assert '"node_modules/near" = ' in text
    locked.lock.write_text(text.replace('"node_modules/near" = ', f'"{place}" = '))
    for command in (("plan",), APPLY, ("fetch",)):
        done = locked.fails(*command)
        assert f"{place!r} is no path in an environment" in done.err
    assert locked.environments() == []


def test_a_place_that_is_none_of_a_package_is_refused_before_it_is_made(locked: CatProject) -> None:
    text = locked.lock.read_text()
    locked.lock.write_text(text.replace("[environment.tree]\n", '[environment.tree]\nbin = "npm:near@2.0.0"\n'))
    done = locked.run(*APPLY)
    assert done.status == 1, done.said
    assert "near@2.0.0 cannot be at 'bin'" in done.out + done.err
    assert (locked.environments(), locked.active()) == ([], {})


@pytest.mark.parametrize("instant", ["/near/index.js", "/bin/loader", "/.hatchlock-receipt", "journal.ndjson"])
def test_killed_while_it_is_built_the_same_apply_converges(
    locked: CatProject, applied: CatProject, instant: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLER, instant, *APPLY],
        cwd=locked.directory,
        env=locked.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert locked.environments() == []
    locked.ok(*APPLY)
    assert locked.half_done() == []
    assert locked.environments() == applied.environments(), "a store elsewhere, and the same name"
    ours, theirs = (tree_of(environment_of(item) / "node_modules") for item in (locked, applied))
    assert ours == theirs
    assert locked.steps() == []


# this machine and its registries


def test_without_node_that_server_is_a_problem_and_the_others_are_not(locked: CatProject, tmp_path: Path) -> None:
    text = locked.manifest.read_text()
    locked.write(text + '\n[servers.cat]\ncommand = ["/bin/cat"]\nruntime = "process"\n')
    locked.ok("lock")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "bwrap").symlink_to("/usr/bin/bwrap")
    locked.env["PATH"] = str(programs)
    document = locked.plan()
    assert [f"{step['action']} {step['address']}" for step in document["steps"]] == ["create server:cat"]
    (problem,) = document["problems"]
    assert (problem["address"], problem["code"]) == ("server:loader", "node-missing")
    assert problem["what"].startswith("Node ")
    assert "is not on PATH" in problem["what"]
    assert "install Node" in problem["hint"]
    done = locked.run(*APPLY)
    assert (done.status, list(locked.active())) == (1, ["cat"]), done.said
    locked.env["PATH"] = f"{programs}:/usr/bin:/bin"
    assert locked.steps() == ["create env:loader", "create server:loader"]


@pytest.fixture
def private(tmp_path: Path, registry: NpmRegistry) -> CatProject:
    """A project whose registry wants a token."""
    registry.token = "geheim-4711"
    return made(tmp_path / "private", registry.url)


def npmrc(registry: NpmRegistry, token: str) -> str:
    return f"{registry.url.removeprefix('http:')}:_authToken={token}\n"


def everything_written(project: TrialProject) -> bytes:
    kept = [path for path in project.root.rglob("*") if path.is_file() and path.name != ".npmrc"]
    return b"".join(path.read_bytes() for path in kept)


def test_a_private_registry_gets_the_token_of_npmrc_and_nobody_else_does(
    private: CatProject, registry: NpmRegistry
) -> None:
    refused = private.fails("lock")
    assert "401" in refused.err
    assert ".npmrc" in refused.err.partition("hint:")[2]
    assert not private.lock.exists()
    (private.user_home / ".npmrc").write_text(npmrc(registry, "geheim-4711"))
    private.ok("lock")
    private.ok(*APPLY)
    assert private.tools("loader") == ["load"]
    assert b"geheim" not in everything_written(private)
    assert registry.url.encode() not in private.lock.read_bytes()


def test_a_token_may_stand_in_a_variable_and_in_the_projects_own_file(
    private: CatProject, registry: NpmRegistry
) -> None:
    (private.directory / ".npmrc").write_text(npmrc(registry, "${NPM_TOKEN}"))
    private.fails("lock")
    private.env["NPM_TOKEN"] = "geheim-4711"
    private.ok("lock")
    del private.env["NPM_TOKEN"]
    refused = private.fails(*APPLY)
    assert "401" in refused.err
    assert private.environments() == []


def test_without_the_registry_the_cache_answers_and_the_store_has_the_files(tmp_path: Path) -> None:
    with serving_npm(*releases()) as registry:
        project = made(tmp_path / "offline", registry.url)
        project.ok("lock")
        project.ok("fetch")
    before = project.lock.read_bytes()
    project.lock.unlink()
    project.ok("lock", "--offline")
    assert project.lock.read_bytes() == before
    project.ok(*APPLY, "--offline")
    assert project.tools("loader") == ["load"]


def test_offline_without_the_files_says_so_and_changes_nothing(locked: CatProject, registry: NpmRegistry) -> None:
    done = locked.fails(*APPLY, "--offline")
    assert "--offline was asked for" in done.err
    assert (locked.environments(), registry.asked) == ([], [])


# the real ones

REAL = """\
[project]
name = "trial"
platforms = ["{here}", "{there}"]

[defaults]
runtime = "process"

[servers.everything]
source = "npm:@modelcontextprotocol/server-everything"

[servers.filesystem]
source = "npm:@modelcontextprotocol/server-filesystem"
args = ["/tmp"]

[servers.memory]
source = "npm:@modelcontextprotocol/server-memory"
"""


@pytest.mark.network
def test_the_official_servers_are_locked_applied_probed_and_run(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, REAL.format(here=HERE, there=THERE))
    project.ok("lock")
    project.ok("apply", "--yes")
    health = {item["name"]: item["health"] for item in project.ok("status", "--json").document["servers"]}
    assert health == dict.fromkeys(("everything", "filesystem", "memory"), "healthy")
    expected: dict[str, Callable[[list[str]], bool]] = {
        "everything": lambda tools: "echo" in tools,
        "filesystem": lambda tools: "read_text_file" in tools,
        "memory": lambda tools: "read_graph" in tools,
    }
    for server, has_it in expected.items():
        assert has_it(project.tools(server)), server
    with running(project, "filesystem") as run:
        run.hello()
        run.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert "Allowed directories:\n/tmp" in run.call("list_allowed_directories")
        assert run.end()[0] == 0
    assert project.steps() == []
