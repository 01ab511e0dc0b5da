"""What `export` writes for people without hatchlock, used: a compose file by docker-compose, a pasted entry by docker."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.launch import LaunchRecord
from hatchlock.lock.store import read_lock
from hatchlock.security.container import HostFacts
from hatchlock.security.posture import differences, found_posture, own_posture
from support.index import serving
from support.project import TrialProject, server_release
from support.unavailable import unavailable

pytestmark = pytest.mark.engine

MANIFEST = """\
[project]
name = "leaving"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server<2"
base = "oci:{base}"
runtime = "container"
env.SHOUT = "a $HOME of its own"
env.WORD = {{ secret = "env:THE_WORD", format = "say {{}}" }}

[servers.tiny.sandbox]
mounts = [{{ source = "./data", target = "/data" }}]
reason = "it reads"

[indexes.pypi]
url = "{index}"
"""
HOST = HostFacts(uid=0, gid=0, max_files=1 << 20, max_processes=1 << 15)
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A project, where its server's image was pushed to, and the engine that people without hatchlock have."""

    project: TrialProject
    image: str
    engine: str

    def export(self, *words: str) -> Any:
        return self.project.ok("export", *words, "--image", f"tiny={self.image}", "--json").document

    def answer(self, words: list[str], env: Mapping[str, str], cwd: Path) -> Any:
        """Start a server as an application does, say hello, and return what it answers."""
        said = self.use(*words, said=json.dumps(HELLO) + "\n", cwd=cwd, env=env)
        return json.loads(said.splitlines()[0])["result"]["serverInfo"]["name"]

    def use(self, *words: str, said: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run somebody else's program with this engine, and return its stdout."""
        given = {"PATH": self.project.env["PATH"], "DOCKER_HOST": self.engine, **(env or {})}
        done = subprocess.run(
            words, input=said, capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=given
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, registry: str, base_image: str, engine: str) -> Iterator[Pushed]:
    if shutil.which("docker") is None:
        unavailable("there is no docker on this machine")
    root = tmp_path_factory.mktemp("leaving")
    with serving(server_release(root)) as index:
        text = MANIFEST.format(platform=host_platform(), base=base_image, index=index.url)
        project = TrialProject(root, text, name="leaving", DOCKER_HOST="unix:///nowhere/docker.sock")
        (project.directory / "data").mkdir()
        project.ok("lock")
        to = project.ok("export", "tiny", "--to", f"docker://{registry}/leaving/tiny", "--json").document
        made = Pushed(project=project, image=to["reference"], engine=engine)
        made.use("docker", "pull", "--quiet", made.image)
        yield made
        made.use("docker", "image", "rm", "--force", made.image)


def test_a_compose_file_starts_what_was_locked_as_closed_as_here(pushed: Pushed) -> None:
    if shutil.which("docker-compose") is None:
        unavailable("there is no docker-compose on this machine (`apt-get install docker-compose`)")
    project, env = pushed.project, {"THE_WORD": "please"}
    (file,) = pushed.export("--format", "compose.yaml", "--output", str(project.directory / "compose.yaml"))["written"]
    compose = ["docker-compose", "--project-name", "leaving", "--file", file]
    assert pushed.answer([*compose, "run", "--rm", "-T", "tiny"], env, project.directory) == "echo"
    pushed.use(*compose, "up", "--no-start", env=env)
    (made,) = json.loads(pushed.use("docker", "inspect", "leaving_tiny_1"))
    pushed.use(*compose, "down", env=env)
    # docker-compose has no word for a control group namespace of its own, which engines give where these are version 2
    assert differing(pushed, made) <= {"processes", "cgroup namespace"}
    assert {"WORD=say please", "SHOUT=a $HOME of its own"} <= set(made["Config"]["Env"])


def differing(pushed: Pushed, made: Any) -> set[str]:
    """Return in what a container differs from the one that `run` would start.

    How many processes one user has at most is counted over all of its containers, and is no limit of this one.
    """
    own = own_posture(record(pushed), host=HOST, podman=False)
    return {item.field for item in differences(own, found_posture(made, podman=False))}


def record(pushed: Pushed) -> LaunchRecord:
    """What `run` would start here, from the lock alone."""
    directory = pushed.project.directory
    server = read_lock(pushed.project.lock).server("tiny")
    mounts = tuple(replace(mount, source=str(directory / "data")) for mount in server.sandbox.mounts)
    return LaunchRecord(
        project="leaving",
        server="tiny",
        runtime="container",
        argv=("/opt/hatchlock/bin/tiny-server",),
        sandbox=replace(server.sandbox, mounts=mounts),
        key="",
        image=pushed.image,
    )


def test_a_pasted_entry_starts_it_with_docker_alone(pushed: Pushed) -> None:
    files = pushed.export("--format", "client:claude-code", "--without-hatchlock")["files"]
    entry = json.loads(files[".claude.json"])["mcpServers"]["tiny"]
    assert entry["env"]["WORD"] == "say ${THE_WORD}"
    words = [entry["command"], *entry["args"]]
    assert words[:2] == ["docker", "run"]
    assert pushed.answer(words, entry["env"], Path("/")) == "echo"
    created = pushed.use("docker", "create", *words[2:], env=entry["env"]).strip()
    (made,) = json.loads(pushed.use("docker", "inspect", created))
    pushed.use("docker", "rm", created)
    assert differing(pushed, made) <= {"processes"}
