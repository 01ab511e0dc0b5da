"""What an engine says of itself and of an image, as far as it goes into a container's description."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

from hatchlock.engines.api import Engine
from hatchlock.security.container import EngineTraits, podmans_seccomp

__all__ = ["engine_traits"]


def engine_traits(engine: Engine, image: str) -> EngineTraits:
    """Return the facts for a container of an image.

    An image that was taken as it is, or was built from a Dockerfile, may declare volumes. The engine would make them for each
    container: disk that no limit binds.

    Raises:
        EngineError: There is no such image (404).
        EngineUnreachable: The engine does not answer.
    """
    config = engine.ask("GET", f"/images/{quote(image, safe='/:@')}/json").get("Config") or {}
    paths = {str(PurePosixPath(path)) for path in config.get("Volumes") or () if path.startswith("/")}
    return EngineTraits(
        podman=engine.is_podman,
        seccomp_file=podmans_seccomp(engine.address, podman=engine.is_podman),
        image_volumes=tuple(sorted(paths - {"/"})),
    )
