"""A client for container registries: the pull half of the OCI distribution specification 1.1.

Everything that is fetched is checked against its digest before it is handed on, whoever served it. So a registry's mirrors
are asked before it. What a tag means is not checked by anything: the first who knows the tag says it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from hatchlock.address import ImageReference
from hatchlock.digest import hex_of, oci_digest
from hatchlock.net.registry_errors import (
    ImageProblem,
    ImageUnreachable,
    LoginNeeded,
    MissingPlatform,
    NoAccess,
    UnknownImage,
    UnsupportedImage,
    WrongLogin,
)
from hatchlock.net.registry_places import Place, Places, normal_reference
from hatchlock.net.registry_session import Session
from hatchlock.net.registry_wire import Answer
from hatchlock.store.blobs import WrongHash

__all__ = [
    "INDEX_TYPES",
    "MANIFEST_TYPES",
    "ImageProblem",
    "ImageUnreachable",
    "LoginNeeded",
    "Manifest",
    "MissingPlatform",
    "NoAccess",
    "Registry",
    "UnknownImage",
    "UnsupportedImage",
    "WrongLogin",
]

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""The media types of what lists one manifest per platform."""

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""The media types of what names one image's config and layers."""

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_CHUNK = 1 << 20
_MANIFEST_AT_MOST = 4 << 20
_ERROR_AT_MOST = 1 << 16
_TAGS_AT_ONCE = 1000
_TAG_PAGES_AT_MOST = 200
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_PARTIAL = 206

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A manifest or index, as it came.

    Attributes:
        digest: `sha256:…` of `data`.
        media_type: What it says that it is.
        data: Its bytes.
    """

    digest: str
    media_type: str
    data: bytes


class Registry:
    """All registries, by the host in an image's reference, each behind its mirrors. May be used from several threads.

    A mirror that does not answer, wants a login, or lacks the image is passed over, and one that gives no answer at all is
    not asked again. One that serves other bytes than a digest names is an error: it is not a mirror.

    Args:
        environ: The user's variables: credentials (`HOME`, `DOCKER_CONFIG`), proxies, certificate files.
        default_host: The registry of references without one.
        plain_http: Hosts (`host[:port]`) to which http is spoken, without any login; loopback always is.
        mirrors: Registry -> mirrors that are asked before it, in order: `host[:port][/path]`.
        offline: Reach nothing: every call fails.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        default_host: str,
        plain_http: frozenset[str] = frozenset(),
        mirrors: Mapping[str, Sequence[str]] | None = None,
        offline: bool = False,
    ) -> None:
        self._default_host = default_host
        self._places = Places(default_host=default_host, plain_http=plain_http, mirrors=mirrors or {})
        self._session = Session(environ)
        self._offline = offline
        self._dead: dict[str, ImageUnreachable] = {}

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def normal(self, reference: ImageReference) -> ImageReference:
        """Return the one spelling of an image's name; see `registry_places.normal_reference`."""
        return normal_reference(reference, default_host=self._default_host)

    def manifest(self, reference: ImageReference) -> Manifest:
        """Fetch a manifest or an index.

        Raises:
            UnknownImage: The registry has none of this name.
            UnsupportedImage: It is in a form that is not known.
            LoginNeeded, WrongLogin, NoAccess: The registry does not show it.
            ImageUnreachable: It does not answer, or not with a manifest.
            WrongHash: The reference has a digest, and the answer another one.
        """
        return self._first(reference, lambda place: self._manifest(place, reference))

    def blob(self, reference: ImageReference, digest: str, write: Callable[[bytes], object]) -> None:
        """Fetch a blob in pieces; those that were written are worth nothing if this raises.

        When a mirror breaks off, the next in line is asked for the rest; no byte is written twice.

        Args:
            reference: The image that it belongs to.
            digest: `sha256:…`.
            write: Takes the pieces in order.

        Raises:
            UnknownImage: The registry does not have it.
            LoginNeeded, WrongLogin, NoAccess: The registry does not show it.
            ImageUnreachable: The registry does not answer, or breaks off.
            WrongHash: The bytes are others.
        """
        seen = hashlib.sha256()
        done = 0
        gave: list[str] = []

        def take(place: Place) -> None:
            nonlocal done
            with contextlib.closing(self._rest(place, reference, digest, done)) as pieces:
                for piece in pieces:
                    gave.append(place.host)
                    seen.update(piece)
                    done += len(piece)
                    _write(piece, write, place)

        self._first(reference, take)
        actual = f"sha256:{seen.hexdigest()}"
        if actual != digest:
            who = ", ".join(dict.fromkeys(gave)) or self._places.own(reference).host
            raise _wrong(f"a layer or config of {reference}", digest, actual, who)

    def tags(self, reference: ImageReference) -> tuple[str, ...]:
        """Return the tags of an image's repository, sorted as text; those of the first registry in line that has any.

        Args:
            reference: Its own tag and digest do not matter.

        Raises:
            UnknownImage: The registry has nothing of this name.
            LoginNeeded, WrongLogin, NoAccess: The registry does not show it.
            ImageUnreachable: It does not answer, not with a list of tags, or with one that has no end.
        """
        named = replace(reference, tag="", digest="")
        return self._first(named, lambda place: self._tags(place, named))

    def _first(self, reference: ImageReference, ask: Callable[[Place], _T]) -> _T:
        """Ask the mirrors and then the registry itself, until one has it; what the registry says counts in the end."""
        own = self._places.own(reference)
        if self._offline:
            why, advice = "--offline was given", "fetch it first, without --offline"
            raise ImageUnreachable(image=str(reference), registry=own.host, why=why, advice=advice, answered=False)
        tried: list[ImageProblem] = []
        for place in self._places.mirrors(reference):
            if place.host in self._dead:
                tried.append(replace(self._dead[place.host], image=str(reference)))
                continue
            try:
                return ask(place)
            except ImageProblem as error:
                tried.append(error)
                if isinstance(error, ImageUnreachable) and not error.answered:
                    self._dead[place.host] = error
        try:
            return ask(own)
        except ImageProblem as error:
            if not tried:
                raise
            raise replace(error, tried=tuple(tried)) from error

    def _manifest(self, place: Place, reference: ImageReference) -> Manifest:
        path = f"/manifests/{reference.reference}"
        headers = {"Accept": ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))}
        with self._get(place, reference, place.url + path, headers) as answer:
            data = answer.read(_MANIFEST_AT_MOST + 1)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            announced = answer.headers.get("Docker-Content-Digest", "")
        if len(data) > _MANIFEST_AT_MOST:
            raise _odd(place, reference, f"its manifest has more than {_MANIFEST_AT_MOST} bytes")
        digest = oci_digest(data)
        expected = reference.digest or (announced if announced.startswith("sha256:") else digest)
        if digest != expected:
            raise _wrong(f"the manifest of {reference}", expected, digest, place.host)
        if media_type in (*INDEX_TYPES, *MANIFEST_TYPES):
            return Manifest(digest=digest, media_type=media_type, data=data)
        if media_type.startswith("application/vnd."):
            form = "Docker's image manifest schema 1" if media_type.startswith(_SCHEMA_1) else media_type
            raise UnsupportedImage(image=str(reference), registry=place.host, form=form)
        raise _odd(place, reference, f"it answers with {media_type or 'something'}, which is no image manifest")

    def _rest(self, place: Place, reference: ImageReference, digest: str, done: int) -> Generator[bytes, None, None]:
        """Yield the bytes of a blob from byte `done` on, whether or not the registry can leave out those before it."""
        headers = {"Accept": "*/*"} | ({"Range": f"bytes={done}-"} if done else {})
        with self._get(place, reference, f"{place.url}/blobs/{digest}", headers) as answer:
            skip = done
            if answer.status == _PARTIAL:
                if not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
                    raise _odd(place, reference, "it sends another part of a layer than it was asked for")
                skip = 0
            for piece in answer.stream(_CHUNK, decode_content=False):
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))

    def _tags(self, place: Place, reference: ImageReference) -> tuple[str, ...]:
        url = f"{place.url}/tags/list?n={_TAGS_AT_ONCE}"
        found: set[str] = set()
        for _ in range(_TAG_PAGES_AT_MOST):
            with self._get(place, reference, url, {"Accept": "application/json"}) as answer:
                data = answer.read(_MANIFEST_AT_MOST)
                link = _NEXT.search(answer.headers.get("Link", ""))
            found.update(_listed(place, reference, data))
            if link is None:
                break
            following = urljoin(url, link[1])
            if urlsplit(following)[:3] != urlsplit(url)[:3]:
                raise _odd(place, reference, "its list of tags goes on somewhere else")
            if following == url:
                raise _odd(place, reference, "its list of tags has no end")
            url = following
        else:
            raise _odd(place, reference, f"its list of tags has more than {_TAG_PAGES_AT_MOST} pages")
        if not found:
            raise UnknownImage(image=str(reference), registry=place.host)
        return tuple(sorted(found))

    @contextlib.contextmanager
    def _get(self, place: Place, reference: ImageReference, url: str, headers: Mapping[str, str]) -> Iterator[Answer]:
        with self._session.ask(place, str(reference), url, headers) as answer:
            _check(place, reference, answer)
            yield answer


