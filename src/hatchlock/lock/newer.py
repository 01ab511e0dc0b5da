"""The part of a lock of a newer minor version that this one knows.

A minor version only adds what can be passed over safely: facts about packages, hints, new optional tables. What a server
may do is not passed over, so an unknown key of a sandbox is left in, and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hatchlock.address import Kind
from hatchlock.launch import SecretReference
from hatchlock.lock.images import Image, ImageOutput, ImagePlatform, Layer
from hatchlock.lock.model import Archive, Build, Environment, File, Lock, Package, Server
from hatchlock.lock.surfaces import Definition, Surface
from hatchlock.lock.toml import hyphened

__all__ = ["known_part", "minor_of"]

_TABLES: Mapping[str, type] = {
    "package": Package,
    "archive": Archive,
    "image": Image,
    "build": Build,
    "environment": Environment,
    "server": Server,
    "surface": Surface,
}
_LISTS: Mapping[tuple[type, str], type] = {
    (Package, "files"): File,
    (Build, "files"): File,
    (ImagePlatform, "layers"): Layer,
    (Surface, "tools"): Definition,
    (Surface, "prompts"): Definition,
}
_MAPPINGS: Mapping[tuple[type, str], type] = {
    (Environment, "managed"): File,
    (Environment, "outputs"): ImageOutput,
    (Image, "platforms"): ImagePlatform,
    (Server, "secrets"): SecretReference,
    (Server, "header-secrets"): SecretReference,
}


_KINDS_OF_1 = (Kind.DEB, Kind.OCI, Kind.HATCH, Kind.MCP, Kind.CONDA)
_FIELDS_OF_1: Mapping[type, tuple[str, ...]] = {
    Package: (
        *("provides", "contributors", "citations", "provenance"),
        *("command", "args", "env", "needs", "transport"),
    ),
    ImagePlatform: ("ports", "volumes", "stop_signal", "version", "licence", "repository", "mcp_name", "node"),
    Environment: ("trust",),
    Server: ("trust",),
}


_FIELDS_OF_4 = ("url", "headers", "header_secrets", "port", "path", "host_port", "serve")


def minor_of(lock: Lock) -> int:
    """Return the minor version that a lock needs: whoever uses nothing new writes what older versions read."""
    platforms = (platform for image in lock.images for platform in image.platforms.values())
    values = (*lock.packages, *platforms, *lock.environments, *lock.servers)
    new = (
        bool(lock.archives),
        any(package.kind in _KINDS_OF_1 for package in lock.packages),
        any(getattr(value, name) for value in values for name in _FIELDS_OF_1[type(value)]),
        any(server.transport != "stdio" for server in lock.servers),
    )
    if any(surface.artefacts for surface in lock.surfaces):
        return 5
    if lock.surfaces or any(getattr(server, name) for server in lock.servers for name in _FIELDS_OF_4):
        return 4
    sandboxes = [server.sandbox for server in lock.servers]
    if any(item.seccomp_sha256 or any(mount.relabel for mount in item.mounts) for item in sandboxes):
        return 3
    has_builds = lock.builds or any(platform.key for image in lock.images for platform in image.platforms.values())
    if has_builds or any(item.builds or item.scripts or item.makes or item.outputs for item in lock.environments):
        return 2
    return int(any(new))


def known_part(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lock's document without the keys that this version does not know. What is wrong in it stays wrong."""
    return {name: _each(_TABLES[name], value) if name in _TABLES else value for name, value in document.items()}


def _each(cls: type, items: Any) -> Any:
    return [_known(cls, item) for item in items] if isinstance(items, list) else items


def _known(cls: type, data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    names = {hyphened(item.name) for item in fields(cls)}
    return {name: _inside(cls, name, value) for name, value in data.items() if name in names}


def _inside(cls: type, name: str, value: Any) -> Any:
    if (cls, name) in _LISTS:
        return _each(_LISTS[cls, name], value)
    if (cls, name) in _MAPPINGS and isinstance(value, dict):
        return {key: _known(_MAPPINGS[cls, name], item) for key, item in value.items()}
    return value
