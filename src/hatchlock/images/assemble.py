"""Base, layers and config put together and handed to an engine. Nothing is run, and nothing fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from hatchlock.digest import hex_of, oci_digest
from hatchlock.errors import HatchlockError
from hatchlock.images.archive import ArchiveLayer, archive_chunks
from hatchlock.images.config import KEY_LABEL, image_config
from hatchlock.images.layer import write_layer
from hatchlock.lock.images import ImagePlatform
from hatchlock.realise.tree import ROOT, Entry
from hatchlock.store.blobs import Blobs

__all__ = ["Composed", "Concern", "KnownLayers", "Loader", "NotLoaded", "as_it_is", "compose", "load"]


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
class Concern:
    """What one layer is about: system packages, packages of Python, ….

    Attributes:
        name: One word, which names its file while it is being made.
        key: Decides on its bytes (64 hex digits): equal keys, equal layers.
        entries: Makes its tree; called only when the layer has to be written.
    """

    name: str
    key: str
    entries: Callable[[], Iterable[Entry]]


class KnownLayers(Protocol):
    """What is remembered of layers that were written before."""

    def diff_id(self, key: str) -> str:
        """Return the diff id of the layer with a key; "" when nobody knows."""
        ...

    def remember(self, key: str, diff_id: str) -> None:
        """Keep the diff id of a layer that was written."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """An image: what every machine must get from the same lock.

    Attributes:
        config: The config's bytes.
        below: The base's layers, as its registry stores them, lowest first.
        above: Those that were added, lowest first; without a path where whoever takes the image has the layer.
        concerns: What each of these is about (`Concern.name`).
    """

    config: bytes
    below: tuple[ArchiveLayer, ...]
    above: tuple[ArchiveLayer, ...] = ()
    concerns: tuple[str, ...] = ()

    @property
    def config_digest(self) -> str:
        """`sha256:…` of the config; Docker's image id, unless it uses the containerd image store."""
        return oci_digest(self.config)

    @property
    def layers(self) -> tuple[str, ...]:
        """The added layers' diff ids, `sha256:…`, lowest first."""
        return tuple(layer.diff_id for layer in self.above)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Those of all layers, lowest first."""
        return tuple(layer.diff_id for layer in (*self.below, *self.above))

    @property
    def is_whole(self) -> bool:
        """Whether every added layer was written."""
        return all(layer.path for layer in self.above)


def compose(
    concerns: Sequence[Concern],
    *,
    base: ImagePlatform,
    blobs: Blobs,
    key: str,
    scratch: Path,
    known: KnownLayers,
    env: Mapping[str, str] | None = None,
    has: Callable[[Sequence[str]], bool] = lambda _: False,
) -> Composed:
    """Write the layers of an image, and make its config.

    Args:
        concerns: One for each layer, lowest first.
        base: From the lock; its config is in the store.
        blobs: The store's.
        key: The image's input key.
        scratch: A directory for the layers, uncompressed tar files.
        known: Remembers diff ids.
        env: Variables beside those that every image gets.
        has: Whether whoever takes the image has these layers, on top of one another: the last one is not written then.

    Raises:
        OSError: The base is not in the store, or the disk is full.
        HatchlockError: What making the trees raises.
    """
    below = _base_layers(base, blobs)
    stack = [layer.diff_id for layer in below]
    above = []
    for concern in concerns:
        diff_id = known.diff_id(concern.key)
        if diff_id and has([*stack, diff_id]):
            above.append(ArchiveLayer(diff_id=diff_id, path=None))
        else:
            above.append(_written(concern, scratch / f"{concern.name}.tar"))
            known.remember(concern.key, above[-1].diff_id)
        stack.append(above[-1].diff_id)
    config = image_config(
        blobs.path(hex_of(base.config)).read_bytes(),
        layer_diff_ids=[layer.diff_id for layer in above],
        labels={KEY_LABEL: key},
        env=env or {},
        path=[f"{ROOT}/bin"],
    )
    return Composed(config=config, below=below, above=tuple(above), concerns=tuple(item.name for item in concerns))


def as_it_is(image: ImagePlatform, blobs: Blobs) -> Composed:
    """Return an image of the lock that nothing is added to.

    Raises:
        OSError: It is not in the store.
    """
    return Composed(config=blobs.path(hex_of(image.config)).read_bytes(), below=_base_layers(image, blobs))


def load(image: Composed, *, engine: Loader, tag: str, whole: Callable[[], Composed] | None = None) -> None:
    """Load an image into an engine under our tag, sending only what is missing there as far as the engine allows it.

    Args:
        image: The image; layers that it leaves out should be in the engine.
        engine: Where it goes.
        tag: Its name in the engine (`images.key.image_tag`).
        whole: Makes it with all layers, in case that the engine does not have them after all.

    Raises:
        NotLoaded: The engine refuses the image, or made another one of it.
        OSError: The image is not in the store.
    """
    refused: NotLoaded | None = None
    for attempt in _attempts(image, whole, thin=engine.takes_thin_archives()):
        layers = (*attempt.below, *attempt.above)
        try:
            engine.load(archive_chunks(config=attempt.config, layers=layers, tag=tag), tag=tag)
        except NotLoaded as error:
            refused = error
            continue
        if engine.image_layers(tag) == attempt.diff_ids:
            return
        engine.untag(tag)
        refused = NotLoaded(image=tag, why="what it has under this name now has other layers")
    raise refused or NotLoaded(image=tag, why="it has no layers")


def _attempts(image: Composed, whole: Callable[[], Composed] | None, *, thin: bool) -> Iterator[Composed]:
    """Without the base's layers where that may do: an engine that lacks one of them refuses at once."""
    if thin:
        yield replace(image, below=tuple(replace(layer, path=None) for layer in image.below))
    yield image if image.is_whole or whole is None else whole()


def _written(concern: Concern, path: Path) -> ArchiveLayer:
    with path.open("wb") as file:
        return ArchiveLayer(diff_id=write_layer(concern.entries(), file), path=path)


def _base_layers(base: ImagePlatform, blobs: Blobs) -> tuple[ArchiveLayer, ...]:
    return tuple(ArchiveLayer(diff_id=layer.diff_id, path=blobs.path(hex_of(layer.digest))) for layer in base.layers)
