"""A client for container registries: the pull half of the OCI distribution specification 1.1.

Everything that is fetched is checked against its digest before it is handed on. Tokens are got as the distribution project's
token specification says (`WWW-Authenticate: Bearer`), with the user's Docker credentials where there are any.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode, urlsplit

import urllib3

from hatchlock.address import ImageReference
from hatchlock.errors import HatchlockError
from hatchlock.net.docker_credentials import Credentials, find_credentials
from hatchlock.net.trust import proxy_for, tls_context
from hatchlock.store.blobs import WrongHash

__all__ = [
    "INDEX_TYPES",
    "ImageUnreachable",
    "Manifest",
    "MissingPlatform",
    "Registry",
    "UnknownImage",
]

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""The media types of what lists one manifest per platform."""

_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHUNK = 1 << 20
_MANIFEST_AT_MOST = 4 << 20
_RETRIES = urllib3.Retry(
    total=4, connect=2, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False
)
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_OK = 200
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404


@dataclass(kw_only=True, eq=False)
class ImageUnreachable(HatchlockError):
    """A registry that does not answer, or refuses."""

    code: ClassVar[str] = "image-unreachable"

    image: str
    registry: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"image {self.image} cannot be fetched from {self.registry}: {self.why}"

    def _hint(self) -> str:
        return self.advice or (
            "check that the registry's name is right and that this machine reaches it; a base of your own is named by "
            'base = "oci:…", and runtime = "process" needs none'
        )


@dataclass(kw_only=True, eq=False)
class UnknownImage(HatchlockError):
    """A registry that answers, and has no such image."""

    code: ClassVar[str] = "unknown-image"

    image: str
    registry: str

    def __str__(self) -> str:
        return f"{self.registry} has no image {self.image}"

    def _hint(self) -> str:
        return "check its name and tag; a private image may also need `docker login`"


