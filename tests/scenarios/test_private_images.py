"""A server that is an image of a private registry: locked with the user's login, loaded into a real engine, started."""

from __future__ import annotations

import base64
import json
import secrets
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST
from hatchlock.engines.process import host_platform
from hatchlock.net.registry import Registry
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.store.blobs import Blobs
from support.engine_images import untag_all
from support.layers import make_layer
from support.project import TrialProject
from support.registry import LOGIN, push, serving_registry

pytestmark = pytest.mark.engine

SERVER = Path(__file__).parents[2] / "fixtures" / "servers" / "echo.py"
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.echo]
source = "oci:{image}"
"""
LABELS = {
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.source": "https://git.example.com/team/echo",
}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, base_image: str) -> Iterator[str]:
    """Yield the reference of an image that only `LOGIN` may pull: the base, and a server in it."""
    root = tmp_path_factory.mktemp("private")
    blobs = Blobs(root / "blobs")
    open_to_all = Registry(environ={"HOME": str(root)}, default_host=DEFAULT_REGISTRY_HOST)
    base = lock_image(base_image, [host_platform()], registry=open_to_all, blobs=blobs, facts=False)
    fetch_image(base, host_platform(), registry=open_to_all, blobs=blobs)
    open_to_all.close()
    found = base.platforms[host_platform()]
    layers = [blobs.path(layer.digest.removeprefix("sha256:")).read_bytes() for layer in found.layers]
    with serving_registry(root, behind_login=True) as address:
        push(
            *(address, "team/echo", "1.4.0"),
            layers=[*layers, make_layer({"srv/echo.py": SERVER.read_bytes()})],
            login=LOGIN,
            architecture=host_platform().removeprefix("linux/"),
            Entrypoint=["python3"],
            Cmd=["/srv/echo.py"],
            User="1234",
            Env=list(found.env),
            ExposedPorts={"8080/tcp": {}},
            Labels=LABELS,
        )
        yield f"{address}/team/echo:1.4.0"


@pytest.fixture
def project(tmp_path: Path, engine: str, private: str) -> Iterator[TrialProject]:
    name = f"private-{secrets.token_hex(4)}"
    manifest = MANIFEST.format(name=name, platform=host_platform(), image=private)
    yield TrialProject(tmp_path, manifest, name=name, DOCKER_HOST=engine)
    untag_all(engine, name)


def log_in(project: TrialProject, registry: str, login: str) -> None:
    directory = project.user_home / ".docker"
    directory.mkdir(exist_ok=True)
    auths = {registry: {"auth": base64.b64encode(login.encode()).decode()}}
    (directory / "config.json").write_text(json.dumps({"auths": auths}))


def test_an_image_of_a_private_registry_becomes_a_server_that_answers(project: TrialProject, private: str) -> None:
    registry = private.partition("/")[0]
    assert f"docker login {registry}" in project.fails("lock").err
    log_in(project, registry, LOGIN)
    project.ok("lock")
    text = project.lock.read_text()
    assert "s3cret" not in text
    (image,) = tomllib.loads(text)["image"]
    found = image["platforms"][host_platform()]
    assert (found["entrypoint"], found["command"], found["user"]) == (["python3"], ["/srv/echo.py"], "1234")
    assert (found["ports"], found["licence"]) == (["8080/tcp"], "Apache-2.0")
    assert found["repository"] == "https://git.example.com/team/echo"

    project.ok("apply", "--yes")
    assert project.tools("echo")
    assert project.steps() == []

    log_in(project, registry, "keeper:no-longer")
    project.ok("lock")
    assert project.lock.read_text() == text
    assert "does not accept the login" in project.fails("lock", "--upgrade").err
