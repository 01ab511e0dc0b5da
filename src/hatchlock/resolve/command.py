"""Which of a server's commands starts it."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from hatchlock.address import Kind, Source
from hatchlock.lock.model import Environment, Lock, Package, Server
from hatchlock.manifest.model import ServerSpec
from hatchlock.resolve.direct import direct_source, is_direct
from hatchlock.resolve.named import named
from hatchlock.resolve.npm_requirements import declared_npm
from hatchlock.resolve.requirements import declared
from hatchlock.resolve.wanted import named_source

__all__ = ["main_package", "resolve_command"]


def resolve_command(server: ServerSpec, launch: Server, lock: Lock) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a server's command, and the commands to choose from if there is no single one.

    What the manifest declares holds. Else it is the command of the server's package that is named like the package
    (without its scope), else the package's only one.

    Args:
        server: As declared.
        launch: Its launch, for its environment.
        lock: Has that environment, if the server has one.

    Returns:
        (command, choices): one of them is empty. Both are empty when the package has no command at all, and for an image
        that starts its own entrypoint.

    Raises:
        KeyError: The lock lacks the environment.
    """
    if server.command or server.source is None:
        return server.command, ()
    if server.source.kind is Kind.OCI:
        return (), ()
    package = main_package(server.source, lock.environment(launch.environment, launch.runtime), lock)
    if package is None:
        return (), ()
    scripts = sorted(package.scripts)
    name = canonicalize_name(package.name.rpartition("/")[2])
    same = [script for script in scripts if canonicalize_name(script) == name]
    chosen = same if len(same) == 1 else scripts
    if len(chosen) == 1:
        return (chosen[0],), ()
    return (), tuple(scripts)


def main_package(source: Source, environment: Environment, lock: Lock) -> Package | None:
    """Return the package of an environment that a server's source names, or None if it is not there."""
    text = named_source(source)
    here = [lock.by_id[item] for item in sorted(environment.everywhere) if item in lock.by_id]
    if is_direct(text):
        place = direct_source(text)
        found = (item for item in here if item.source == place)
    elif asked := named(text):
        found = (item for item in here if (item.kind, item.name) == (asked.kind, asked.name))
    elif source.kind is Kind.NPM:
        name, _ = declared_npm(source.spec)
        wanted = environment.tree.get(f"node_modules/{name}", "")
        found = (item for item in here if item.id == wanted)
    else:
        name = declared(text).name
        found = (item for item in here if item.namespace is Kind.PYPI and item.name == name)
    return next(found, None)
