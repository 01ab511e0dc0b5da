"""Requests to registries: pooled, repeated, through the user's proxies and certificates, and what a redirect may see."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import urllib3

from hatchlock.net.failures import Unreachable
from hatchlock.net.registry_places import is_loopback
from hatchlock.net.trust import proxy_for, tls_context

__all__ = ["Answer", "Wire", "discard", "reason_of", "same_origin"]

Answer = urllib3.BaseHTTPResponse

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_AT_MOST = 10
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_WAIT_AT_MOST = 30.0
_SMALL = 1 << 16


class _Retry(urllib3.Retry):
    def get_retry_after(self, response: Answer) -> float | None:
        """Return the seconds that a registry asks for, but no more than are bearable."""
        wanted = super().get_retry_after(response)
        return min(wanted, _WAIT_AT_MOST) if wanted else wanted


_RETRIES = _Retry(total=4, connect=2, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False)


class Wire:
    """Connections to registries and their token services. May be used from several threads.

    Args:
        environ: The user's variables: proxies, certificate files.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str], urllib3.PoolManager] = {}

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: str | bytes | BinaryIO | None = None,
        repeat: bool = True,
    ) -> Answer:
        """Ask once; a redirect is an answer like any other.

        Args:
            method: HTTP's.
            url: Who, and for what.
            headers: What else is said.
            body: What is sent; a stream with a `Content-Length` among the headers.
            repeat: Ask again after what failed in passing.

        Raises:
            urllib3.exceptions.HTTPError: There is no answer.
            BadCertificates: The user's certificates cannot be read.
        """
        return self._pool(url).request(
            method,
            url,
            headers=dict(headers),
            body=body,
            preload_content=False,
            redirect=False,
            retries=_RETRIES if repeat else False,
            timeout=_TIMEOUT,
        )

    def follow(self, url: str, headers: Mapping[str, str], *, method: str = "GET") -> tuple[Answer, bool]:
        """Get a URL, or its head, going where redirects lead; another host is told no credentials.

        Returns:
            The answer, and whether it is the first host's own: what another one asks for is not its affair.

        Raises:
            Unreachable: A redirect leads in a circle, from https to http, or to no address.
            urllib3.exceptions.HTTPError: There is no answer.
            BadCertificates: The user's certificates cannot be read.
        """
        asked = [url]
        own = True
        while True:
            answer = self.ask(method, asked[-1], headers)
            target = answer.headers.get("Location", "") if answer.status in _REDIRECTS else ""
            if not target:
                return answer, own
            discard(answer)
            following = _redirected(asked, target)
            if not same_origin(following, url):
                own = False
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            asked.append(following)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()

    def _pool(self, url: str) -> urllib3.PoolManager:
        scheme, proxy = url.partition("://")[0], self._proxy(url)
        with self._lock:
            if (scheme, proxy) not in self._pools:
                # Certificates take 45 ms to load: not for plain http.
                context = tls_context(self._environ) if "https" in (scheme, proxy.partition(":")[0]) else None
                self._pools[scheme, proxy] = (
                    urllib3.ProxyManager(proxy, ssl_context=context, maxsize=8)
                    if proxy
                    else urllib3.PoolManager(ssl_context=context, maxsize=8)
                )
            return self._pools[scheme, proxy]

    def _proxy(self, url: str) -> str:
        # no proxy reaches this machine's own loopback
        return "" if is_loopback(urlsplit(url).netloc) else proxy_for(url, self._environ)


def discard(answer: Answer) -> None:
    """Free the connection: for the next request if little is left unread, and what is left is known; else it is closed."""
    left = getattr(answer, "length_remaining", None)
    if left is not None and left <= _SMALL:
        answer.drain_conn()
    else:
        answer.close()


def same_origin(one: str, other: str) -> bool:
    """Return whether two URLs are of the same host, spoken to in the same way: what one is told, the other may know."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def _redirected(asked: list[str], target: str) -> str:
    """Return where a redirect leads, if it may be followed."""
    try:
        following = urljoin(asked[-1], target)
        parts = urlsplit(following)
    except ValueError:
        raise _astray(asked[0], "it redirects to something that is no http(s) address") from None
    # the query may be a signature, which is a password for that file
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _astray(asked[0], "it redirects to something that is no http(s) address")
    if following in asked or len(asked) > _REDIRECTS_AT_MOST:
        raise _astray(asked[0], f"it redirects in a circle, last to {shown}")
    if asked[-1].startswith("https:") and parts.scheme == "http":
        raise _astray(asked[0], f"it redirects from https to {shown}")
    return following


def _astray(url: str, why: str) -> Unreachable:
    advice = "whoever runs that registry has to mend it"
    return Unreachable(url=url, why=why, advice=advice, answered=True)


def reason_of(error: urllib3.exceptions.HTTPError) -> str:
    """Return why there is no answer, as a clause without addresses of ours."""
    while isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason:
        error = error.reason  # type: ignore[assignment]
    # urllib3 puts the connection in front, the operating system its number
    return (
        re.sub(r"^.*(object at 0x[0-9a-f]+>|Connection\(.*?\)): |\[Errno \d+\] ", "", str(error))
        or type(error).__name__
    )
