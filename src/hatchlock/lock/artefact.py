"""What a server is made of, as one digest: a pin is stale when the server has become something else since."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.lock.files import File
from hatchlock.lock.model import Build, Environment, Lock, Package, Server

__all__ = ["artefact_of", "artefacts_of", "is_stale", "stale_on"]

_WHEEL_SYSTEMS = {"win": "windows", "macosx": "darwin", "linux": "linux", "manylinux": "linux", "musllinux": "linux"}
_WHEEL_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_WHEEL_PLATFORM = re.compile(r"([a-z]+)(?:\d+)?_(?:.*?_)?(x86_64|amd64|aarch64|arm64)")


def artefact_of(lock: Lock, server: str) -> str:
    """Return the digest (64 hex digits) of what a server of a lock is made of, on every platform.

    That is its own code and what this needs: packages with the digests of their files, its image, what an image of its own
    is built from; and how it is started: command, arguments, literal variables; of a remote server its address. It is not
    where it runs: runtime, base image, interpreter, sandbox, name.

    Raises:
        KeyError: The lock has no such server.
    """
    launch = lock.server(server)
    return _digest(
        lock,
        launch,
        packages=_packages(lock, launch),
        image=lambda reference: _image(lock, reference),
    )


def artefacts_of(lock: Lock, server: str) -> dict[str, str]:
    """Return platform -> the digest of what a server of a lock is made of there, in the sense of `artefact_of`.

    Of a file that does not say for which platform it is, nobody can say that it is not used on one, so it counts on all.

    Raises:
        KeyError: The lock has no such server.
    """
    return {platform: _artefact_on(lock, lock.server(server), platform) for platform in lock.platforms}


def stale_on(lock: Lock, server: str) -> tuple[str, ...]:
    """Return the platforms on which a server is something else than what was pinned of it; none if it is not pinned."""
    surface = lock.surface(server)
    if surface is None or surface.artefact == artefact_of(lock, server):
        return ()
    if not surface.artefacts:
        return lock.platforms
    now = artefacts_of(lock, server)
    return tuple(platform for platform in lock.platforms if surface.artefacts.get(platform) != now[platform])


def is_stale(lock: Lock, server: str, platform: str = "") -> bool:
    """Return whether something else was pinned of a server than what it is now; False for one that is not pinned.

    Args:
        lock: The lock.
        server: The server's name.
        platform: On which machine; "" for any of the lock's.
    """
    stale = stale_on(lock, server)
    return bool(stale) and (not platform or platform in stale or platform not in lock.platforms)


def _artefact_on(lock: Lock, launch: Server, platform: str) -> str:
    runs_on = f"linux/{platform.partition('/')[2]}" if launch.runtime == "container" else platform
    return _digest(
        lock,
        launch,
        packages=_packages_on(lock, launch, runs_on),
        image=lambda reference: {name: it for name, it in _image(lock, reference).items() if name == runs_on},
    )


def _digest(
    lock: Lock, launch: Server, *, packages: Mapping[str, Any], image: Callable[[str], Mapping[str, str]]
) -> str:
    made = {
        "packages": packages,
        "image": image(launch.image),
        "build": _build(lock.build(launch.name), image),
        "command": [*launch.command],
        "args": [*launch.args],
        "env": dict(launch.env),
        "url": launch.url,
    }
    return sha256_bytes(canonical_json({name: value for name, value in made.items() if value}))


def _packages(lock: Lock, launch: Server) -> dict[str, Any]:
    environment = _environment(lock, launch)
    if environment is None:
        return {}
    return {
        "common": _contents(lock, environment.packages),
        "platforms": {name: _contents(lock, ids) for name, ids in environment.platform_packages.items() if ids},
        "tree": dict(environment.tree),
        "scripts": [*environment.scripts],
        "built": _built(lock, environment, lambda other: sorted(other.everywhere)),
    }


def _packages_on(lock: Lock, launch: Server, platform: str) -> dict[str, Any]:
    environment = _environment(lock, launch)
    if environment is None:
        return {}
    here = environment.on(platform)
    built = {item: name for item, name in environment.builds.items() if item in here}
    return {
        "here": _contents(lock, here, platform),
        "tree": {path: item for path, item in environment.tree.items() if item in here},
        "scripts": [item for item in environment.scripts if item in here],
        "built": _built(lock, environment, lambda other: other.on(platform), built, platform),
    }


def _environment(lock: Lock, launch: Server) -> Environment | None:
    try:
        return lock.environment(launch.environment, launch.runtime)
    except KeyError:
        return None  # an image, a program of this machine, or somebody else's


def _built(
    lock: Lock,
    environment: Environment,
    used: Callable[[Environment], Iterable[str]],
    builds: Mapping[str, str] | None = None,
    platform: str = "",
) -> dict[str, Any]:
    """What packages without a wheel are built with decides on what comes of them."""
    found = {}
    for package, name in (environment.builds if builds is None else builds).items():
        with suppress(KeyError):
            found[package] = _contents(lock, used(lock.environment(name, environment.runtime)), platform)
    return found


def _contents(lock: Lock, ids: Iterable[str], platform: str = "") -> dict[str, list[str]]:
    return {item: _content(lock.by_id[item], platform) for item in ids if item in lock.by_id}


def _content(package: Package, platform: str) -> list[str]:
    files = (file for file in package.files if not platform or _may_be_for(file, platform))
    return [part for part in (*sorted(file.digest for file in files), package.tree_hash) if part]


def _may_be_for(file: File, platform: str) -> bool:
    """Whether a file may be used on a platform: what does not clearly say that it is for another one may be."""
    if file.platform:
        return file.platform == platform
    if not file.name.endswith(".whl"):
        return True
    tags = file.name.removesuffix(".whl").rpartition("-")[2].split(".")
    return any(_fits(tag, platform) for tag in tags)


def _fits(tag: str, platform: str) -> bool:
    match = _WHEEL_PLATFORM.fullmatch(tag)
    if match is None or match[1] not in _WHEEL_SYSTEMS:
        return True  # `any`, or what nobody has thought of
    return platform == f"{_WHEEL_SYSTEMS[match[1]]}/{_WHEEL_MACHINES[match[2]]}"


def _image(lock: Lock, reference: str) -> dict[str, str]:
    found = next((item for item in lock.images if item.reference == reference), None) if reference else None
    return {name: item.digest for name, item in found.platforms.items()} if found else {}


def _build(build: Build | None, image: Callable[[str], Mapping[str, str]]) -> dict[str, Any]:
    if build is None:
        return {}
    return {
        "files": [file.digest for file in build.files],
        "dockerfile": build.dockerfile,
        "target": build.target,
        "args": dict(build.args),
        "images": {name: dict(image(name)) for name in (*build.images, build.image) if name},
    }
