"""Container servers of every kind that loopback can serve: locked once, put together, loaded, started under the sandbox."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from hatchlock.images.key import image_tag
from hatchlock.lock.model import Lock
from hatchlock.lock.store import read_lock
from support.archives import Item
from support.cats import CatProject
from support.engine_images import untag_all
from support.git_server import Repository
from support.hatch_registry import hatch_metadata
from support.index import Index, serving
from support.mcp_bundles import bundle_manifest, make_bundle
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.project import server_release
from support.runs import SERVERS, Run
from support.static_files import serving_files
from support.trees import plant

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("held_base")]

ECHO = (SERVERS / "echo.py").read_text()
LOADER = (SERVERS / "loader.js").read_text()
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[defaults]
base = "oci:{base}"

[environments.shared]
node = "20"
base = "oci:{base}"
dependencies = ["npm:near@^1"]

[servers.npm]
source = "npm:@acme/loader@^1"
environment = "shared"

[servers.npm-too]
source = "npm:@acme/loader@^1"
environment = "shared"

[servers.pypi]
source = "pypi:tiny-server"

[servers.path]
source = "path:./weather"

[servers.git]
source = "git:{git}@main"

[servers.hatch]
source = "hatch:./kit"

[servers.mcpb]
source = "url:{files}/tiny.mcpb#sha256={bundle}"
python = "3.11"

[servers.program]
source = "url:{files}/program.py#sha256={program}"

[indexes.pypi]
url = "{pypi}"

[indexes.npm]
url = "{npm}"
"""
SERVERS_OF_PYTHON = ("git", "hatch", "mcpb", "path", "program", "pypi")
NUMERIC = 10001


def loader(version: str = "1.0.0") -> NpmRelease:
    return NpmRelease(
        name="@acme/loader",
        version=version,
        dependencies={"near": "^1.0.0"},
        manifest={"bin": {"loader": "./bin/loader.js"}},
        files={"bin/loader.js": LOADER},
    )


def near(version: str = "1.0.0") -> NpmRelease:
    return NpmRelease(name="near", version=version, files={"index.js": f"module.exports = {json.dumps(version)};"})


def python_project(name: str) -> dict[str, str]:
    return {
        "pyproject.toml": f'[project]\nname = "{name}"\nversion = "0.3"\nscripts = {{ {name} = "{name}.server:main" }}\n',
        f"src/{name}/__init__.py": "",
        f"src/{name}/server.py": ECHO,
    }


def bundle(directory: Path) -> Path:
    manifest = bundle_manifest("python")
    manifest["server"]["entry_point"] = "server/echo.py"
    manifest["server"]["mcp_config"] = {"command": "python", "args": ["${__dirname}/server/echo.py"], "env": {}}
    return make_bundle(directory / "tiny.mcpb", manifest, Item("server/echo.py", ECHO.encode()), main=False)


class Trial(CatProject):
    """A project with one container server of each kind."""

    def __init__(self, root: Path, *, engine: str, base: str, pypi: Index, npm: NpmRegistry, files: str) -> None:
        super().__init__(root, name=f"kinds-{secrets.token_hex(4)}", DOCKER_HOST=engine)
        served = root / "served"
        program = served / "program.py"
        program.write_text(f"#!/usr/bin/env python3\n{ECHO}")
        repository = Repository(root / "repository")
        repository.commit(dict(python_project("climate")))
        plant(self.directory / "weather", python_project("weather"))
        kit = {"server.py": ECHO.partition("from __future__ import annotations")[2], "wrapper.py": ""}
        plant(self.directory / "kit", {"hatch_metadata.json": hatch_metadata("kit", tools=[]), **kit})
        self.write(
            MANIFEST.format(
                name=self.name,
                platform=host_platform(),
                base=base,
                git=repository.url,
                files=files,
                bundle=hashlib.sha256(bundle(served).read_bytes()).hexdigest(),
                program=hashlib.sha256(program.read_bytes()).hexdigest(),
                pypi=pypi.url,
                npm=npm.url,
            )
        )
        self.engine = engine

    def lock_document(self) -> Lock:
        return read_lock(self.lock)

    def layers(self, server: str, environment: str = "") -> tuple[str, ...]:
        """Return the layers of a server's pinned image in the engine."""
        (key,) = self.lock_document().environment(environment or server, "container").keys.values()
        with Engine(self.engine) as connection:
            return connection.image_layers(image_tag(self.name, server, key))

    def running(self, server: str) -> Run:
        env = {"HOME": str(self.user_home), "PATH": "/usr/bin:/bin"}
        return Run(command=self.launch_command(server), env=env)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, engine: str, node_image: str) -> Iterator[Trial]:
    """The applied project; npm's registry can be changed."""
    root = tmp_path_factory.mktemp("kinds")
    (root / "served").mkdir()
    (root / "wheels").mkdir()
    with (
        serving(server_release(root / "wheels")) as pypi,
        serving_npm(loader(), near()) as npm,
        serving_files(root / "served") as files,
    ):
        project = Trial(root, engine=engine, base=node_image, pypi=pypi, npm=npm, files=files)
        try:
            project.ok("lock")
            project.ok("apply", "--yes", "--no-probe")
            yield project
        finally:
            untag_all(engine, project.name)


