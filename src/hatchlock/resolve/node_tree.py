"""From the npm packages that an environment asks for to the whole tree below them, which npm's own resolver decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.lock.model import Package
from hatchlock.resolve.node import NodeCandidate
from hatchlock.resolve.npm_requirements import npm_constraints, npm_limits
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.npm.tree import NpmTree, resolve_tree

__all__ = ["FoundTree", "node_tree"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTree:
    """A tree, its packages by id, and what people should see of how it was found."""

    tree: NpmTree
    by_id: Mapping[str, Package]
    notes: tuple[str, ...]


def node_tree(
    request: EnvironmentRequest,
    registry: NpmSource,
    *,
    pins: Mapping[str, NodeCandidate],
    optional: Mapping[str, NodeCandidate],
    preferred: Mapping[str, Sequence[str]],
    scratch: Path,
) -> FoundTree:
    """Return the tree below what was chosen.

    Args:
        request: For its constraints, overrides and Node version.
        registry: Where packages come from.
        pins: Name (an alias, perhaps) -> what was chosen.
        optional: The same of what may be left out.
        preferred: `npm:name` -> versions to keep.
        scratch: A directory of ours.

    Raises:
        HatchlockError: What `sources.npm.tree.resolve_tree` raises.
    """
    roots = {name: _exactly(name, pin) for name, pin in sorted(pins.items())}
    perhaps = {name: _exactly(name, pin) for name, pin in sorted(optional.items())}
    # of what was chosen as well: npm would put another version beside it, below those who want one
    chosen = perhaps | roots
    overrides = {name: chosen.get(name, str(bounds)) for name, bounds in npm_limits(request.overrides).items()}
    # a dist-tag moves, so any version may have been it
    constraints = {
        name: tuple(item.text for item in limits if item.range is not None)
        for name, limits in npm_constraints(request.constraints).items()
    }
    kept = {name.removeprefix("npm:"): tuple(texts) for name, texts in preferred.items() if name.startswith("npm:")}
    tree = resolve_tree(
        roots,
        overrides=overrides,
        preferred=kept,
        node=request.node,
        source=registry,
        scratch=scratch,
        optional=perhaps,
        constraints=constraints,
    )
    notes = [f"npm could not keep {name}: its locked version does not fit any more" for name in tree.ignored_pins]
    return FoundTree(tree=tree, by_id={package.id: package for package in tree.packages}, notes=tuple(notes))


def _exactly(name: str, pin: NodeCandidate) -> str:
    version = str(pin.version)
    return version if pin.release.name == name else f"npm:{pin.release.name}@{version}"
