"""Which servers belong to which group, `projects/NAME/groups.json`: what `run --group` and `serve --group` offer.

It is written by whoever applies, from the manifest's `groups`, and says nothing that the next apply would not say again.
Where it is lost, or cannot be read, nothing is known of groups until then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hatchlock.files import read_optional
from hatchlock.state.documents import STATE_FORMAT, write_document

__all__ = ["read_groups", "write_groups"]

_NAME = "groups.json"


def read_groups(root: Path) -> Mapping[str, tuple[str, ...]]:
    """Return the names of the servers of each group.

    Args:
        root: The project's state.
    """
    try:
        document = json.loads(read_optional(root / _NAME) or b"null")
        if document["format_version"] != STATE_FORMAT:
            return {}
        return {str(group): tuple(map(str, names)) for group, names in sorted(document["groups"].items())}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def write_groups(root: Path, groups: Mapping[str, tuple[str, ...]]) -> None:
    """Write the names of the servers of each group, unless they stand there already; without groups there is no file.

    Raises:
        PermissionProblem: It cannot be written.
    """
    if not groups:
        (root / _NAME).unlink(missing_ok=True)
    elif dict(groups) != dict(read_groups(root)):
        write_document(root / _NAME, {"groups": {group: list(names) for group, names in groups.items()}})
