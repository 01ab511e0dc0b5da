"""A container engine through the Docker SDK: its images. `run` speaks to engines without the SDK."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import docker
import docker.auth
import docker.errors
import requests

from hatchlock.engines.locate import EngineNotFound, find_engine
from hatchlock.errors import HatchlockError
from hatchlock.images.assemble import NotLoaded
from hatchlock.images.key import IMAGE_PREFIX

__all__ = ["DEFAULT_REGISTRY_HOST", "Engine", "EngineFailed", "EngineNotFound", "ImageFacts", "find_engine"]

DEFAULT_REGISTRY_HOST = f"index.{docker.auth.INDEX_NAME}"
"""The registry of images whose reference names none, as the engine's own client has it."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SECONDS = 600  # a large image takes minutes to load


@dataclass(kw_only=True, eq=False)
class EngineFailed(HatchlockError):
    """An engine that broke off, or refuses what it was asked."""

    code: ClassVar[str] = "engine-failed"

    engine: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"the container engine at {self.engine} failed to {self.what}: {self.why}"

    def _hint(self) -> str:
        return "run `hatchlock doctor`; the engine's log says more"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """An image as the engine lists it.

    Attributes:
        id: The engine's name for its content.
        labels: Its labels.
    """

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Engine:
    """A connection to one engine; a context manager.

    Args:
        url: Its address, from `find_engine`.

    Raises:
        EngineFailed: It does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with self._doing("answer"):
            self._api = docker.APIClient(base_url=url, version="auto", timeout=_SECONDS)
        self._info: Mapping[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def info(self) -> Mapping[str, Any]:
        """Return what the engine says of itself; asked once.

        Raises:
            EngineFailed: It does not say it.
        """
        if self._info is None:
            with self._doing("say what it is"):
                self._info = self._api.info()
        return self._info

    def id(self) -> str:
        """Return what tells this engine from others."""
        return str(self.info().get("ID") or self.info().get("Name") or "")

    def platform(self) -> str:
        """Return the platform of its containers, `linux/amd64`."""
        machine = str(self.info().get("Architecture", ""))
        return f"{self.info().get('OSType') or 'linux'}/{_ARCHITECTURES.get(machine, machine)}"

    def images(self) -> dict[str, ImageFacts]:
        """Return all images with a tag of ours, by tag, with one request.

        Raises:
            EngineFailed: It does not list them.
        """
        with self._doing("list images"):
            listed = self._api.images(filters={"reference": [f"{IMAGE_PREFIX}/*/*:*"]})
        found = {}
        for item in listed:
            # Podman puts a host of its own before names without one.
            for tag in (name.removeprefix("localhost/") for name in item.get("RepoTags") or ()):
                if tag.startswith(f"{IMAGE_PREFIX}/"):
                    found[tag] = ImageFacts(id=item["Id"], labels=item.get("Labels") or {})
        return dict(sorted(found.items()))

    def takes_thin_archives(self) -> bool:
        """Whether an archive may leave out layers that the engine has: Docker's own image store does that.

        Raises:
            EngineFailed: It does not say what it is.
        """
        status = dict(self.info().get("DriverStatus") or ())
        return "BuildahVersion" not in self.info() and "driver-type" not in status

    def load(self, archive: Iterable[bytes], *, tag: str) -> None:
        """Load a docker-archive.

        Args:
            archive: Its bytes, sent as they come.
            tag: The name inside it, for messages.

        Raises:
            NotLoaded: The engine refuses it.
            EngineFailed: The engine broke off.
        """
        with self._doing(f"load image {tag}"):
            try:
                said = list(self._api.load_image(archive))
            except docker.errors.APIError as error:
                raise NotLoaded(image=tag, why=_why(error)) from error
        problems = [item["error"] for item in said if "error" in item]
        if problems:
            raise NotLoaded(image=tag, why="; ".join(problems))

    def image_layers(self, tag: str) -> tuple[str, ...]:
        """Return an image's diff ids, lowest first; () when there is no such image.

        Raises:
            EngineFailed: It cannot say.
        """
        with self._doing(f"inspect image {tag}"):
            try:
                found = self._api.inspect_image(tag)
            except docker.errors.ImageNotFound:
                return ()
        return tuple(found["RootFS"].get("Layers") or ())

    def tag(self, image: str, tag: str) -> None:
        """Give an image, by id or name, another tag.

        Raises:
            EngineFailed: There is no such image, or it refuses.
        """
        repository, _, name = tag.rpartition(":")
        with self._doing(f"tag image {image}"):
            self._api.tag(image, repository, tag=name)

    def untag(self, tag: str) -> None:
        """Take a tag away, and the image with it when that was its last one; nothing happens when there is none.

        Raises:
            EngineFailed: A container uses it, or the engine refuses.
        """
        with self._doing(f"remove image {tag}"), contextlib.suppress(docker.errors.ImageNotFound):
            self._api.remove_image(tag)

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineFailed(engine=self.url, what=what, why=_why(error)) from error


def _why(error: Exception) -> str:
    explanation = getattr(error, "explanation", None)
    text = explanation if isinstance(explanation, str) else str(error)
    return re.sub(r"\s+", " ", text).strip()
