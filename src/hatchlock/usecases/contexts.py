"""The directories that images are built from, as a project has them: never with a file that holds one of its secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hatchlock.launch import SecretReference

if TYPE_CHECKING:
    from hatchlock.lock.model import Build
    from hatchlock.manifest.model import BuildSpec
    from hatchlock.sources.dockerfile.context import Context, ReadContext
    from hatchlock.usecases.project import Project

__all__ = ["context_from_text", "context_of", "context_to_text", "read_context"]

_FILE = "file:"


def context_of(project: Project, build: Build | BuildSpec) -> Context:
    """Return the directory of a Dockerfile, without any file that the manifest or the overlay names as a secret."""
    from hatchlock.sources.dockerfile.context import Context

    directory = str(project.place(build.context))
    return Context(directory=directory, dockerfile=build.dockerfile, secrets=_secrets(project))


def read_context(project: Project, server: str, build: BuildSpec) -> ReadContext:
    """Read the directory that a server's image is built from.

    Raises:
        MissingProject: There is no such directory.
        NoDockerfile, BadDockerfile: It has no Dockerfile, or none of text.
        HatchlockError: As `sources.projects.snapshot.snapshot`.
    """
    from hatchlock.lock.model import File
    from hatchlock.sources.dockerfile.context import ReadContext

    context = context_of(project, build)
    found = context.snapshot(without=project.home.root)
    return ReadContext(
        file=File(name=f"{server}-context.tar", sha256=found.sha256, size=found.size),
        text=context.text(),
        shown=os.path.normpath(f"{build.context}/{build.dockerfile}"),
    )


def context_to_text(project: Project, build: Build) -> str:
    """Return one word for the directory of a Dockerfile; see `context_from_text`."""
    return json.dumps([str(project.place(build.context)), build.dockerfile])


def context_from_text(project: Project, text: str) -> Context | None:
    """Return the directory that `context_to_text` gave a word for; None if the text is the path of a directory."""
    if text.startswith("/"):
        return None
    from hatchlock.sources.dockerfile.context import Context

    directory, dockerfile = json.loads(text)
    return Context(directory=directory, dockerfile=dockerfile, secrets=_secrets(project))


def _secrets(project: Project) -> tuple[str, ...]:
    import tomllib

    documents = [tomllib.loads(data.decode()) for data in (project.manifest_bytes, project.overlay_bytes)]
    return tuple(sorted(str(project.place(path)) for document in documents for path in _files(document)))


def _files(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _files(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "secret" and isinstance(item, str) and item.startswith(_FILE):
                yield SecretReference(secret=item).file[0]
            yield from _files(item)
