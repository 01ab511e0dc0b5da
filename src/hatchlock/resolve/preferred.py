"""Versions to keep if they will do: what locks and projects pin. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hatchlock.address import Kind

__all__ = ["preferred_of"]


def preferred_of(
    kind: Kind, preferred: Mapping[str, Sequence[str]], chosen: Mapping[tuple[Kind, str], Any] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return what is preferred of one kind, name -> versions, the most preferred first.

    Args:
        kind: The kind of a namespace.
        preferred: `kind:name` -> versions.
        chosen: What earlier platforms took, which comes before that.
    """
    prefix = f"{kind}:"
    found = {
        name.removeprefix(prefix): tuple(versions) for name, versions in preferred.items() if name.startswith(prefix)
    }
    for (namespace, name), version in (chosen or {}).items():
        if namespace is kind:
            found[name] = (str(version), *found.get(name, ()))
    return found
