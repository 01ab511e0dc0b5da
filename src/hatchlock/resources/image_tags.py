"""Do the tags of a project's images still name what was loaded under them? Anybody may give a tag to another image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hatchlock.images.config import KEY_LABEL

if TYPE_CHECKING:
    from hatchlock.engines.tagged import ImageFacts

__all__ = ["ImageTags"]

_SHOWN_DIGITS = 12


class ImageTags:
    """The engine's ids of the images that tags name: as they were when they were applied, and as they were seen last.

    Args:
        known: Tag -> id, as the last applies left it. A tag that is not in there may name any image that says of itself
            that it is the right one.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = dict(known)
        self._seen: dict[str, str] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """Tag -> id to be known the next time: of the tags that were seen."""
        return {tag: self._known.get(tag, image) for tag, image in sorted(self._seen.items())}

    def changed(
        self, tags: Iterable[str], images: Mapping[str, ImageFacts], *, key: str, is_labelled: bool
    ) -> tuple[str, str] | None:
        """Return what one of an image's tags named, and what it names now; None if they all name what they should.

        Args:
            tags: Its tags; the engine has them all.
            images: What the engine has, by tag.
            key: Its input key.
            is_labelled: Whether every such image says its key of itself. One that is taken as it is may say another: whoever
                assembled it named it by what went in there.
        """
        for tag in tags:
            found = images[tag]
            self._seen[tag] = found.id
            if self._known.get(tag, found.id) != found.id:
                return _short(self._known[tag]), _short(found.id)
            if is_labelled and found.labels.get(KEY_LABEL) != key:
                return f"key {key[:_SHOWN_DIGITS]}", _short(found.id)
        return None

    def renewed(self, *tags: str) -> None:
        """Forget what tags have named: something else is loaded under them."""
        for tag in tags:
            self._known.pop(tag, None)
            self._seen.pop(tag, None)


def _short(image: str) -> str:
    return f"image {image.removeprefix('sha256:')[:_SHOWN_DIGITS]}"