@pytest.mark.parametrize("server", SERVERS_OF_PYTHON)
def test_it_answers_as_a_numeric_user_with_a_root_that_it_cannot_write_to(trial: Trial, server: str) -> None:
    with trial.running(server) as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        said = json.loads(run.attempt("facts"))
        assert (said["uid"], said["no_new_privs"], said["interfaces"]) == (NUMERIC, "1", ["lo"])
        assert "Read-only file system" in run.attempt("write", "/opt/hatchlock/x")


@pytest.mark.parametrize("server", ["npm", "npm-too"])
def test_a_server_of_npm_is_started_by_its_own_file(trial: Trial, server: str) -> None:
    with trial.running(server) as run:
        assert run.hello()["serverInfo"]["name"] == "loader"
        assert run.call("load", module="near") == '"1.0.0"'


def test_a_live_directory_takes_the_place_of_what_was_locked(trial: Trial) -> None:
    server = trial.directory / "weather" / "src" / "weather" / "server.py"
    locked = server.read_text()
    server.write_text(locked.replace('"name": "echo"', '"name": "live"'))
    try:
        command = trial.launch_command("path")
        env = {"HOME": str(trial.user_home), "PATH": "/usr/bin:/bin"}
        with Run(command=[*command[:-1], "--dev", command[-1]], env=env) as run:
            assert run.hello()["serverInfo"]["name"] == "live"
        with trial.running("path") as run:
            assert run.hello()["serverInfo"]["name"] == "echo"
    finally:
        server.write_text(locked)


def test_servers_that_share_an_environment_share_every_layer(trial: Trial) -> None:
    assert trial.layers("npm", "shared") == trial.layers("npm-too", "shared")


def test_a_second_plan_is_empty(trial: Trial) -> None:
    assert trial.steps() == []


def test_everything_of_the_lock_is_found_in_the_image(trial: Trial) -> None:
    code = "import importlib.metadata as m; print(*(f'{d.name}@{d.version}' for d in m.distributions()))"
    there = trial.real("exec", "path", "--", "/opt/hatchlock/bin/python", "-c", code).out.split()
    assert [item.partition("+")[0] for item in there] == ["weather@0.3"]
    assert trial.real("exec", "pypi", "--", "/opt/hatchlock/bin/python", "-c", code).out.split() == ["tiny_server@1.0"]
    walk = "for (const n of ['near', '@acme/loader']) console.log(require(`/opt/hatchlock/node_modules/${n}/package.json`).version)"
    assert trial.real("exec", "npm", "--", "node", "-e", walk).out.split() == ["1.0.0", "1.0.0"]


def test_another_store_directory_umask_zone_and_locale_give_the_same_images(trial: Trial, tmp_path: Path) -> None:
    """The other machine has nothing but the lock and what it names; the engine's images are those of the first."""
    report = tmp_path / "report.json"
    report.write_text(trial.ok("verify", "--json").out)
    found = json.loads(report.read_text())["findings"]
    assert {item["name"] for item in found} == {"shared", *SERVERS_OF_PYTHON}
    assert all((item["state"], "engine" in item["compared"]) == ("same", True) for item in found)
    other = tmp_path / "elsewhere"
    shutil.copytree(trial.directory, other)
    files = tmp_path / "all.bundle"
    trial.ok("fetch", "--to", str(files))
    env = {
        "HATCHLOCK_HOME": str(tmp_path / "store"),
        "DOCKER_HOST": f"unix://{tmp_path}/nobody",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "LANG": "tr_TR",
    }
    trial.real("fetch", "--offline", "--from", str(files), cwd=other, env=env, umask=0o077)
    done = trial.real("verify", "--json", "--against", str(report), cwd=other, env=env, umask=0o077)
    assert done.status == 0, done.said
    assert all((item["state"], item["compared"]) == ("same", ["report"]) for item in done.document["findings"])
