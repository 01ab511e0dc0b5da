"""The receipt of an environment of the process runtime: what it was made with, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.receipts import read_receipt

__all__ = ["receipt_damage", "receipt_of"]


def receipt_of(spec: EnvSpec) -> dict[str, Any]:
    """Return what is written into the receipt of an environment once it is complete."""
    files = [artefact.name for artefact in spec.artefacts]
    return {"python": spec.python, "python_version": spec.python_version, "files": files}


def receipt_damage(spec: EnvSpec, tree: Path) -> str:
    """Return what is wrong with the receipt of a finished environment, as a clause; "" for nothing. Reads that one file."""
    try:
        receipt = read_receipt(tree)
    except (ValueError, RecursionError):
        receipt = None
    if not isinstance(receipt, Mapping):
        return "its receipt cannot be read"
    if receipt.get("files") != receipt_of(spec)["files"]:
        return "its receipt is that of another environment"
    return ""
