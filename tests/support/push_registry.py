"""A registry in this process that speaks the push half of the distribution API, and fails when told to."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.loopback import Handler, answering, basic

Fault = tuple[int, str]
"""The status of an answer, and the error code in it; status 0 breaks the connection off."""


@dataclass
class PushRegistry:
    """What it was given, and how it is to behave."""

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Digest or tag -> media type, bytes."""
    login: str = ""
    """`user:password`: only these get a token; one that is good for pulling alone if that is what was asked for."""
    says_scope: bool = True
    denies: bool = False
    """Let nobody push."""
    lists_referrers: bool = False
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """`METHOD uploads|blobs|manifests` -> what the next such requests get instead of an answer."""
    corrupts: bool = False
    """Receive other bytes than are sent."""
    asked: Counter[str] = field(default_factory=Counter)
    """`METHOD uploads|blobs|manifests|referrers|token`, how often."""
    scopes: list[str] = field(default_factory=list)
    elsewhere: str = ""
    """The host that uploads are sent to, if it is not this one."""
    authorizations: list[str] = field(default_factory=list)

    @property
    def written(self) -> int:
        """How many requests wanted to change something."""
        return sum(number for word, number in self.asked.items() if word.startswith(("PUT", "POST", "PATCH")))

    def document(self, name: str) -> dict[str, Any]:
        """Return what is stored under a tag or digest."""
        document: dict[str, Any] = json.loads(self.manifests[name][1])
        return document


class _Handler(Handler[PushRegistry]):
    def _asked(self) -> None:
        url = urlsplit(self.path)
        kind = next(
            (kind for kind in ("uploads", "blobs", "manifests", "referrers") if f"/{kind}/" in url.path), "token"
        )
        word = f"{self.command} {kind}"
        self.state.asked[word] += 1
        self.state.authorizations.append(self.headers.get("Authorization", ""))
        if url.path == "/token":
            self._token(parse_qs(url.query))
            return
        if faults := self.state.faults.get(word):
            status, code = faults.pop(0)
            if status == 0:
                self.close_connection = True
                self.rfile.read(1)
                return
            self._body()
            self._error(status, code)
            return
        body = self._body()
        if not self._admitted(is_writing=self.command in {"POST", "PUT"}):
            scope = f"repository:team/app:{'pull,push' if self.command in {'POST', 'PUT'} else 'pull'}"
            challenge = f'Bearer realm="http://{self.state.address}/token",service="fake"'
            challenge += f',scope="{scope}"' if self.state.says_scope else ""
            self.send(401, b"{}", {"WWW-Authenticate": challenge})
            return
        if self.state.denies and self.command != "HEAD":
            self._error(403, "DENIED")
            return
        getattr(self, f"_{kind}")(url.path.rpartition("/")[2], parse_qs(url.query), body)

    do_GET = do_HEAD = do_POST = do_PUT = _asked

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _admitted(self, *, is_writing: bool) -> bool:
        given = self.headers.get("Authorization", "")
        return not self.state.login or given in ({"Bearer push"} if is_writing else {"Bearer push", "Bearer pull"})

    def _token(self, query: dict[str, list[str]]) -> None:
        (scope,) = query["scope"]
        self.state.scopes.append(scope)
        user, _, password = self.state.login.partition(":")
        if self.headers.get("Authorization") != basic(user, password):
            self.send(401, b"{}")
            return
        self.send(200, json.dumps({"token": "push" if "push" in scope else "pull"}).encode())

    def _uploads(self, _: str, query: dict[str, list[str]], body: bytes) -> None:
        if self.command == "POST":
            where = f"http://{self.state.elsewhere}" if self.state.elsewhere else ""
            self.send(202, b"", {"Location": f"{where}/v2/team/app/blobs/uploads/1?state=x"})
            return
        (digest,) = query["digest"]
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest or self.state.corrupts:
            self._error(400, "DIGEST_INVALID")
            return
        self.state.blobs[digest] = body
        self.send(201, b"", {"Docker-Content-Digest": digest})

    def _blobs(self, digest: str, _: dict[str, list[str]], __: bytes) -> None:
        self.send(200 if digest in self.state.blobs else 404, b"")

    def _manifests(self, name: str, _: dict[str, list[str]], body: bytes) -> None:
        if self.command == "PUT":
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            lacking = [item for item in _named(body) if item not in self.state.blobs | self.state.manifests]
            if lacking:
                self._error(400, "MANIFEST_BLOB_UNKNOWN")
                return
            for key in (name, digest):
                self.state.manifests[key] = (self.headers["Content-Type"], body)
            subject = json.loads(body).get("subject")
            listed = {"OCI-Subject": subject["digest"]} if subject and self.state.lists_referrers else {}
            self.send(201, b"", {"Docker-Content-Digest": digest, **listed})
        elif name not in self.state.manifests:
            self._error(404, "MANIFEST_UNKNOWN")
        else:
            media_type, data = self.state.manifests[name]
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            headers = {"Content-Type": media_type, "Docker-Content-Digest": digest}
            self.send(200, b"" if self.command == "HEAD" else data, headers)

    def _referrers(self, _: str, __: dict[str, list[str]], ___: bytes) -> None:
        self.send(200 if self.state.lists_referrers else 404, b"{}")

    def _error(self, status: int, code: str) -> None:
        errors = [{"code": code, "message": "as the test wants it", "detail": {"Path": "/srv"}}]
        data = json.dumps({"errors": errors}).encode()
        self.send(status, b"" if self.command == "HEAD" else data)


def _named(manifest: bytes) -> list[str]:
    document = json.loads(manifest)
    items = [*document.get("layers", ()), *document.get("manifests", ())]
    items += [document["config"]] if "config" in document else []
    return [item["digest"] for item in items]


@contextlib.contextmanager
def push_registry() -> Iterator[PushRegistry]:
    """Serve on a free port of 127.0.0.1 inside the block."""
    state = PushRegistry()
    with answering(_Handler, state) as address:
        state.address = address.removeprefix("http://")
        yield state
