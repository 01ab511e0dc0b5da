"""py-rattler comes with an extra: what is said where it is missing."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["CondaMissing", "check_extra"]

_LIBRARY = "rattler"


@dataclass(kw_only=True, eq=False)
class CondaMissing(HatchlockError):
    """Something of conda is wanted, and hatchlock was installed without the library for it."""

    code: ClassVar[str] = "conda-missing"

    def __str__(self) -> str:
        return "conda packages need the library py-rattler, which is not installed"

    def _hint(self) -> str:
        return "pip install 'hatchlock[conda]'"


def check_extra() -> None:
    """Make sure that the modules which import rattler can be imported, without importing it.

    Raises:
        CondaMissing: They cannot.
    """
    if importlib.util.find_spec(_LIBRARY) is None:
        raise CondaMissing
