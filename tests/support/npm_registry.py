"""An npm registry on loopback: real documents (full or abbreviated) and real tarballs, made as they are asked for."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from support.loopback import Handler, answering, fails

__all__ = ["NpmRegistry", "NpmRelease", "make_tarball", "serving_npm"]

_SHORT = (
    *(
        "name",
        "version",
        "dependencies",
        "optionalDependencies",
        "peerDependencies",
        "peerDependenciesMeta",
        "bin",
        "os",
    ),
    *("cpu", "libc", "engines", "deprecated", "bundleDependencies", "dist", "hasInstallScript", "_hasShrinkwrap"),
)


def make_tarball(manifest: Mapping[str, Any], files: Mapping[str, bytes | str] | None = None) -> bytes:
    """Return a package as `npm pack` makes it, below `package/`; the same bytes for the same content."""
    members = {"package.json": json.dumps(dict(manifest)), **(files or {})}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(members.items()):
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=0)


@dataclass(kw_only=True)
class NpmRelease:
    """One version of a package. `manifest` is what else its package.json says."""

    name: str
    version: str = "1.0.0"
    dependencies: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes | str] = field(default_factory=dict)
    uploaded: str | None = "2026-01-01T00:00:00.000Z"
    deprecated: str | bool = False
    integrity: str | None = None
    dist: Mapping[str, Any] = field(default_factory=dict)
    publisher: str = ""
    shrinkwrapped: bool = False

    @property
    def package_json(self) -> dict[str, Any]:
        own = {"name": self.name, "version": self.version}
        return own | ({"dependencies": dict(self.dependencies)} if self.dependencies else {}) | dict(self.manifest)

    @property
    def file_name(self) -> str:
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"

    @property
    def data(self) -> bytes:
        return make_tarball(self.package_json, self.files)

    @property
    def sha512(self) -> str:
        return hashlib.sha512(self.data).hexdigest()

    def document(self, base: str) -> dict[str, Any]:
        """Return the full document of the version."""
        integrity = "sha512-" + base64.b64encode(bytes.fromhex(self.sha512)).decode()
        dist = {
            "tarball": f"{base}{self.name}/-/{self.file_name}",
            "shasum": hashlib.sha1(self.data).hexdigest(),
            "integrity": integrity if self.integrity is None else self.integrity,
            **self.dist,
        }
        found = self.package_json | {"_id": f"{self.name}@{self.version}", "dist": dist}
        found |= {"deprecated": self.deprecated} if self.deprecated else {}
        found |= {"_npmUser": {"name": self.publisher, "email": "somebody@example.com"}} if self.publisher else {}
        found |= {"_hasShrinkwrap": True} if self.shrinkwrapped else {}
        scripts = found.get("scripts", {})
        return found | ({"hasInstallScript": True} if {"preinstall", "install", "postinstall"} & set(scripts) else {})


@dataclass(kw_only=True)
class NpmRegistry:
    """What is served, how, and what was asked for (`GET path`).

    Switches: `token` (only `Authorization: Bearer TOKEN` may ask), `failures` (path -> how often it answers 503 first; "*"
    for any path), `version_documents` (whether `/name/version` exists), `abbreviated` (whether the short form is known),
    `etag`, `raw` (path -> bytes to answer instead).
    """

    releases: list[NpmRelease]
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""
    token: str = ""
    failures: Counter[str] = field(default_factory=Counter)
    version_documents: bool = True
    abbreviated: bool = True
    etag: bool = False
    raw: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def asked_for(self, part: str) -> list[str]:
        return [path for path in self.asked if part in path]

    def packument(self, name: str, *, short: bool) -> dict[str, Any] | None:
        found = [release for release in self.releases if release.name == name]
        if not found:
            return None
        versions = {release.version: release.document(self.url) for release in found}
        document: dict[str, Any] = {
            "name": name,
            "dist-tags": {"latest": found[-1].version, **self.tags.get(name, {})},
            "versions": versions,
        }
        if short:
            cut = {version: {key: item[key] for key in _SHORT if key in item} for version, item in versions.items()}
            return document | {"versions": cut, "modified": "2026-01-01T00:00:00.000Z"}
        times = {release.version: release.uploaded for release in found if release.uploaded}
        return document | {"_id": name, "time": {"created": "2020-01-01T00:00:00.000Z", **times}, "readme": "# It"}


class _Handler(Handler[NpmRegistry]):
    content_type = "application/json"

    def do_GET(self) -> None:
        registry = self.state
        registry.asked.append(self.path)
        if fails(registry.failures, self.path):
            self.send(503, b"{}")
        elif registry.token and self.headers.get("Authorization") != f"Bearer {registry.token}":
            self.send(401, b'{"error":"who are you?"}')
        elif self.path in registry.raw:
            self.send(200, registry.raw[self.path])
        elif "/-/" in self.path:
            self._send_file(unquote(self.path).lstrip("/"))
        else:
            self._send_document(self.path.lstrip("/"))

    def _send_document(self, path: str) -> None:
        name, _, version = path.partition("/")
        name = unquote(name)
        if version:
            self._send_version(name, unquote(version))
            return
        short = self.state.abbreviated and "install-v1" in self.headers.get("Accept", "")
        document = self.state.packument(name, short=short)
        if document is None:
            self.send(404, b'{"error":"not found"}')
            return
        data = json.dumps(document).encode()
        if self.state.etag:
            self.send_tagged(data)
        else:
            self.send(200, data)

    def _send_version(self, name: str, version: str) -> None:
        found = [item for item in self.state.releases if (item.name, item.version) == (name, version)]
        if not found or not self.state.version_documents:
            self.send(404, b'"version not found"')
        else:
            self.send(200, json.dumps(found[0].document(self.state.url)).encode())

    def _send_file(self, path: str) -> None:
        name, _, file = path.partition("/-/")
        found = [item for item in self.state.releases if (item.name, item.file_name) == (name, file)]
        self.send(200, found[0].data) if found else self.send(404, b"")


@contextlib.contextmanager
def serving_npm(*releases: NpmRelease | Sequence[NpmRelease], **switches: Any) -> Iterator[NpmRegistry]:
    """Serve these releases on loopback inside the block; the last one of a name is tagged `latest`."""
    flat = [item for entry in releases for item in ([entry] if isinstance(entry, NpmRelease) else entry)]
    registry = NpmRegistry(releases=flat, **switches)
    with answering(_Handler, registry) as address:
        registry.url = f"{address}/"
        yield registry
