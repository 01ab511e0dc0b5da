"""Which script starts a server."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hatchlock.address import Kind
from hatchlock.lock.model import Package
from hatchlock.manifest.model import ServerSpec

__all__ = ["resolve_command"]


def resolve_command(server: ServerSpec, packages: Iterable[Package]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a server's command, and the scripts to choose from if there is no single one.

    What the manifest declares holds. Else it is the script of the server's package that is named like the package, else
    the package's only script.

    Args:
        server: As declared.
        packages: Those of its environment.

    Returns:
        (command, choices): one of them is empty. Both are empty when the package has no script at all, and for an image
        that starts its own entrypoint.
    """
    if server.command or server.source is None:
        return server.command, ()
    if server.source.kind is not Kind.PYPI:
        return (), ()
    name = canonicalize_name(Requirement(server.source.spec).name)
    scripts = sorted({script for package in packages if package.name == name for script in package.scripts})
    same = [script for script in scripts if canonicalize_name(script) == name]
    chosen = same if len(same) == 1 else scripts
    if len(chosen) == 1:
        return (chosen[0],), ()
    return (), tuple(scripts)
