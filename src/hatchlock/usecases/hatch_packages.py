"""`validate PATH` and `new`: Hatch packages in directories of their authors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, reporting_permission

if TYPE_CHECKING:
    from hatchlock.sources.hatch.validation import Validation

__all__ = ["PackageExists", "new_package", "validate_package"]


@dataclass(kw_only=True, eq=False)
class PackageExists(HatchlockError):
    """`new` found files where it was to write some."""

    code: ClassVar[str] = "package-exists"

    directory: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.directory} has {', '.join(self.files)} already, and `new` overwrites nothing"

    def _hint(self) -> str:
        return "name a directory that does not exist yet"


def validate_package(path: Path, *, shown: str) -> Validation:
    """Look at a Hatch package, ask no network, write nothing, and return what came of it if it is right.

    Args:
        path: Its directory, or the `hatch_metadata.json` in it.
        shown: The path as the user wrote it.

    Raises:
        NoHatchPackage: There is none.
        BadHatchMetadata: The one mistake; or another error, if that is it.
        ManyErrors: All mistakes of several.
    """
    from hatchlock.sources.hatch.model import METADATA_NAME
    from hatchlock.sources.hatch.problems import report
    from hatchlock.sources.hatch.validation import validate

    if path.name == METADATA_NAME and path.is_file():
        path, shown = path.parent, os.path.dirname(shown) or "."  # noqa: PTH120  as it was written
    found = validate(path, shown=shown)
    report(found.problems)
    return found


def new_package(directory: Path, *, name: str | None = None) -> list[Path]:
    """Write a Hatch package that validates and runs.

    Args:
        directory: Where to; made if it is missing.
        name: The package's; the directory's unless said.

    Returns:
        The files that were written, sorted.

    Raises:
        BadPackageName: No package can be called so; nothing was written.
        PackageExists: Some of its files are there; nothing was written.
        PermissionProblem: The directory cannot be written to.
    """
    from hatchlock.sources.hatch.template import package_files

    files = package_files(directory.resolve().name if name is None else name)
    present = tuple(file for file in files if os.path.lexists(directory / file))
    if present:
        raise PackageExists(directory=str(directory), files=present)
    with reporting_permission(directory):
        directory.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        atomic_write(directory / file, text.encode(), mode=0o644)
    return [directory / file for file in files]
