"""A registry on loopback, by which npm's resolver asks ours: its cache, mirrors, credentials and limits decide what exists."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.npm.names import BadNpmName, is_name, parse_wanted
from hatchlock.sources.npm.offer import Offer, node_allows, offer
from hatchlock.sources.npm.packument import DEPENDENCIES, Packument, Release
from hatchlock.sources.npm.ranges import NpmRange
from hatchlock.sources.npm.registry import NpmSource

__all__ = ["Foreign", "Question", "Relay", "needs_of", "relaying"]

_OK = 200
_NOT_FOUND = 404
_UNAVAILABLE = 503
_TARBALL = "-/"
_NOT_THIS_NODE = b'"engines":{"node":"<0.0.0"},'
# npm would refuse what does not run on the machine that it runs on; of two keys the last one counts
_ON_ANY_MACHINE = b',"os":null,"cpu":null,"libc":null}'
_MARKER_VERSION = "1.0.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What npm's resolver is asked, besides what registries say.

    Attributes:
        roots: Name -> what is wanted of it.
        overrides: Name -> what is taken whoever wants it.
        optional: As `roots`; what cannot be had of them is left out. Other names than those of `roots`.
        constraints: Name -> ranges that every version of it has to be in, wherever it stands.
        preferred: Name -> versions to choose from, where some of them still exist.
        node: The Node that the packages are for, "22" or "22.4.1"; "" if that is not to count.
    """

    roots: Mapping[str, str]
    overrides: Mapping[str, str]
    preferred: Mapping[str, tuple[str, ...]]
    node: str
    optional: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def limits(self, name: str) -> tuple[NpmRange, ...]:
        """Return the constraints on a name."""
        return tuple(map(NpmRange.parse, self.constraints.get(name, ())))


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Foreign:
    """A dependency that is not from a registry: on `name`, written as `spec` by `requirer` ("tool 1.2.3")."""

    requirer: str
    name: str
    spec: str


class Relay:
    """What the relay answers. Thread safe.

    A dependency from elsewhere than a registry is served as a package of a name of its own, which then shows where npm
    needs it; so it is not asked for, and not lost either.

    Attributes:
        asked: Names that npm asked for.
        failures: Those of them that it could not be told about -> why.
    """

    def __init__(self, source: NpmSource, question: Question) -> None:
        self.asked: set[str] = set()
        self.failures: dict[str, HatchlockError] = {}
        self.secret = secrets.token_hex(16)
        self._scope = f"@elsewhere-{secrets.token_hex(8)}"
        self._source = source
        self._question = question
        self._foreign: dict[str, Foreign] = {}
        self._offers: dict[str, Offer] = {}
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def foreign(self, name: str) -> Foreign | None:
        """Return what a package of such a name of its own stands for, or None if it is a registry's."""
        return self._foreign.get(name)

    def look_ahead(self) -> None:
        """Begin to fetch what npm will probably ask for: for each dependency what it would take if that were alone."""
        for name, spec in sorted([*self._question.roots.items(), *self._question.optional.items()]):
            self._want(name, spec)

    def document(self, name: str, base: str) -> bytes:
        """Return a package's document as npm gets it.

        Args:
            name: The package.
            base: Where the relay is.

        Raises:
            HatchlockError: See `NpmSource.packument`.
        """
        if name in self._foreign:
            return self._marker(name)
        self.asked.add(name)
        found = self._offer(name)
        spellings = [str(found.document.spelling(version)) for version in found.versions]
        tags = {tag: found.document.spelling(version) for tag, version in found.tags.items()}
        versions = b",".join(self._version(found.document, spelling, base) for spelling in reversed(spellings))
        return b'{"name":%b,"dist-tags":%b,"versions":{%b}}' % (_json(name), _json(tags), versions)

    def tarball(self, name: str, spelling: str) -> bytes | None:
        """Return the file of a version whose tree only the file tells; None for all others, which nobody needs here."""
        found = self._offer(name)
        for version in found.versions:
            if found.document.spelling(version) == spelling and found.document.release(spelling).packed:
                candidate = self._source.candidate(name, version)
                return self._source.tarball(candidate) if candidate else None
        return None

    def _offer(self, name: str) -> Offer:
        known = self._offers.get(name)
        if known is None:
            known = self._offers[name] = offer(
                self._source.packument(name),
                exclude_newer=self._source.exclude_newer,
                allowed=self._question.preferred.get(name),
                within=self._question.limits(name),
            )
        return known

    def _version(self, document: Packument, spelling: str, base: str) -> bytes:
        release = document.release(spelling)
        dist = {"tarball": f"{base}{_TARBALL}{quote(document.name, safe='')}/{quote(spelling, safe='')}.tgz"}
        if release.integrity:
            dist["integrity"] = release.integrity
        engines = b"" if node_allows(release.node, self._question.node) else _NOT_THIS_NODE
        manifest = self._marked(document, release) if release.foreign else document.manifest_bytes(spelling)
        return b'%b:{"dist":%b,%b%b%b' % (_json(spelling), _json(dist), engines, manifest[1:-1], _ON_ANY_MACHINE)

    def _marked(self, document: Packument, release: Release) -> bytes:
        manifest = dict(document.manifest(release.version))
        for kind in DEPENDENCIES:
            needs = manifest.get(kind, {})
            manifest[kind] = {
                name: spec for name, spec in needs.items() if isinstance(spec, str) and parse_wanted(name, spec)
            }
            for name in needs.keys() - manifest[kind].keys():
                marker = self._mark(f"{document.name} {release.version}", name, str(needs[name]))
                manifest[kind] |= (
                    {name: f"npm:{marker}@{_MARKER_VERSION}"} if is_name(name) else {marker: _MARKER_VERSION}
                )
        return _json(manifest)

    def _mark(self, requirer: str, name: str, spec: str) -> str:
        foreign = Foreign(requirer=requirer, name=name, spec=spec)
        marker = f"{self._scope}/{sha256_bytes(repr(foreign).encode())[:40]}"
        self._foreign[marker] = foreign
        return marker

    def _marker(self, name: str) -> bytes:
        manifest = {"name": name, "version": _MARKER_VERSION, "dist": {"tarball": "http://127.0.0.1/none.tgz"}}
        return _json({"name": name, "dist-tags": {}, "versions": {_MARKER_VERSION: manifest}})

    def _want(self, name: str, spec: str) -> None:
        asked = parse_wanted(name, self._question.overrides.get(name, spec))
        if asked is None or asked.name in self._foreign:
            return
        with self._lock:
            if (asked.name, asked.spec) in self._seen:
                return
            self._seen.add((asked.name, asked.spec))
        with contextlib.suppress(RuntimeError):  # closed: nobody waits any more
            future = self._source.packument_ahead(asked.name)
            future.add_done_callback(partial(self._follow, asked.name, spec=asked.spec))

    def _follow(self, name: str, future: Future[Packument], *, spec: str) -> None:
        try:
            if future.exception() is not None:
                return
        except CancelledError:
            return
        found = self._offer(name)
        asked = parse_wanted(name, spec)
        version = next(found.ranked(asked, node=self._question.node), None) if asked else None
        if version is None:
            return
        for needed, wanted in needs_of(found.document.manifest(str(found.document.spelling(version)))).items():
            self._want(needed, wanted)


