"""What tests see, keep and take away of the images in an engine."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import docker
import pytest

from hatchlock.engines.docker import Engine, ImageInUse
from support.engine import wait_until

__all__ = ["held_base", "image_tags", "remove_image", "said_in", "sdk", "untag_all"]

_PATIENCE = 300
_CONFLICT = 409


@pytest.fixture
def sdk(engine: str) -> Iterator[docker.DockerClient]:
    """Yield a client of the engine that is not ours."""
    with contextlib.closing(docker.DockerClient(base_url=engine)) as client:
        yield client


def said_in(client: docker.DockerClient, image: str, words: Sequence[str], **options: Any) -> str:
    """Run a command that says something on stdout, and return that.

    It is read when the container has ended: a log that is followed may miss what a very short life has said.
    """
    container = client.containers.run(image, list(words), detach=True, **options)
    try:
        status = container.wait()["StatusCode"]
        wait_until(lambda: bool(container.logs()))
        assert status == 0, container.logs()
        return str(container.logs(stdout=True, stderr=False).decode())
    finally:
        container.remove(force=True)


@pytest.fixture(scope="session")
def held_base(engine: str, node_image: str) -> Iterator[None]:
    """Keep the layers of both base images in the engine: what hatchlock puts on them is then all that has to be loaded.

    That a base is sent along is for tests that do without.
    """
    repository = f"hatchlock/held-{secrets.token_hex(4)}/base"
    with contextlib.closing(docker.APIClient(base_url=engine, timeout=_PATIENCE)) as api:
        api.pull(node_image)
        api.tag(node_image, repository, tag="1")
        api.remove_image(node_image)
        yield
        api.remove_image(f"{repository}:1")


def image_tags(engine: str, project: str) -> list[str]:
    """Return the names that a project's images have in an engine, sorted."""
    with Engine(engine) as connection:
        return [tag for tag in connection.images() if tag.startswith(f"hatchlock/{project}/")]


def untag_all(engine: str, project: str) -> None:
    """Take a project's images away, each as soon as no container uses it: who ended last may still be removing its own."""
    with Engine(engine) as connection:
        for tag in image_tags(engine, project):
            _remove(tag, connection.untag)


def remove_image(client: docker.DockerClient, tag: str) -> None:
    """Remove an image as soon as no container uses it, as `untag_all` does."""
    _remove(tag, client.images.remove)


def _remove(tag: str, remove: Callable[[str], object]) -> None:
    def is_done() -> bool:
        try:
            remove(tag)
        except ImageInUse:
            return False
        except docker.errors.APIError as error:
            if error.status_code != _CONFLICT:
                raise
            return False
        return True

    assert wait_until(is_done), f"a container uses {tag}"
