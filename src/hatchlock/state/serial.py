"""How many times steps of a project were begun, `projects/NAME/serial.json`: a plan that was made before cannot be replayed."""

from __future__ import annotations

import json
from pathlib import Path

from hatchlock.files import read_optional
from hatchlock.state.documents import write_document

__all__ = ["read_serial", "write_serial"]


def read_serial(root: Path) -> int:
    """Return the number; 0 where there is none. A file that cannot be understood says that there was something: 1.

    Args:
        root: The project's state.
    """
    data = read_optional(root / "serial.json")
    if data is None:
        return 0
    try:
        return int(json.loads(data)["serial"])
    except (ValueError, TypeError, KeyError):
        return 1


def write_serial(root: Path, serial: int) -> None:
    """Write the number, durably.

    Raises:
        PermissionProblem: It cannot be written.
    """
    write_document(root / "serial.json", {"serial": serial})
