"""A lock's document to its values: whoever wrote it, what is read is well formed and leads out of no directory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from hatchlock.address import Kind
from hatchlock.launch import Sandbox, SecretReference
from hatchlock.lock.images import Image, ImageOutput, ImagePlatform, Layer
from hatchlock.lock.model import Archive, Build, Environment, File, Lock, Package, Server
from hatchlock.lock.surfaces import Definition, Surface
from hatchlock.lock.toml import hyphened

__all__ = ["read_document"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA512 = re.compile(r"[0-9a-f]{128}")
_OBJECT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})?")
_FILE_NAME = re.compile(r"[^/\\\0.-][^/\\\0]*")
# what stands below an environment: no empty, hidden-by-dots or absolute part leads out of it
_TREE_PATH = re.compile(r"(?!.*(^|/)\.{0,2}(/|\Z))[^\\\0]+", re.DOTALL)
_DEB_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_DEB_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:-]*")
_T = TypeVar("_T")


def read_document(document: Mapping[str, Any]) -> Lock:
    """Return the lock that a document of TOML is; its versions are somebody else's concern.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is none.
    """
    return Lock(
        project=_typed(document["project"], "str", "project"),
        platforms=tuple(_typed(document.get("platforms", []), "tuple[str, ...]", "platforms")),
        exclude_newer=_moment(document.get("exclude-newer", "")),
        packages=tuple(map(_read_package, document.get("package", ()))),
        archives=tuple(map(_read_archive, document.get("archive", ()))),
        images=tuple(map(_read_image, document.get("image", ()))),
        builds=tuple(map(_read_build, document.get("build", ()))),
        environments=tuple(map(_read_environment, document.get("environment", ()))),
        servers=tuple(map(_read_server, document.get("server", ()))),
        surfaces=tuple(map(_read_surface, document.get("surface", ()))),
    )


def _read(cls: type[_T], data: Mapping[str, Any], /, **converted: Any) -> _T:
    """Build a dataclass from TOML names; what is absent keeps its default."""
    names = {hyphened(item.name): item.name for item in fields(cls)}  # type: ignore[arg-type]  # a dataclass
    unknown = sorted(set(data) - set(names))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    types = {item.name: str(item.type) for item in fields(cls)}  # type: ignore[arg-type]
    values = {
        names[key]: tuple(value) if isinstance(_typed(value, types[names[key]], key), list) else value
        for key, value in data.items()
    }
    return cls(**{**values, **converted})


def _typed(value: Any, annotation: str, name: str) -> Any:
    """Refuse a value of another type than its field's; those of tables are read, and checked, apart."""
    match annotation:
        case "str":
            right = isinstance(value, str)
        case "bool":
            right = isinstance(value, bool)
        case "int":
            right = isinstance(value, int) and not isinstance(value, bool)
        case "tuple[str, ...]":
            right = isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "Mapping[str, str]":
            right = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case _:
            right = True
    if not right:
        raise ValueError(f"{name} is {value!r}")
    return value


def _moment(text: Any) -> str:
    if text and datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"exclude-newer is {text!r}, without an offset")
    return str(text)


def _checked(pattern: re.Pattern[str], *texts: str) -> None:
    """These become paths, or a program's arguments: whoever wrote the lock must not lead out of the store with them."""
    for text in texts:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is no {_NAMES[pattern]}")


_NAMES = {
    _FILE_NAME: "file name",
    _TREE_PATH: "path in an environment",
    _OBJECT: "object of git",
    _SHA512: "sha512",
    _SHA256: "sha256",
    _DIGEST: "sha256",
    _DEB_NAME: "name of a Debian package",
    _DEB_VERSION: "version of a Debian package",
}


def _read_package(data: Mapping[str, Any]) -> Package:
    files = tuple(map(_read_file, data.get("files", ())))
    package = _read(Package, data, kind=Kind(data["kind"]), files=files)
    _checked(_OBJECT, package.commit, package.tree_hash)
    if package.kind is Kind.DEB:
        _checked(_DEB_NAME, package.name)
        _checked(_DEB_VERSION, package.version)
    return package


def _read_file(data: Mapping[str, Any]) -> File:
    file = _read(File, data)
    _checked(_FILE_NAME, file.name)
    if file.sha256 or not file.sha512:
        _checked(_SHA256, file.sha256)
    if file.sha512:
        _checked(_SHA512, file.sha512)
    return file


def _read_archive(data: Mapping[str, Any]) -> Archive:
    archive = _read(Archive, data)
    if datetime.fromisoformat(archive.date).tzinfo is None:
        raise ValueError(f"date is {archive.date!r}, without an offset")
    _checked(_SHA256, archive.sha256)
    return archive


def _read_image(data: Mapping[str, Any]) -> Image:
    platforms = {name: _read_platform(item) for name, item in data["platforms"].items()}
    image = _read(Image, data, platforms=platforms)
    _checked(_DIGEST, image.digest)
    return image


def _read_platform(data: Mapping[str, Any]) -> ImagePlatform:
    platform = _read(ImagePlatform, data, layers=tuple(_read(Layer, item) for item in data.get("layers", ())))
    _checked(_DIGEST, platform.digest, platform.config)
    for layer in platform.layers:
        _checked(_DIGEST, layer.digest, layer.diff_id)
    return platform


def _read_build(data: Mapping[str, Any]) -> Build:
    build = _read(Build, data, files=tuple(map(_read_file, data.get("files", ()))))
    _checked(_SHA256, *build.keys.values())
    _checked(_TREE_PATH, build.dockerfile)
    return build


def _read_environment(data: Mapping[str, Any]) -> Environment:
    extra = {name: tuple(items) for name, items in data.get("platform-packages", {}).items()}
    managed = {name: _read_file(item) for name, item in data.get("managed", {}).items()}
    outputs = {name: _read_output(item) for name, item in data.get("outputs", {}).items()}
    environment = _read(Environment, data, platform_packages=extra, managed=managed, outputs=outputs)
    _checked(_SHA256, *environment.keys.values())
    _checked(_TREE_PATH, *environment.tree)
    return environment


def _read_output(data: Mapping[str, Any]) -> ImageOutput:
    output = _read(ImageOutput, data)
    _checked(_DIGEST, output.config, *output.layers)
    return output


def _read_server(data: Mapping[str, Any]) -> Server:
    secrets = {name: _read(SecretReference, item) for name, item in data.get("secrets", {}).items()}
    sandbox = Sandbox.from_dict({key.replace("-", "_"): value for key, value in data.get("sandbox", {}).items()})
    _checked(_SHA256, *([sandbox.seccomp_sha256] if sandbox.seccomp_sha256 else []))
    headers = {name: _read(SecretReference, item) for name, item in data.get("header-secrets", {}).items()}
    return _read(Server, {"source": "", **data}, secrets=secrets, header_secrets=headers, sandbox=sandbox)


def _read_surface(data: Mapping[str, Any]) -> Surface:
    lists = {name: tuple(map(_read_definition, data.get(name, ()))) for name in ("tools", "prompts")}
    surface = _read(Surface, data, **lists)
    _checked(_SHA256, surface.artefact, *surface.artefacts.values(), surface.tools_sha256, surface.prompts_sha256)
    _checked(_SHA256, *([surface.instructions_sha256] if surface.instructions_sha256 else []))
    return surface


def _read_definition(data: Mapping[str, Any]) -> Definition:
    definition = _read(Definition, data)
    _checked(_SHA256, definition.sha256)
    return definition
