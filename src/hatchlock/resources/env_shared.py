"""The trees that environments share: what conda has for one, and an interpreter of its own."""

from __future__ import annotations

from pathlib import Path

from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.contents import compare_contents
from hatchlock.store.receipts import discard, finished

__all__ = ["discard_altered", "shared_trees"]


def shared_trees(spec: EnvSpec) -> tuple[Path, ...]:
    """Return the finished trees beside an environment that are parts of it."""
    roots = [spec.conda.root] if spec.conda else []
    roots += [spec.interpreter_root] if spec.interpreter else []
    return tuple(root for root in map(Path, dict.fromkeys(roots)) if finished(root))


def discard_altered(root: Path) -> bool:
    """Delete a finished tree that is not what was installed; return whether it is as it should be, or gone.

    One of which nothing was written down is deleted too, so that it is made anew; but it may stay while somebody uses it.

    Raises:
        OSError: Something of it cannot be deleted.
    """
    compared = compare_contents(root)
    if compared is not None and not compared.altered and not compared.added:
        return True
    return discard(root) or compared is None
