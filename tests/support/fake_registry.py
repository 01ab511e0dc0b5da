"""A registry in this process that speaks the pull half of the distribution API, and lies when told to."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.loopback import Handler, answering, basic

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class FakeRegistry:
    """What it serves, and what it was asked."""

    address: str = ""
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    login: str = ""
    """`user:password`: ask for a token that only these get. Empty: no authorization at all."""
    basic: bool = False
    statuses: list[int] = field(default_factory=list)
    """What the next answers are instead."""
    breaks_off: bool = False
    """Close the connection in the middle of every answer."""
    denies: bool = False
    """Show nothing, even to those who have logged in."""
    realm: str = ""
    """Where tokens are to be asked for, if not here."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path -> where it leads."""
    links: dict[str, str] = field(default_factory=dict)
    """Path of a list of tags -> its `Link`, instead of the right one."""
    tags_at_once: int = 1000
    knows_ranges: bool = True
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    """What came with each of them."""
    tokens: list[dict[str, list[str]]] = field(default_factory=list)

    def blob(self, data: bytes, media_type: str = "application/octet-stream") -> dict[str, Any]:
        self.blobs[sha256(data)] = data
        return {"digest": sha256(data), "size": len(data), "mediaType": media_type}

    def document(self, name: str, tag: str, media_type: str, content: dict[str, Any]) -> str:
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()
        for reference in (tag, sha256(data)):
            self.documents[f"/v2/{name}/manifests/{reference}"] = (media_type, data)
        return sha256(data)

    def image(self, name: str, tag: str, *, layers: list[bytes], platform: str = "linux/amd64", **run: Any) -> str:
        os, architecture, variant = [*platform.split("/"), ""][:3]
        config = {
            "os": os,
            "architecture": architecture,
            "variant": variant,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{number:064x}" for number, _ in enumerate(layers)]},
        }
        content = {
            "config": self.blob(json.dumps(config).encode(), CONFIG),
            "layers": [self.blob(layer, LAYER) for layer in layers],
        }
        return self.document(name, tag, MANIFEST, content)

    def index(self, name: str, tag: str, images: dict[str, str]) -> str:
        manifests = []
        for platform, digest in images.items():
            os, architecture, variant = [*platform.split("/"), ""][:3]
            data = self.documents[f"/v2/{name}/manifests/{digest}"][1]
            where = {"os": os, "architecture": architecture, "variant": variant}
            manifests.append({"mediaType": MANIFEST, "digest": digest, "size": len(data), "platform": where})
        return self.document(name, tag, INDEX, {"manifests": manifests})


class _Handler(Handler[FakeRegistry]):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.state.tokens.append(parse_qs(body))
        self._answer(200, json.dumps({"access_token": "t0ken"}).encode())

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.state.asked.append(url.path)
        self.state.authorizations.append(self.headers.get("Authorization", ""))
        if url.path == "/token":
            self._token(parse_qs(url.query))
        elif self.state.statuses:
            self._answer(self.state.statuses.pop(0), b"{}")
        elif not self._admitted():
            realm = self.state.realm or f"http://{self.state.address}/token"
            scheme = "Basic" if self.state.basic else f'Bearer realm="{realm}",service="fake"'
            self._answer(401, b"{}", {"WWW-Authenticate": scheme})
        elif self.state.denies:
            self._answer(403, b"{}")
        elif url.path in self.state.redirects:
            self._answer(307, b"", {"Location": self.state.redirects[url.path]})
        elif url.path.endswith("/tags/list"):
            self._tags(url.path, parse_qs(url.query))
        else:
            self._serve(url.path)

    def _admitted(self) -> bool:
        given = self.headers.get("Authorization", "")
        return not self.state.login or given == (_basic(self.state.login) if self.state.basic else "Bearer t0ken")

    def _token(self, query: dict[str, list[str]]) -> None:
        self.state.tokens.append(query)
        if self.headers.get("Authorization") == _basic(self.state.login):
            self._answer(200, b'{"token": "t0ken"}')
        else:
            self._answer(401, b"{}")

    def _tags(self, path: str, query: dict[str, list[str]]) -> None:
        start = f"{path.removesuffix('/tags/list')}/manifests/"
        known = sorted(key.removeprefix(start) for key in self.state.documents if key.startswith(start))
        tags = [tag for tag in known if ":" not in tag]
        if not tags:
            self._answer(404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
            return
        left = [tag for tag in tags if tag > query.get("last", [""])[0]]
        page, more = left[: self.state.tags_at_once], left[self.state.tags_at_once :]
        link = {"Link": f'<{path}?n={self.state.tags_at_once}&last={page[-1]}>; rel="next"'} if more else {}
        link = {"Link": self.state.links[path]} if path in self.state.links else link
        self._answer(200, json.dumps({"name": "x", "tags": page}).encode(), link)

    def _serve(self, path: str) -> None:
        digest = path.rpartition("/")[2]
        if path in self.state.documents:
            media_type, data = self.state.documents[path]
            self._answer(200, data, {"Content-Type": media_type})
        elif "/blobs/" in path and digest in self.state.blobs:
            self._blob(self.state.blobs[digest])
        else:
            self._answer(404, b"{}")

    def _blob(self, data: bytes) -> None:
        wanted = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if wanted and self.state.knows_ranges:
            self._answer(206, data[int(wanted) :], {"Content-Range": f"bytes {wanted}-{len(data) - 1}/{len(data)}"})
        else:
            self._answer(200, data)

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        sent = data[: len(data) // 2] if self.state.breaks_off else data
        self.send(status, sent, headers, missing=len(data) - len(sent))


@contextlib.contextmanager
def fake_registry() -> Iterator[FakeRegistry]:
    """Serve on a free port of 127.0.0.1 inside the block."""
    state = FakeRegistry()
    with answering(_Handler, state) as address:
        state.address = address.removeprefix("http://")
        yield state


def _basic(login: str) -> str:
    user, _, password = login.partition(":")
    return basic(user, password)
