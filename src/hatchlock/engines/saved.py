"""What a container engine gives out of its images: one as a docker-archive, and which tags there are."""

from __future__ import annotations

from collections.abc import Iterator

import docker.errors

from hatchlock.engines.client import sdk_client
from hatchlock.engines.connect import EngineUnreachable
from hatchlock.engines.docker import EngineFailed

__all__ = ["EngineStore"]

_SECONDS = 600  # a large image takes minutes until its first byte
_CHUNK = 1 << 20


class EngineStore:
    """The images of one engine, Docker's or one that speaks its API.

    Args:
        url: Its address, from `engines.locate.find_engine`.

    Raises:
        EngineFailed: It does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._api = sdk_client(url, seconds=_SECONDS)
        except (docker.errors.DockerException, EngineUnreachable, OSError) as error:
            raise EngineFailed(engine=url, what="answer", why=str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def saved(self, name: str) -> Iterator[bytes]:
        """Yield an image as a docker-archive, in pieces; nothing if there is no such image.

        Args:
            name: With its tag.

        Raises:
            EngineFailed: It breaks off.
        """
        try:
            yield from self._api.get_image(name, chunk_size=_CHUNK)
        except docker.errors.NotFound:
            return
        except (docker.errors.DockerException, OSError) as error:  # the HTTP library's errors are OSErrors
            raise EngineFailed(engine=self.url, what=f"give out image {name}", why=str(error)) from error

    def tags(self, repository: str) -> tuple[str, ...]:
        """Return the tags of the images of a name, sorted.

        Raises:
            EngineFailed: It cannot say.
        """
        try:
            listed = self._api.images(repository)
        except (docker.errors.DockerException, OSError) as error:
            raise EngineFailed(engine=self.url, what="list images", why=str(error)) from error
        names = (name.rpartition(":") for item in listed for name in item.get("RepoTags") or ())
        # Podman puts a host of its own before names without one
        return tuple(sorted({tag for name, _, tag in names if repository in {name, name.removeprefix("localhost/")}}))
