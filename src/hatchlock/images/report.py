"""What images a machine got of a lock, as a value that another machine can compare with its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.images.assemble import Composed

__all__ = [
    "BadReport",
    "MadeImage",
    "MadeLayer",
    "Report",
    "image_differences",
    "layer_differences",
    "made_image",
    "read_report",
]

_FORMAT = 1


@dataclass(kw_only=True, eq=False)
class BadReport(HatchlockError):
    """A file that is no report of `verify`, or of a version that this one does not know."""

    code: ClassVar[str] = "bad-report"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} is no report that this hatchlock can read: {self.why}"

    def _hint(self) -> str:
        return "write it there with `hatchlock verify --json > FILE`"


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeLayer:
    """A layer of an image: its name for people, `sha256:…` of its uncompressed bytes, and how many bytes the file has."""

    name: str
    diff_id: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeImage:
    """An image as it was put together.

    Attributes:
        name: Of its environment; of an image as it is, of the server.
        platform: `linux/amd64`.
        key: Its input key (64 hex digits); of an image as it is, its manifest's digest.
        base: Reference of the image that it is based on, or is.
        base_digest: `sha256:…` of that image's manifest for the platform.
        config: `sha256:…` of its config.
        layers: Those that are added to the base; of an image as it is, all of them.
    """

    name: str
    platform: str
    key: str
    base: str
    base_digest: str
    config: str
    layers: tuple[MadeLayer, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The images of a lock, as one machine made them.

    Attributes:
        project: The project's name.
        lock: SHA-256 of the lock (64 hex digits).
        hatchlock: The version that made them.
        assembler: The version of its rules.
        images: Sorted by name and platform.
    """

    project: str
    lock: str
    hatchlock: str
    assembler: int
    images: tuple[MadeImage, ...]


def made_image(
    image: Composed, *, name: str, platform: str, key: str, base: str, base_digest: str, sizes: Sequence[int]
) -> MadeImage:
    """Return what there is to say of an image that was put together.

    Args:
        image: The image; written layers are named as their files are.
        name: See `MadeImage`, as the next four.
        platform: Its platform.
        key: Its input key.
        base: The base's reference.
        base_digest: The base's digest.
        sizes: Bytes of its own layers' files.
    """
    own = image.above or image.below
    names = [layer.path.stem if image.above and layer.path else f"base {number}" for number, layer in enumerate(own, 1)]
    layers = (
        MadeLayer(name=name, diff_id=layer.diff_id, size=size)
        for name, layer, size in zip(names, own, sizes, strict=True)
    )
    return MadeImage(
        name=name,
        platform=platform,
        key=key,
        base=base,
        base_digest=base_digest,
        config=image.config_digest,
        layers=tuple(layers),
    )


def image_differences(ours: MadeImage, theirs: MadeImage) -> Iterator[str]:
    """Yield how an image differs from what another machine reported of it, one clause each."""
    if ours.key != theirs.key:
        yield f"its input key is {ours.key}, in the report {theirs.key}"
    if ours.base_digest != theirs.base_digest:
        yield f"its base is {ours.base_digest}, in the report {theirs.base_digest}"
    yield from layer_differences(ours, theirs.config, [layer.diff_id for layer in theirs.layers], where="in the report")


def layer_differences(ours: MadeImage, config: str, diff_ids: Sequence[str], *, where: str) -> Iterator[str]:
    """Yield which layers of an image are others elsewhere; or its config, if they are not.

    Args:
        ours: The image.
        config: `sha256:…` of its config there; "" if that is not known.
        diff_ids: Of its own layers there.
        where: Where that is: "in the lock".
    """
    equal = True
    for layer, other in zip(ours.layers, diff_ids, strict=False):
        if layer.diff_id != other:
            equal = False
            yield f"its layer {layer.name} is {layer.diff_id}, {where} {other}"
    if len(ours.layers) != len(diff_ids):
        equal = False
        yield f"it has {len(ours.layers)} layers of its own, {where} {len(diff_ids)}"
    if equal and config and config != ours.config:
        yield f"its config is {ours.config}, {where} {config}"


def read_report(document: Any, *, path: str) -> Report:
    """Return the report that a document of `verify --json` holds; what else is in it is passed over.

    Args:
        document: JSON values.
        path: Where it is from, for messages.

    Raises:
        BadReport: It is none.
    """
    version = document.get("format_version") if isinstance(document, Mapping) else None
    if version != _FORMAT:
        why = "it has no format_version" if version is None else f"its format_version is {version!r}, not {_FORMAT}"
        raise BadReport(path=path, why=why)
    try:
        return Report(
            project=_text(document["project"]),
            lock=_text(document["lock"]),
            hatchlock=_text(document["hatchlock"]),
            assembler=_number(document["assembler"]),
            images=tuple(map(_image, document["images"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadReport(path=path, why=f"{type(error).__name__} {error}") from error


def _image(item: Mapping[str, Any]) -> MadeImage:
    names = ("name", "platform", "key", "base", "base_digest", "config")
    layers = (
        MadeLayer(name=_text(layer["name"]), diff_id=_text(layer["diff_id"]), size=_number(layer["size"]))
        for layer in item["layers"]
    )
    return MadeImage(**{name: _text(item[name]) for name in names}, layers=tuple(layers))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return value
