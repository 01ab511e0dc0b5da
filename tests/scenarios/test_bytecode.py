"""Bytecode on top of a pinned image, made by the image's own interpreter on a real engine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from hatchlock.engines.api import Engine as Api
from hatchlock.engines.bytecode import BytecodePart, add_bytecode
from hatchlock.engines.bytecode_run import BytecodeFailed
from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST, Engine
from hatchlock.engines.process import host_platform
from hatchlock.images.assemble import Composed, load
from hatchlock.net.registry import Registry
from hatchlock.paths import Home
from hatchlock.process import owner
from hatchlock.resources.image_build import composed
from hatchlock.resources.image_bytecode import bytecode_parts
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.store.blobs import Blobs
from support.engine import OwnEngine, wait_until
from support.engine_images import said_in
from support.images import wheel_image
from support.index import serving
from support.project import TrialProject, server_release
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
    # what Podman gives by itself is more than it may
    "ulimits": [docker.types.Ulimit(name=name, soft=1000, hard=1000) for name in ("nofile", "nproc")],
}


MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server"
base = "oci:{base}"
runtime = "container"

[indexes.pypi]
url = "{index}"
"""
APPLY = ("apply", "--yes", "--no-probe")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An image that an engine has, in a project of its own; its layers are on disk."""

    engine: Engine
    project: str
    home: Home
    spec: ImageSpec
    image: Composed

    @property
    def pinned(self) -> str:
        return self.spec.tag(self.project)

    @property
    def cached(self) -> list[Path]:
        return sorted((self.home.cache / "bytecode").iterdir())

    def compile(self, *, tag: str = "", **changes: Any) -> str:
        """Give the image its sibling, and return the sibling's tag."""
        assert self.spec.environment
        tag = tag or self.spec.started_as(self.project)
        options = {"python": self.spec.environment.python, "parts": bytecode_parts(self.spec, self.image)}
        layers = add_bytecode(
            self.engine, self.image, pinned=self.pinned, tag=tag, home=self.home, **{**options, **changes}
        )
        assert self.engine.image_layers(tag) == layers
        return tag

    def like_this(self, directory: Path) -> Loaded:
        """Return the same with a store that is empty."""
        return replace(self, home=Home(root=directory, is_default=False))


@contextlib.contextmanager
def loaded(address: str, base_image: str, directory: Path, *, files: Mapping[str, bytes] = FILES) -> Iterator[Loaded]:
    """Load an image of one wheel into an engine."""
    project = f"bytecode-{secrets.token_hex(4)}"
    home = Home(root=directory / "home", is_default=False)
    blobs = Blobs(home.blobs)
    wheels = directory / "wheels" / project
    wheels.mkdir(parents=True)
    wheel = make_wheel(wheels, files=files)
    with Engine(address) as engine:
        platform = engine.platform()
        registry = Registry(environ={"HOME": str(directory)}, default_host=DEFAULT_REGISTRY_HOST)
        base = lock_image(base_image, [platform], registry=registry, blobs=blobs, facts=True)
        fetch_image(base, platform, registry=registry, blobs=blobs)
        registry.close()
        spec = wheel_image(home, base.platforms[platform], [(wheel.name, wheel)], platform=platform)
        with composed(spec, home=home) as made:
            load(made, engine=engine, tag=spec.tag(project))
            yield Loaded(engine=engine, project=project, home=home, spec=spec, image=made)
        for tag in engine.images():
            if tag.startswith(f"hatchlock/{project}/"):
                engine.untag(tag)
        assert containers(engine, project) == []