def needs_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return what npm installs for a manifest, name -> spec: everything but peers that may be missing."""
    optional = {
        name
        for name, facts in (manifest.get("peerDependenciesMeta") or {}).items()
        if isinstance(facts, dict) and facts.get("optional")
    }
    peers = {name: spec for name, spec in (manifest.get("peerDependencies") or {}).items() if name not in optional}
    needs = {**peers, **(manifest.get("dependencies") or {}), **(manifest.get("optionalDependencies") or {})}
    return {name: str(spec) for name, spec in sorted(needs.items())}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    relay: Relay
    base: str

    def do_GET(self) -> None:
        prefix = f"/{self.relay.secret}/"
        if not self.path.startswith(prefix):
            self._send(_NOT_FOUND, b"{}")
            return
        path = self.path[len(prefix) :].partition("?")[0]
        name = unquote(path)
        if path.startswith(_TARBALL):
            name, _, spelling = path.removeprefix(_TARBALL).removesuffix(".tgz").partition("/")
            name = unquote(name)
            self._answer(name, lambda: self.relay.tarball(name, unquote(spelling)))
        else:
            self._answer(name, lambda: self.relay.document(name, self.base))

    def _answer(self, name: str, ask: Any) -> None:
        try:
            found = ask()
        except (UnknownPackage, BadNpmName) as error:
            self.relay.failures[name] = error
            self._send(_NOT_FOUND, b"{}")
        except HatchlockError as error:
            self.relay.failures[name] = error
            self._send(_UNAVAILABLE, b"{}")
        else:
            self._send(_OK if found is not None else _NOT_FOUND, found or b"{}")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@contextlib.contextmanager
def relaying(relay: Relay) -> Iterator[str]:
    """Serve a relay on loopback inside the block, and yield its address, which nobody else can guess."""
    handler = type("Handler", (_Handler,), {"relay": relay})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        base = f"http://127.0.0.1:{server.server_address[1]}/{relay.secret}/"
        handler.base = base  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield base
        finally:
            server.shutdown()
            thread.join()