def _write(piece: bytes, write: Callable[[bytes], object], place: Place) -> None:
    try:
        write(piece)
    except WrongHash as error:
        raise replace(error, where=error.where or place.host) from error


def _check(place: Place, reference: ImageReference, answer: Answer) -> None:
    image, host = str(reference), place.host
    match answer.status:
        case 200 | 206:
            return
        case 404:
            whole = "NAME_UNKNOWN" in _codes(answer.read(_ERROR_AT_MOST))
            raise UnknownImage(image=image, registry=host, whole=whole)
        case 429:
            why = "it limits how often it may be asked (status 429)"
            advice = f"wait, log in (docker login {host}), or name a mirror in the manifest's table of that registry"
            raise ImageUnreachable(image=image, registry=host, why=why, advice=advice)
        case status:
            raise _odd(place, reference, f"it answers with status {status}")


def _codes(data: bytes) -> list[str]:
    """Return the error codes of the distribution specification that an answer holds."""
    try:
        errors = json.loads(data)["errors"]
        return [str(item["code"]) for item in errors]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


def _listed(place: Place, reference: ImageReference, data: bytes) -> list[str]:
    try:
        tags = json.loads(data)["tags"] or []
        return [tag for tag in tags if isinstance(tag, str) and _TAG.fullmatch(tag)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _odd(place, reference, "it answers with something that is no list of tags") from error


def _odd(place: Place, reference: ImageReference, why: str) -> ImageUnreachable:
    return ImageUnreachable(image=str(reference), registry=place.host, why=why)


def _wrong(what: str, expected: str, actual: str, where: str) -> WrongHash:
    return WrongHash(what=what, expected=hex_of(expected), actual=hex_of(actual), where=where)