@pytest.fixture(scope="module")
def image(base_image: str, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Yield an image for all tests that can share it; it is compiled once."""
    with loaded(engine, base_image, tmp_path_factory.mktemp("bytecode")) as found:
        found.compile()
        yield found


def containers(engine: Engine, project: str) -> list[str]:
    return [item.name for item in Api(engine.url).list({"dev.hatchlock.project": project})]


def asked(container: dict[str, Any]) -> list[str]:
    """Return what a compiler was asked for."""
    words: list[str] = container["Config"]["Entrypoint"]
    return words[words.index("-c") + 2 :]


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
        check_sibling(image, removed)


def python_said(client: docker.DockerClient, image: str) -> str:
    """Return what Python says of its imports; Podman may end a log that is followed before it has all of it."""
    last = b"# clear sys.audit hooks"
    words = [PYTHON, "-v", "-c", "import demo"]
    container = client.containers.run(image, words, detach=True, **SANDBOX)
    try:
        container.wait()
        assert wait_until(lambda: last in container.logs())
        return str(container.logs().decode())
    finally:
        container.remove(force=True)


def check_sibling(image: Loaded, removed: list[dict[str, Any]]) -> None:
    connection, pinned = image.engine, image.pinned
    tag = image.compile()
    (container,) = removed
    check_sandbox(container)
    assert image.compile() == tag
    assert removed == [container]
    assert connection.image_layers(pinned) == image.image.diff_ids
    assert connection.image_layers(tag)[:-2] == image.image.diff_ids
    assert [path.stat().st_mode & 0o777 for path in image.cached] == [0o600, 0o600]
    client = docker.DockerClient(base_url=connection.url)
    try:
        said = python_said(client, tag)
        listed = said_in(client, tag, ["find", "/opt/hatchlock/lib", "-name", "*.pyc"], **SANDBOX)
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


def test_where_all_is_compiled_the_sibling_is_the_image_itself(image: Loaded, removed: list[dict[str, Any]]) -> None:
    nothing = [BytecodePart(directories=("/usr/lib/python3",), inputs=("nothing",))]
    for _ in range(2):
        image.compile(tag=f"{image.pinned}-again", parts=nothing)
        assert image.engine.image_layers(f"{image.pinned}-again") == image.image.diff_ids
    assert len(removed) == 1


def test_another_image_of_the_base_has_only_its_packages_compiled(
    image: Loaded, base_image: str, tmp_path: Path, removed: list[dict[str, Any]]
) -> None:
    with loaded(image.engine.url, base_image, tmp_path, files={"other.py": b"NAME = 'other'\n"}) as other:
        second = replace(other, home=image.home)
        tag = second.compile()
        (container,) = removed
        assert asked(container) == ["0:/opt/hatchlock/lib"]
        library = other.engine.image_layers(image.spec.started_as(image.project))[-2]
        assert other.engine.image_layers(tag)[-2] == library


def test_the_same_image_of_another_project_starts_no_container_and_sends_no_layer(
    image: Loaded, removed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    original = Engine.load

    def counted(self: Engine, archive: Iterable[bytes], *, tag: str) -> None:
        nonlocal sent
        pieces = list(archive)
        sent += sum(map(len, pieces))
        original(self, pieces, tag=tag)

    monkeypatch.setattr(Engine, "load", counted)
    other = replace(image, project=f"{image.project}-too")
    load(other.image, engine=image.engine, tag=other.pinned)
    stacks = image.engine.stacks()
    sent = 0
    tag = other.compile(has=lambda ids: any(stack[: len(ids)] == tuple(ids) for stack in stacks))
    assert removed == []
    assert sent < 1 << 16
    for name in (tag, other.pinned):
        image.engine.untag(name)


def test_several_who_need_the_same_at_once_have_one_container(
    image: Loaded, tmp_path: Path, removed: list[dict[str, Any]]
) -> None:
    empty = image.like_this(tmp_path)
    packages = bytecode_parts(image.spec, image.image)[1:]
    with ThreadPoolExecutor() as pool:
        works = [pool.submit(empty.compile, tag=f"{image.pinned}-{number}", parts=packages) for number in range(4)]
        tags = [work.result() for work in works]
    assert len(removed) == 1
    assert len({image.engine.image_layers(tag) for tag in tags}) == 1


def test_a_layer_that_was_changed_in_the_cache_is_made_anew(
    image: Loaded, tmp_path: Path, removed: list[dict[str, Any]]
) -> None:
    empty = image.like_this(tmp_path)
    packages = bytecode_parts(image.spec, image.image)[1:]
    tag = empty.compile(tag=f"{image.pinned}-damaged", parts=packages)
    (path,) = empty.cached
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    empty.compile(tag=tag, parts=packages)
    assert [asked(container) for container in removed] == [["0:/opt/hatchlock/lib"]] * 2
    assert [path.stat().st_size for path in empty.cached] == [size]


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("/bin/false", "made no bytecode: status 1"),
        ("/usr/bin/id", "status 1; .*id: "),
        ("/bin/echo", "announces no bytecode"),
    ],
)
def test_an_interpreter_that_fails_is_told_with_its_own_words_and_leaves_nothing(
    image: Loaded, tmp_path: Path, python: str, why: str
) -> None:
    empty = image.like_this(tmp_path)
    with pytest.raises(BytecodeFailed, match=why):
        empty.compile(python=python, tag=f"{image.pinned}-bad")
    assert empty.cached == []
    assert f"{image.pinned}-bad" not in image.engine.images()
    assert containers(image.engine, image.project) == []


def test_what_a_killed_apply_left_is_cleared_by_the_next_and_what_another_one_has_is_not(image: Loaded) -> None:
    api = Api(image.engine.url)
    alive = owner(os.getpid())
    labels = {"dev.hatchlock.project": image.project, "dev.hatchlock.purpose": "bytecode"}
    for name, words in {"dead": f"{alive}1", "living": alive}.items():
        mark = {**labels, "dev.hatchlock.owner": words}
        api.create(f"{image.project}-{name}", {"Image": image.pinned, "Cmd": ["none"], "Labels": mark})
    image.compile()
    assert containers(image.engine, image.project) == [f"{image.project}-living"]
    assert api.remove(f"{image.project}-living")


@contextlib.contextmanager
def fetched(address: str, base_image: str, directory: Path) -> Iterator[TrialProject]:
    """Yield a project of one server, whose apply has only to make its image."""
    name = f"bytecode-{secrets.token_hex(4)}"
    with serving(server_release(directory / "wheels")) as index:
        text = MANIFEST.format(name=name, platform=host_platform(), base=base_image, index=index.url)
        project = TrialProject(directory, text, name=name, DOCKER_HOST=address)
        project.ok("lock")
        project.ok("fetch")
    yield project
    with Engine(address) as engine:
        for tag in engine.images():
            if tag.startswith(f"hatchlock/{name}/"):
                engine.untag(tag)


@contextlib.contextmanager
def compiling(project: TrialProject) -> Iterator[subprocess.Popen[bytes]]:
    """Yield an apply whose compiler is at work."""
    api = Api(project.env["DOCKER_HOST"])
    labels = {"dev.hatchlock.project": project.name, "dev.hatchlock.purpose": "bytecode"}
    command = project.command(*APPLY)
    with subprocess.Popen(command, cwd=project.directory, env=project.env, stderr=subprocess.PIPE) as process:
        assert wait_until(lambda: any(item.state == "running" for item in api.list(labels)))
        yield process


def converges(project: TrialProject) -> None:
    project.ok(*APPLY)
    assert project.steps() == []
    with Engine(project.env["DOCKER_HOST"]) as engine:
        assert containers(engine, project.name) == []
        tags = [tag for tag in engine.images() if tag.startswith(f"hatchlock/{project.name}/")]
    assert [tag.endswith("-local") for tag in tags] == [False, True]
    cached = sorted((project.store / "cache" / "bytecode").iterdir())
    assert [path.suffix for path in cached] == [".tar", ".tar"]


def test_an_apply_that_is_killed_while_the_compiler_works_is_taken_up_by_the_next(
    engine: str, base_image: str, tmp_path: Path
) -> None:
    with fetched(engine, base_image, tmp_path) as project:
        with compiling(project) as process:
            process.kill()
        left = [path.name for path in (project.store / "cache" / "bytecode").iterdir()]
        assert len(left) == 1
        assert left[0].startswith(".")
        converges(project)
        kinds = project.ok("cache", "stats", "--json").document["cache"]["kinds"]
        assert [item["files"] for item in kinds if item["kind"] == "bytecode of images"] == [2]
        project.ok("cache", "clear")
        assert not (project.store / "cache" / "bytecode").exists()


def test_an_engine_that_is_killed_while_the_compiler_works_is_told_and_the_next_apply_converges(
    base_image: str, tmp_path: Path
) -> None:
    # a short name: there are sockets in it; and what the killed engine had started may still write there at the end
    with (
        tempfile.TemporaryDirectory(prefix="hl-", ignore_cleanup_errors=True) as directory,
        OwnEngine(Path(directory), "--bridge=none", "--iptables=false") as own,
        fetched(own.address, base_image, tmp_path) as project,
    ):
        with compiling(project) as process:
            own.kill()
            _, err = process.communicate()
        assert process.returncode == 1
        assert "image:tiny: no container engine answers at unix://" in err.decode()
        assert "hint: start Docker or Podman" in err.decode()
        own.start()
        converges(project)
