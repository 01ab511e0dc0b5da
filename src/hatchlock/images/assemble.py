"""Base, layer and config put together and handed to an engine. Nothing is run, and nothing fetched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.images.archive import ArchiveLayer, archive_chunks
from hatchlock.images.base import base_files
from hatchlock.images.config import KEY_LABEL, image_config
from hatchlock.images.layer import user_entries, write_layer
from hatchlock.lock.model import ImagePlatform
from hatchlock.realise.tree import ROOT, Entry, through_symlinks
from hatchlock.store.blobs import Blobs

__all__ = ["Assembled", "Loader", "NotLoaded", "assemble", "compose", "load_as_is"]


@dataclass(kw_only=True, eq=False)
class NotLoaded(HatchlockError):
    """An engine that does not take an image, or has another one under its name afterwards."""

    code: ClassVar[str] = "image-not-loaded"

    image: str
    why: str

    def __str__(self) -> str:
        return f"the engine did not load image {self.image}: {self.why}"

    def _hint(self) -> str:
        return "run `hatchlock doctor`; the engine's log says more"


class Loader(Protocol):
    """The part of an engine that takes images; `engines.docker.Engine` is one."""

    def takes_thin_archives(self) -> bool:
        """Whether an archive may leave out layers that the engine has."""
        ...

    def load(self, archive: Iterable[bytes], *, tag: str) -> None:
        """Load a docker-archive.

        Raises:
            NotLoaded: The engine refuses it.
        """
        ...

    def image_layers(self, tag: str) -> tuple[str, ...]:
        """Return an image's diff ids, lowest first; () when there is no such image."""
        ...

    def untag(self, tag: str) -> None:
        """Take a name away, and the image with it when that was its last one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembled:
    """The outputs of an assembly: what every machine must get from the same lock.

    Attributes:
        config: The config's bytes.
        layers: The added layers' diff ids, `sha256:…`, lowest first.
    """

    config: bytes
    layers: tuple[str, ...]

    @property
    def config_digest(self) -> str:
        """`sha256:…` of the config; Docker's image id, unless it uses the containerd image store."""
        return f"sha256:{sha256_bytes(self.config)}"


def compose(
    entries: Sequence[Entry],
    out: BinaryIO,
    *,
    base: ImagePlatform,
    blobs: Blobs,
    key: str,
    env: Mapping[str, str],
) -> Assembled:
    """Write the layer of an image and make its config.

    Args:
        entries: The tree (`realise.wheels.wheel_tree`).
        out: Where the layer goes, an uncompressed tar.
        base: From the lock.
        blobs: Has the base's config and layers.
        key: The image's input key.
        env: Variables beside those that every image gets.

    Raises:
        BadLayer: A layer of the base cannot be read.
        OSError: The base is not in the store, or `out` cannot be written.
    """
    known = base_files([blobs.path(_hex(layer.digest)) for layer in base.layers], ("etc/passwd", "etc/group"))
    users = (replace(entry, path=through_symlinks(entry.path, base.symlinks)) for entry in user_entries(known))
    diff_id = write_layer([*entries, *users], out)
    config = image_config(
        blobs.path(_hex(base.config)).read_bytes(),
        layer_diff_ids=[diff_id],
        labels={KEY_LABEL: key},
        env=env,
        path=[f"{ROOT}/bin"],
    )
    return Assembled(config=config, layers=(diff_id,))


def assemble(
    entries: Sequence[Entry],
    *,
    engine: Loader,
    base: ImagePlatform,
    blobs: Blobs,
    key: str,
    tag: str,
    scratch: Path,
    env: Mapping[str, str] | None = None,
) -> Assembled:
    """Assemble an image and load it into an engine under its tag.

    Args:
        entries: The tree (`realise.wheels.wheel_tree`).
        engine: Where it goes.
        base: From the lock; its blobs are in the store (`sources.oci.fetch_image`).
        blobs: The store's.
        key: The image's input key.
        tag: Its name in the engine (`images.key.image_tag`).
        scratch: A directory for the layer while it is being made; nothing stays there.
        env: Variables beside those that every image gets.

    Returns:
        What was made. The engine has exactly these layers under `tag`.

    Raises:
        NotLoaded: The engine refuses the image, or made another one of it.
        BadLayer: A layer of the base cannot be read.
        OSError: The base is not in the store, or the disk is full.
    """
    with tempfile.NamedTemporaryFile(dir=scratch, prefix="layer-") as file:
        made = compose(entries, file, base=base, blobs=blobs, key=key, env=env or {})  # type: ignore[arg-type]
        file.flush()
        below = _base_layers(base, blobs)
        above = [ArchiveLayer(diff_id=made.layers[0], path=Path(file.name))]
        _load(engine, config=made.config, below=below, above=above, tag=tag)
    return made


def load_as_is(image: ImagePlatform, *, engine: Loader, blobs: Blobs, tag: str) -> None:
    """Load an image unchanged from the store into an engine, under our tag.

    Raises:
        NotLoaded: The engine refuses the image, or made another one of it.
        OSError: The image is not in the store.
    """
    config = blobs.path(_hex(image.config)).read_bytes()
    _load(engine, config=config, below=_base_layers(image, blobs), above=[], tag=tag)


def _base_layers(base: ImagePlatform, blobs: Blobs) -> list[ArchiveLayer]:
    return [ArchiveLayer(diff_id=layer.diff_id, path=blobs.path(_hex(layer.digest))) for layer in base.layers]


def _load(
    engine: Loader, *, config: bytes, below: Sequence[ArchiveLayer], above: Sequence[ArchiveLayer], tag: str
) -> None:
    """Try without the base's layers where that may do: an engine that lacks one of them refuses at once."""
    wanted = tuple(layer.diff_id for layer in (*below, *above))
    refused: NotLoaded | None = None
    for layers in _attempts(below, above, thin=engine.takes_thin_archives()):
        try:
            engine.load(archive_chunks(config=config, layers=layers, tag=tag), tag=tag)
        except NotLoaded as error:
            refused = error
            continue
        if engine.image_layers(tag) == wanted:
            return
        engine.untag(tag)
        refused = NotLoaded(image=tag, why="what it has under this name now has other layers")
    raise refused or NotLoaded(image=tag, why="it has no layers")


def _attempts(
    below: Sequence[ArchiveLayer], above: Sequence[ArchiveLayer], *, thin: bool
) -> Iterator[list[ArchiveLayer]]:
    if thin:
        yield [*(replace(layer, path=None) for layer in below), *above]
    yield [*below, *above]


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
