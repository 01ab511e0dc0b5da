"""Images made of files on disk, as a lock would describe them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hatchlock.digest import digest_file
from hatchlock.images.assemble import Loader, load
from hatchlock.lock.images import ImagePlatform
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_build import composed
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.store.blobs import Blobs

__all__ = ["load_image", "stored", "wheel_image"]


def stored(home: Home, path: Path, *, package: str = "", name: str = "", algorithm: str = "sha256") -> Artefact:
    """Put a file into a store, and return it as a lock would name it."""
    digest = digest_file(path, algorithm)
    artefact = Artefact(package=package, name=name or path.name, digest=digest, size=path.stat().st_size)
    with Blobs(home.blobs).add(artefact.digest, artefact.size, what=artefact.name, where=str(path)) as writer:
        writer.write(path.read_bytes())
    return artefact


def wheel_image(
    home: Home, base: ImagePlatform, wheels: Iterable[tuple[str, Path]], *, platform: str, key: str = "1"
) -> ImageSpec:
    """Return an image of wheels over a base with Python 3.11; all its files are in the store, if the base's are."""
    found = [stored(home, path, package=f"pypi:{name}", name=name) for name, path in wheels]
    environment = EnvSpec(
        name="demo",
        python=base.python_path,
        python_version=base.python,
        wheels=tuple(sorted(found, key=lambda item: item.name)),
    )
    return ImageSpec(
        server="demo",
        reference="base",
        platform=platform,
        key=key,
        base=replace(base, packages=()),
        environment=environment,
    )


def load_image(spec: ImageSpec, engine: Loader, *, home: Home, tag: str) -> None:
    """Put an image together, and load it into an engine."""
    with composed(spec, home=home) as image:
        load(image, engine=engine, tag=tag)
