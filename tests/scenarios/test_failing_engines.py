"""Engines that have no room, stop in the middle, or run something else: a clear error, no name left, and the next apply converges."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from hatchlock.engines.docker import Engine, EngineStopped, OtherPlatform
from hatchlock.engines.process import host_platform
from support.cats import CatProject
from support.engine import OwnEngine
from support.layers import make_layer
from support.registry import push
from support.small_disk import small_disk

pytestmark = pytest.mark.engine

SIZE = 12 << 20
DISK = 80 << 20
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.big]
source = "oci:{image}"
runtime = "container"

[registries."{registry}"]
plain-http = true
"""
APPLY = ("apply", "--yes", "--no-probe")


@pytest.fixture(scope="module")
def small() -> Iterator[OwnEngine]:
    """An engine of our own on a disk of 80 MB. Its directory's name is short: it has sockets in it."""
    directory = Path(tempfile.mkdtemp(prefix="hl-"))
    disk, own = directory / "disk", directory / "engine"
    disk.mkdir()
    own.mkdir()
    with small_disk(disk, str(DISK)), OwnEngine(own, "--bridge=none", "--iptables=false", data=disk / "d") as engine:
        yield engine
    shutil.rmtree(directory)


@pytest.fixture
def project(tmp_path: Path, small: OwnEngine, registry: str) -> Iterator[CatProject]:
    """A locked and fetched project of one image that is used as it is, which nobody has loaded before."""
    name = f"failing-{secrets.token_hex(4)}"
    architecture = host_platform().removeprefix("linux/")
    layers = [make_layer({"data": os.urandom(SIZE)})]
    push(registry, name, "1", layers=layers, architecture=architecture, Entrypoint=["/bin/server"])
    text = MANIFEST.format(name=name, platform=host_platform(), image=f"{registry}/{name}:1", registry=registry)
    made = CatProject(tmp_path, text, name=name, DOCKER_HOST=small.address)
    made.ok("lock")
    made.ok("fetch")
    yield made
    with Engine(small.address) as connection:
        for tag in connection.images():
            connection.untag(tag)


def tags(engine: OwnEngine) -> list[str]:
    with Engine(engine.address) as connection:
        return list(connection.images())


def converges(project: CatProject, engine: OwnEngine) -> None:
    project.ok(*APPLY)
    assert project.steps() == []
    [tag] = tags(engine)
    assert tag.startswith(f"hatchlock/{project.name}/big:")


def test_a_full_disk_is_named_with_what_is_free_and_nothing_has_the_name(project: CatProject, small: OwnEngine) -> None:
    disk = small.directory.with_name("disk")
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    filler.write_bytes(bytes(free - SIZE * 3 // 2))  # it is sent, and does not fit a second time
    done = project.fails(*APPLY)
    assert "image:big: the disk of the container engine at unix://" in done.err
    assert f"MB free in {disk}/d, and is too small for image hatchlock/{project.name}/big:" in done.err
    assert "it was sent 12.6 MB" in done.err
    assert "hint: make room on the engine's disk, for example with `hatchlock gc`" in done.err
    assert (tags(small), project.active()) == ([], {})
    filler.unlink()
    converges(project, small)


@pytest.mark.parametrize("instant", ["while it is sent", "when all was sent"])
def test_an_engine_that_is_killed_while_it_loads_is_told_and_the_next_apply_converges(
    project: CatProject, small: OwnEngine, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    sent = 0
    load: Callable[..., None] = Engine.load

    def pieces(archive: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal sent
        for piece in archive:
            if not sent:
                sent = 1
                yield piece
            elif instant == "while it is sent" and sent == 1:
                sent = 2
                yield piece
                small.kill()
            else:
                yield piece
        if instant == "when all was sent":
            small.kill()

    monkeypatch.setattr(Engine, "load", lambda self, archive, *, tag: load(self, pieces(archive), tag=tag))
    done = project.fails(*APPLY)
    monkeypatch.undo()
    assert f"image:big: the container engine at {small.address} stopped, and did not load image" in done.err
    assert "hint: start it again, then run the same command" in done.err
    assert project.active() == {}
    small.start()
    assert tags(small) == []
    converges(project, small)


def test_an_engine_that_is_gone_is_told_by_an_open_connection(small: OwnEngine) -> None:
    with Engine(small.address) as connection:
        assert connection.images() == {}
        small.kill()
        with pytest.raises(EngineStopped, match="did not list images: Connection refused"):
            connection.images()
    small.start()


def test_an_engine_of_another_platform_gets_nothing(
    project: CatProject, small: OwnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(small.address) as connection:
        own = connection.platform()
        connection.check_platform(own)
        with pytest.raises(OtherPlatform, match=rf"runs {own}, and the image is for linux/s390x"):
            connection.check_platform("linux/s390x")
    # an engine of another processor cannot be had here: what it says of itself is all that is read of it
    monkeypatch.setattr(Engine, "platform", lambda _: "linux/s390x")
    done = project.fails(*APPLY)
    assert f"runs linux/s390x, and the image is for {host_platform()}" in done.err
    assert "DOCKER_HOST" in done.err
    assert tags(small) == []


def test_a_base_that_lacks_a_platform_is_told_when_it_is_locked(project: CatProject) -> None:
    project.edit(f'["{host_platform()}"]', '["linux/amd64", "linux/arm64"]')
    done = project.fails("lock")
    (other,) = {"linux/amd64", "linux/arm64"} - {host_platform()}
    assert f"does not exist for {other}, only for {host_platform()}" in done.err