@dataclass(kw_only=True, eq=False)
class MissingPlatform(HatchlockError):
    """An image that does not exist for a declared platform."""

    code: ClassVar[str] = "missing-platform"

    image: str
    platform: str
    available: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"image {self.image} does not exist for {self.platform}, only for {', '.join(self.available) or 'nothing'}"
        )

    def _hint(self) -> str:
        return "choose another image, or take the platform out of `[project] platforms`"


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
    """All registries, by the host in an image's reference. May be used from several threads.

    Args:
        environ: The user's variables: credentials (`HOME`, `DOCKER_CONFIG`), proxies, certificate files.
        default_host: The registry of references without one.
        plain_http: Hosts (`host[:port]`) to which http is spoken; loopback always is.
        offline: Reach nothing: every call fails.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        default_host: str,
        plain_http: frozenset[str] = frozenset(),
        offline: bool = False,
    ) -> None:
        self._environ = environ
        self._default_host = default_host
        self._plain_http = plain_http
        self._offline = offline
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._authorization: dict[tuple[str, str], str] = {}

    def manifest(self, reference: ImageReference) -> Manifest:
        """Fetch a manifest or an index.

        Raises:
            UnknownImage: The registry has none of this name.
            ImageUnreachable: It does not answer, or not with a manifest, or refuses.
            WrongHash: The reference has a digest, and the answer another one.
        """
        path = f"/manifests/{reference.reference}"
        with self._get(reference, path, accept=(*INDEX_TYPES, *_MANIFEST_TYPES)) as answer:
            data = answer.read(_MANIFEST_AT_MOST)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0]
            announced = answer.headers.get("Docker-Content-Digest", "")
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        expected = reference.digest or (announced if announced.startswith("sha256:") else digest)
        if digest != expected:
            raise self._wrong(reference, "the manifest of " + str(reference), expected, digest)
        if media_type not in (*INDEX_TYPES, *_MANIFEST_TYPES):
            raise self._unreachable(
                reference, f"it answers with {media_type or 'something'}, which is no image manifest"
            )
        return Manifest(digest=digest, media_type=media_type, data=data)

    def blob(self, reference: ImageReference, digest: str, write: Callable[[bytes], object]) -> None:
        """Fetch a blob in pieces; those that were written are worth nothing if this raises.

        Args:
            reference: The image that it belongs to.
            digest: `sha256:…`.
            write: Takes the pieces in order.

        Raises:
            UnknownImage: The registry does not have it.
            ImageUnreachable: The registry does not answer, breaks off, or refuses.
            WrongHash: The bytes are others.
        """
        seen = hashlib.sha256()
        with self._get(reference, f"/blobs/{digest}", accept=("*/*",)) as answer:
            for piece in answer.stream(_CHUNK, decode_content=False):
                seen.update(piece)
                write(piece)
        actual = f"sha256:{seen.hexdigest()}"
        if actual != digest:
            raise self._wrong(reference, f"a layer or config of {reference}", digest, actual)

    @contextlib.contextmanager
    def _get(
        self, reference: ImageReference, path: str, *, accept: tuple[str, ...]
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        if self._offline:
            raise self._unreachable(reference, "--offline was given", advice="fetch it first, without --offline")
        try:
            answer = self._ask(reference, path, accept)
            try:
                self._check(reference, answer)
                yield answer
                answer.drain_conn()
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(reference, _reason(error)) from error

    def _ask(self, reference: ImageReference, path: str, accept: tuple[str, ...]) -> urllib3.BaseHTTPResponse:
        host, repository = self._host(reference), self._repository(reference)
        url = f"{self._scheme(host)}://{host}/v2/{repository}{path}"
        headers = {"Accept": ", ".join(accept), "Accept-Encoding": "identity"}
        known = self._authorization.get((host, repository))
        answer = self._request("GET", url, headers | ({"Authorization": known} if known else {}))
        if answer.status != _UNAUTHORIZED:
            return answer
        challenge = answer.headers.get("WWW-Authenticate", "")
        answer.drain_conn()
        authorization = self._authorize(reference, challenge)
        if not authorization:
            return answer
        self._authorization[host, repository] = authorization
        return self._request("GET", url, headers | {"Authorization": authorization})

    def _check(self, reference: ImageReference, answer: urllib3.BaseHTTPResponse) -> None:
        if answer.status == _OK:
            return
        host = self._host(reference)
        if answer.status == _NOT_FOUND:
            raise UnknownImage(image=str(reference), registry=host)
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise self._unreachable(
                reference,
                f"it wants credentials, or has no such image (status {answer.status})",
                advice=f"check the image's name, or log in: docker login {host}",
            )
        raise self._unreachable(reference, f"it answers with status {answer.status}")

    def _authorize(self, reference: ImageReference, challenge: str) -> str:
        """Return the header that meets a challenge, "" when there is none to give."""
        host = self._host(reference)
        scheme, _, rest = challenge.partition(" ")
        credentials = find_credentials(host, self._environ)
        if scheme.lower() == "basic":
            return _basic(credentials) if credentials and credentials.user else ""
        facts = dict(_CHALLENGE.findall(rest))
        realm = facts.get("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("https://", f"{self._scheme(host)}://")):
            return ""
        asked = {
            "service": facts.get("service", ""),
            "scope": facts.get("scope") or f"repository:{self._repository(reference)}:pull",
        }
        answer = self._token(realm, {key: value for key, value in asked.items() if value}, credentials)
        with contextlib.closing(answer):
            if answer.status != _OK:
                return ""
            return _bearer(answer.read(_MANIFEST_AT_MOST))

    def _token(self, realm: str, asked: Mapping[str, str], credentials: Credentials | None) -> urllib3.BaseHTTPResponse:
        if credentials and credentials.identity_token:
            form = {**asked, "grant_type": "refresh_token", "client_id": "hatchlock"}
            body = urlencode({**form, "refresh_token": credentials.identity_token})
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._request("POST", realm, headers, body=body)
        headers = {"Authorization": _basic(credentials)} if credentials else {}
        join = "&" if "?" in realm else "?"
        return self._request("GET", f"{realm}{join}{urlencode(asked)}", headers)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], *, body: str | None = None
    ) -> urllib3.BaseHTTPResponse:
        return self._pool(url).request(
            method, url, headers=dict(headers), body=body, preload_content=False, retries=_RETRIES, timeout=_TIMEOUT
        )

    def _pool(self, url: str) -> urllib3.PoolManager:
        scheme, proxy = url.partition("://")[0], self._proxy(url)
        if (scheme, proxy) not in self._pools:
            # Certificates take 45 ms to load: not for plain http.
            context = tls_context(self._environ) if "https" in (scheme, proxy.partition(":")[0]) else None
            self._pools[scheme, proxy] = (
                urllib3.ProxyManager(proxy, ssl_context=context, maxsize=8)
                if proxy
                else urllib3.PoolManager(ssl_context=context, maxsize=8)
            )
        return self._pools[scheme, proxy]

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.clear()

    def _host(self, reference: ImageReference) -> str:
        short = self._default_host.removeprefix("index.")
        return self._default_host if reference.registry in ("", short) else reference.registry

    def _repository(self, reference: ImageReference) -> str:
        official = self._host(reference) == self._default_host and "/" not in reference.repository
        return f"library/{reference.repository}" if official else reference.repository

    def _scheme(self, host: str) -> str:
        return "http" if host in self._plain_http or _is_loopback(host) else "https"

    def _proxy(self, url: str) -> str:
        # no proxy reaches this machine's own loopback
        return "" if _is_loopback(urlsplit(url).netloc) else proxy_for(url, self._environ)

    def _wrong(self, reference: ImageReference, what: str, expected: str, actual: str) -> WrongHash:
        return WrongHash(
            what=what,
            expected=expected.removeprefix("sha256:"),
            actual=actual.removeprefix("sha256:"),
            where=self._host(reference),
        )

    def _unreachable(self, reference: ImageReference, why: str, *, advice: str = "") -> ImageUnreachable:
        return ImageUnreachable(image=str(reference), registry=self._host(reference), why=why, advice=advice)


def _is_loopback(host: str) -> bool:
    name = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _basic(credentials: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()


def _bearer(data: bytes) -> str:
    try:
        answer = json.loads(data)
    except ValueError:
        return ""
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else ""
    return f"Bearer {token}" if token else ""


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    while isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason:
        error = error.reason  # type: ignore[assignment]
    # urllib3 puts the connection in front, the operating system its number
    return (
        re.sub(r"^.*(object at 0x[0-9a-f]+>|Connection\(.*?\)): |\[Errno \d+\] ", "", str(error))
        or type(error).__name__
    )
