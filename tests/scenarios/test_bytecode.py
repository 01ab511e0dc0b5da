"""Bytecode on top of a pinned image, made by the image's own interpreter on a real engine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from hatchlock.engines.api import Engine as Api
from hatchlock.engines.bytecode import BytecodeFailed, add_bytecode
from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST, Engine
from hatchlock.engines.host import owner
from hatchlock.images.assemble import Composed, load
from hatchlock.images.key import image_tag, local_tag
from hatchlock.net.registry import Registry
from hatchlock.paths import Home
from hatchlock.resources.image_build import composed
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.store.blobs import Blobs
from support.images import wheel_image
from support.wheels import make_wheel

pytestmark = pytest.mark.engine

PYTHON = "/opt/hatchlock/bin/python"
PACKAGES = "/opt/hatchlock/lib/python3.11/site-packages"
FILES = {
    "demo.py": b"import json\nNAME = json.dumps('demo')\n",
    "broken.py": b"this is no Python\n",
    # what `site` would run, in the middle of the archive
    "demo.pth": b"import os; os.write(1, b'third-party code was run')\n",
}
SANDBOX: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "remove": True,
    # what Podman gives by itself is more than it may
    "ulimits": [docker.types.Ulimit(name=name, soft=1000, hard=1000) for name in ("nofile", "nproc")],
}


Loaded = tuple[Engine, Composed, str]


@contextlib.contextmanager
def loaded(address: str, base_image: str, directory: Path) -> Iterator[Loaded]:
    """Yield an engine that has an image of one wheel, the image, and its tag, in a project of its own."""
    project = f"bytecode-{secrets.token_hex(4)}"
    home = Home(root=directory / "home", is_default=False)
    blobs = Blobs(home.blobs)
    wheel = make_wheel(directory, files=FILES)
    with Engine(address) as engine:
        platform = engine.platform()
        registry = Registry(environ={"HOME": str(directory)}, default_host=DEFAULT_REGISTRY_HOST)
        base = lock_image(base_image, [platform], registry=registry, blobs=blobs, facts=True)
        fetch_image(base, platform, registry=registry, blobs=blobs)
        registry.close()
        spec = wheel_image(home, base.platforms[platform], [(wheel.name, wheel)], platform=platform)
        with composed(spec, home=home) as made:
            tag = image_tag(project, "demo", "1")
            load(made, engine=engine, tag=tag)
            yield engine, made, tag
        for tag in engine.images():
            if tag.startswith(f"hatchlock/{project}/"):
                engine.untag(tag)
        assert containers(engine, project) == []


@pytest.fixture(scope="module")
def image(base_image: str, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Yield what `loaded` does, for all tests that can share it."""
    with loaded(engine, base_image, tmp_path_factory.mktemp("bytecode")) as found:
        yield found


def containers(engine: Engine, project: str) -> list[str]:
    return [item.name for item in Api(engine.url).list({"dev.hatchlock.project": project})]


