"""The images of ours that an engine has, asked without Docker's SDK: loading that takes longer than a whole plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from hatchlock.engines.api import Engine
from hatchlock.images.key import IMAGE_PREFIX

__all__ = ["OURS", "ImageFacts", "by_tag", "images_of"]

OURS = f"{IMAGE_PREFIX}/*/*:*"
"""What an engine filters its images by."""
_PODMANS_HOST = "localhost/"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """An image as the engine lists it.

    Attributes:
        id: The engine's name for its content.
        labels: Its labels.
        size: Its bytes on the engine's disk, with those of layers that other images have as well.
    """

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    size: int = 0


def images_of(engine: Engine) -> dict[str, ImageFacts]:
    """Return all images with a tag of ours, by tag, with one request.

    Raises:
        EngineError, EngineUnreachable: It does not list them.
    """
    return by_tag(engine.ask("GET", f"/images/json?{urlencode({'filters': json.dumps({'reference': [OURS]})})}"))


def by_tag(listed: Iterable[Mapping[str, Any]]) -> dict[str, ImageFacts]:
    """Return what an engine listed, by each tag of ours."""
    found = {}
    for item in listed:
        # Podman puts a host of its own before names without one.
        for tag in (name.removeprefix(_PODMANS_HOST) for name in item.get("RepoTags") or ()):
            if tag.startswith(f"{IMAGE_PREFIX}/"):
                size = int(item.get("Size") or 0)
                found[tag] = ImageFacts(id=item["Id"], labels=item.get("Labels") or {}, size=size)
    return dict(sorted(found.items()))
