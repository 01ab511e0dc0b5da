"""What a server is made of, as one digest: a pin is stale when the server has become something else since."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.lock.model import Build, Environment, Lock, Package, Server

__all__ = ["artefact_of", "is_stale"]


def artefact_of(lock: Lock, server: str) -> str:
    """Return the digest (64 hex digits) of what a server of a lock is made of, on every platform.

    That is its own code and what this needs: packages with the digests of their files, its image, what an image of its own
    is built from; and how it is started: command, arguments, literal variables; of a remote server its address. It is not
    where it runs: runtime, base image, interpreter, sandbox, name.

    Raises:
        KeyError: The lock has no such server.
    """
    launch = lock.server(server)
    made = {
        "packages": _packages(lock, launch),
        "image": _image(lock, launch.image),
        "build": _build(lock, lock.build(server)),
        "command": [*launch.command],
        "args": [*launch.args],
        "env": dict(launch.env),
        "url": launch.url,
    }
    return sha256_bytes(canonical_json({name: value for name, value in made.items() if value}))


def is_stale(lock: Lock, server: str) -> bool:
    """Return whether something else was pinned of a server than what it is now; False for one that is not pinned."""
    surface = lock.surface(server)
    return surface is not None and surface.artefact != artefact_of(lock, server)


def _packages(lock: Lock, launch: Server) -> dict[str, Any]:
    try:
        environment = lock.environment(launch.environment, launch.runtime)
    except KeyError:
        return {}  # an image, a program of this machine, or somebody else's
    return {
        "common": _contents(lock, environment.packages),
        "platforms": {name: _contents(lock, ids) for name, ids in environment.platform_packages.items() if ids},
        "tree": dict(environment.tree),
        "scripts": [*environment.scripts],
        "built": _built(lock, environment),
    }


def _built(lock: Lock, environment: Environment) -> dict[str, Any]:
    """What packages without a wheel are built with decides on what comes of them."""
    found = {}
    for package, name in environment.builds.items():
        with suppress(KeyError):
            found[package] = _contents(lock, sorted(lock.environment(name, environment.runtime).everywhere))
    return found


def _contents(lock: Lock, ids: Iterable[str]) -> dict[str, list[str]]:
    return {item: _content(lock.by_id[item]) for item in ids if item in lock.by_id}


def _content(package: Package) -> list[str]:
    return [part for part in (*sorted(file.digest for file in package.files), package.tree_hash) if part]


def _image(lock: Lock, reference: str) -> dict[str, str]:
    found = next((item for item in lock.images if item.reference == reference), None) if reference else None
    return {name: item.digest for name, item in found.platforms.items()} if found else {}


def _build(lock: Lock, build: Build | None) -> dict[str, Any]:
    if build is None:
        return {}
    return {
        "files": [file.digest for file in build.files],
        "dockerfile": build.dockerfile,
        "target": build.target,
        "args": dict(build.args),
        "images": {name: _image(lock, name) for name in (*build.images, build.image) if name},
    }