def compile_image(image: Loaded, scratch: Path, *, python: str = PYTHON, tag: str = "") -> str:
    engine, made, pinned = image
    tag = tag or local_tag(pinned)
    scratch.mkdir(exist_ok=True)
    try:
        add_bytecode(
            engine, made, pinned=pinned, tag=tag, python=python, directories=["/opt/hatchlock/lib"], scratch=scratch
        )
    finally:
        assert list(scratch.iterdir()) == []
    return tag


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the containers that are removed, as they were."""
    seen: list[dict[str, Any]] = []
    remove = Api.remove

    def look(self: Api, container: str) -> bool:
        seen.append(self.inspect(container))
        return remove(self, container)

    monkeypatch.setattr(Api, "remove", look)
    return seen


def check_sandbox(container: dict[str, Any]) -> None:
    host = container["HostConfig"]
    assert container["Config"]["User"] == "10001:10001"
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["Privileged"]) == ("none", True, False)
    # Podman names each of them
    assert host["CapDrop"] == ["ALL"] or "DAC_OVERRIDE" in host["CapDrop"]
    assert "no-new-privileges" in json.dumps(host["SecurityOpt"])
    assert not host.get("Mounts")
    assert not host["Binds"]


@pytest.mark.parametrize("kind", ["engine", "podman"])
def test_a_sibling_has_bytecode_that_its_interpreter_takes_and_the_pinned_image_is_as_it_was(
    kind: str, base_image: str, tmp_path: Path, removed: list[dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    with loaded(request.getfixturevalue(kind), base_image, tmp_path) as image:
        check_sibling(image, tmp_path, removed)


def check_sibling(image: Loaded, tmp_path: Path, removed: list[dict[str, Any]]) -> None:
    connection, made, pinned = image
    tag = compile_image(image, tmp_path / "scratch")
    (container,) = removed
    check_sandbox(container)
    assert compile_image(image, tmp_path / "scratch") == tag
    assert connection.image_layers(pinned) == made.diff_ids
    assert connection.image_layers(tag)[:-1] == made.diff_ids
    client = docker.DockerClient(base_url=connection.url)
    try:
        said = client.containers.run(tag, [PYTHON, "-v", "-c", "import demo"], stderr=True, **SANDBOX).decode()
        listed = client.containers.run(tag, ["find", "/opt/hatchlock/lib", "-name", "*.pyc"], **SANDBOX).decode()
        before, after = (client.images.get(name).attrs for name in (pinned, tag))
    finally:
        client.close()
    assert f"code object from '{PACKAGES}/__pycache__/demo.cpython-311.pyc'" in said
    assert "code object from '/usr/lib/python3.11/json/__pycache__/encoder.cpython-311.pyc'" in said
    assert "wrote" not in said
    assert listed.split() == [f"{PACKAGES}/__pycache__/demo.cpython-311.pyc"]
    labels = before["Config"].pop("Labels")
    assert after["Config"].pop("Labels") == {**labels, "dev.hatchlock.local": "bytecode"}
    assert after["Config"] == before["Config"]
    assert {name: after[name] for name in ("Architecture", "Os")} == {
        name: before[name] for name in ("Architecture", "Os")
    }


def test_where_all_is_compiled_the_sibling_is_the_image_itself(image: Loaded, tmp_path: Path) -> None:
    connection, _, pinned = image
    tag = compile_image(image, tmp_path / "scratch")
    layers = connection.image_layers(tag)
    made = Composed(config=b"", below=())
    add_bytecode(
        connection,
        made,
        pinned=tag,
        tag=f"{pinned}-again",
        python=PYTHON,
        directories=["/usr/lib/python3"],
        scratch=tmp_path,
    )
    assert connection.image_layers(f"{pinned}-again") == layers


@pytest.mark.parametrize(
    ("python", "why"),
    [("/bin/false", "made no bytecode: status 1"), ("/usr/bin/id", "status 1; .*id: "), ("/bin/echo", "is no archive")],
)
def test_an_interpreter_that_fails_is_told_with_its_own_words_and_leaves_nothing(
    image: Loaded, tmp_path: Path, python: str, why: str
) -> None:
    connection, _, pinned = image
    with pytest.raises(BytecodeFailed, match=why):
        compile_image(image, tmp_path / "scratch", python=python, tag=f"{pinned}-bad")
    assert f"{pinned}-bad" not in connection.images()
    assert containers(connection, pinned.split("/")[1]) == []


def test_what_a_killed_apply_left_is_cleared_by_the_next_and_what_another_one_has_is_not(
    image: Loaded, tmp_path: Path
) -> None:
    connection, _, pinned = image
    project = pinned.split("/")[1]
    api = Api(connection.url)
    alive = owner(os.getpid())
    labels = {"dev.hatchlock.project": project, "dev.hatchlock.purpose": "bytecode"}
    for name, words in {"dead": f"{alive}1", "living": alive}.items():
        api.create(
            f"{project}-{name}", {"Image": pinned, "Cmd": ["none"], "Labels": {**labels, "dev.hatchlock.owner": words}}
        )
    compile_image(image, tmp_path / "scratch")
    assert containers(connection, project) == [f"{project}-living"]
    assert api.remove(f"{project}-living")
