"""The part of a lock of a newer minor version that this one knows.

A minor version only adds what can be passed over safely: facts about packages, hints, new optional tables. What a server
may do is not passed over, so an unknown key of a sandbox is left in, and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hatchlock.launch import SecretReference
from hatchlock.lock.model import Archive, Environment, File, Image, ImagePlatform, Layer, Package, Server

__all__ = ["known_part"]

_TABLES: Mapping[str, type] = {
    "package": Package,
    "archive": Archive,
    "image": Image,
    "environment": Environment,
    "server": Server,
}
_LISTS: Mapping[tuple[type, str], type] = {(Package, "files"): File, (ImagePlatform, "layers"): Layer}
_MAPPINGS: Mapping[tuple[type, str], type] = {
    (Environment, "managed"): File,
    (Image, "platforms"): ImagePlatform,
    (Server, "secrets"): SecretReference,
}


def known_part(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lock's document without the keys that this version does not know. What is wrong in it stays wrong."""
    return {name: _each(_TABLES[name], value) if name in _TABLES else value for name, value in document.items()}


def _each(cls: type, items: Any) -> Any:
    return [_known(cls, item) for item in items] if isinstance(items, list) else items


def _known(cls: type, data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    names = {item.name.rstrip("_").replace("_", "-") for item in fields(cls)}
    return {name: _inside(cls, name, value) for name, value in data.items() if name in names}


def _inside(cls: type, name: str, value: Any) -> Any:
    if (cls, name) in _LISTS:
        return _each(_LISTS[cls, name], value)
    if (cls, name) in _MAPPINGS and isinstance(value, dict):
        return {key: _known(_MAPPINGS[cls, name], item) for key, item in value.items()}
    return value
