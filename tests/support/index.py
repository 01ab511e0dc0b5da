"""A package index on loopback: real pages (PEP 691 or 503) and real wheels, made as they are asked for."""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.loopback import Handler, answering, basic, fails

__all__ = ["Index", "Release", "serving", "wheel_bytes"]


@dataclass(kw_only=True)
class Release:
    """One file of a project."""

    name: str
    version: str
    requires: Sequence[str] = ()
    tag: str = "py3-none-any"
    requires_python: str | None = None
    metadata_python: str | None = None
    yanked: bool | str = False
    uploaded: str | None = "2026-01-01T00:00:00Z"
    extras: Sequence[str] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    headers: Sequence[str] = ()
    padding: int = 0
    metadata_first: bool = False
    hashed: bool = True
    sdist: bool = False
    body: bytes | None = None

    @property
    def file_name(self) -> str:
        stem = f"{self.name.replace('-', '_')}-{self.version}"
        return f"{stem}.tar.gz" if self.sdist else f"{stem}-{self.tag}.whl"

    @property
    def metadata(self) -> bytes:
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        lines += [f"Requires-Python: {self.metadata_python}"] if self.metadata_python else []
        lines += [f"Provides-Extra: {extra}" for extra in self.extras]
        lines += [f"Requires-Dist: {text}" for text in self.requires]
        return "\n".join([*lines, *self.headers, "", "A description: with a colon"]).encode()

    @property
    def data(self) -> bytes:
        return wheel_bytes(self) if self.body is None else self.body


def wheel_bytes(release: Release) -> bytes:
    """Return the same bytes for the same release."""
    folder = f"{release.name.replace('-', '_')}-{release.version}.dist-info"
    members = {
        f"{release.name.replace('-', '_')}/__init__.py": b"#" * release.padding,
        f"{folder}/METADATA": release.metadata,
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
    }
    if release.scripts:
        lines = [f"{name} = {target}" for name, target in release.scripts.items()]
        members[f"{folder}/entry_points.txt"] = "\n".join(["[console_scripts]", *lines]).encode()
    if release.metadata_first:
        members = dict(sorted(members.items(), key=lambda item: "dist-info" not in item[0]))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


@dataclass(kw_only=True)
class Index:
    """What is served, how, and what was asked for (`GET path`, with the range if there was one)."""

    releases: list[Release]
    url: str = ""
    ranges: bool = True
    range_refusal: int = 0
    separate_metadata: bool = False
    wrong_metadata: bool = False
    as_html: bool = False
    etag: bool = False
    login: tuple[str, str] | None = None
    failures: Counter[str] = field(default_factory=Counter)
    raw_pages: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def asked_for(self, part: str) -> list[str]:
        return [line for line in self.asked if part in line]

    def page(self, name: str) -> dict[str, Any] | None:
        found = [release for release in self.releases if release.name == name]
        if not found:
            return None
        return {
            "meta": {"api-version": "1.1"},
            "name": name,
            "versions": sorted({release.version for release in found}),
            "files": [self._file(release) for release in found],
        }

    def _file(self, release: Release) -> dict[str, Any]:
        file: dict[str, Any] = {
            "filename": release.file_name,
            "url": f"../../files/{release.file_name}",
            "hashes": {"sha256": hashlib.sha256(release.data).hexdigest()} if release.hashed else {},
            "size": len(release.data),
            "yanked": release.yanked,
        }
        if release.requires_python:
            file["requires-python"] = release.requires_python
        if release.uploaded:
            file["upload-time"] = release.uploaded
        if self.separate_metadata and not release.sdist:
            data = b"something else" if self.wrong_metadata else release.metadata
            file["core-metadata"] = {"sha256": hashlib.sha256(data).hexdigest()}
        return file


def _as_html(page: dict[str, Any]) -> bytes:
    anchors = []
    for file in page["files"]:
        fragment = f"#sha256={file['hashes']['sha256']}" if file["hashes"] else ""
        attributes = (
            f' data-requires-python="{html.escape(file["requires-python"])}"' if "requires-python" in file else ""
        )
        attributes += ' data-yanked=""' if file["yanked"] else ""
        anchors.append(f'<a href="{file["url"]}{fragment}"{attributes}>{file["filename"]}</a><br/>')
    head = '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"></head><body>'
    return (head + "\n".join(anchors) + "</body></html>").encode()


class _Handler(Handler[Index]):
    def do_GET(self) -> None:
        index = self.state
        wanted = self.headers.get("Range", "")
        index.asked.append(f"{self.path} {wanted}".strip())
        if fails(index.failures, self.path):
            self.send(503, b"try again")
        elif index.login and self.headers.get("Authorization") != basic(*index.login):
            self.send(401, b"who are you?")
        elif self.path.startswith("/simple/"):
            self._send_page(self.path.split("/")[2])
        elif self.path.startswith("/files/"):
            self._send_file(self.path.removeprefix("/files/"), wanted)
        else:
            self.send(404, b"")

    def _send_page(self, name: str) -> None:
        page = self.state.page(name)
        if name in self.state.raw_pages:
            self.send(200, self.state.raw_pages[name], {"Content-Type": "application/vnd.pypi.simple.v1+json"})
        elif page is None:
            self.send(404, b"not here")
        elif self.state.as_html:
            self.send(200, _as_html(page), {"Content-Type": "text/html; charset=utf-8"})
        else:
            data, headers = json.dumps(page).encode(), {"Content-Type": "application/vnd.pypi.simple.v1+json"}
            if self.state.etag:
                self.send_tagged(data, headers)
            else:
                self.send(200, data, headers)

    def _send_file(self, name: str, wanted: str) -> None:
        releases = {release.file_name: release for release in self.state.releases}
        release = releases.get(name.removesuffix(".metadata"))
        if release is None:
            self.send(404, b"")
            return
        data = release.metadata if name.endswith(".metadata") else release.data
        if wanted and self.state.range_refusal:
            self.send(self.state.range_refusal, b"")
            return
        if not (wanted and self.state.ranges):
            self.send(200, data)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        end = int(last) + 1 if first and last else len(data)
        piece = data[start:end]
        self.send(206, piece, {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(data)}"})


@contextlib.contextmanager
def serving(*releases: Release, **switches: Any) -> Iterator[Index]:
    """Serve these releases on loopback inside the block."""
    index = Index(releases=list(releases), **switches)
    with answering(_Handler, index) as address:
        index.url = f"{address}/simple/"
        yield index
