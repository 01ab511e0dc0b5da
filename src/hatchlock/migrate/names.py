"""Names of other tools' servers, as a manifest allows them."""

from __future__ import annotations

import re

from hatchlock.manifest.takeover import name_from
from hatchlock.manifest.words import NAME_LENGTH, NAME_PATTERN

__all__ = ["server_name"]


def server_name(text: str) -> str:
    """Return a name as a manifest allows it: `text` itself where that is one, else what is closest to it."""
    if len(text) <= NAME_LENGTH and re.fullmatch(NAME_PATTERN, text):
        return text
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug[:NAME_LENGTH].strip("-") or name_from(text)
