"""HTTP(S) as a package manager needs it: pooled, verified, retried, through the user's proxies and certificates."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

from hatchlock.net.credentials import Credentials, without_userinfo
from hatchlock.net.failures import Offline, Refused, Unreachable, failure_of
from hatchlock.net.patience import Pace, Patience, Retries, retry_after
from hatchlock.net.trust import proxy_for, tls_context

if TYPE_CHECKING:
    import urllib3

__all__ = ["Http", "Offline", "Refused", "Response", "Unreachable"]

_RETRIED = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_AT_MOST = 10
_SMALL = 1 << 16
# the longest lists of packages that there are have some hundred million
_ANSWER_AT_MOST = 1 << 30
_PIECE = 1 << 18
_PARTIAL = 206
_UNAUTHORIZED = 401
_NO_SUCH_RANGE = 416
_REFUSED = frozenset({401, 403, 407})
_FIRST_ERROR = 400
_GONE = frozenset({404, 410})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
# what is meant for the host that was asked, and for no other
_OWN_HEADERS = frozenset({"authorization", "cookie"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """An answer, read to its end.

    Attributes:
        url: The address that was asked, without userinfo.
        status: The HTTP status; redirects were followed.
        headers: Names in lower case.
        data: The body, decoded.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def partial(self) -> bool:
        """Whether the server honoured the byte range."""
        return self.status == _PARTIAL

    def checked(self) -> Response:
        """Return itself if it is a success.

        Raises:
            Refused: HTTP 401, 403 or 407.
            Unreachable: Another error status.
        """
        _check(self.url, self.status)
        return self


def _check(url: str, status: int) -> None:
    if status in _REFUSED:
        raise Refused(url=without_userinfo(url), status=status)
    if status >= _FIRST_ERROR:
        advice = "check the address: nothing is there" if status in _GONE else ""
        raise Unreachable(url=without_userinfo(url), why=f"it answers HTTP {status}", advice=advice, answered=True)


class Http:
    """A client for any number of threads.

    HTTPS trusts the system's store and the files named by SSL_CERT_FILE, REQUESTS_CA_BUNDLE, PIP_CERT, CURL_CA_BUNDLE and
    NODE_EXTRA_CA_CERTS. Requests go through HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, save for hosts of NO_PROXY. Status 429,
    500, 502, 503, 504, broken connections and bodies that break off are tried again, with back-off; `Retry-After` is
    honoured as far as `patience` goes. Redirects are followed, but not in a circle and not from https to http. Credentials
    are those of `credentials` for each host; none follows a redirect to another one.

    Args:
        environ: The variables to look at.
        offline: Ask nobody: every request raises `Offline`.
        threads: How many connections to keep per host.
        patience: How long to wait, and how often to ask again.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        offline: bool = False,
        threads: int = 32,
        patience: Patience | None = None,
    ) -> None:
        self.offline = offline
        self.threads = threads
        self.credentials = Credentials(environ)
        self._environ = environ
        self._patience = patience or Patience()
        self._lock = threading.RLock()
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def warm_up(self) -> None:
        """Begin, in the background, what the first request would wait for: loading the trusted certificates."""
        if not self.offline:
            threading.Thread(target=lambda: self._tls, daemon=True).start()

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        byte_range: tuple[int, int | None] | None = None,
        at_most: int = _ANSWER_AT_MOST,
    ) -> Response:
        """Ask for `url` and return the answer, whatever its status below 500 is, save 429.

        Args:
            url: http or https.
            headers: Further headers; an `Authorization` among them comes before the user's credentials.
            byte_range: First and last byte, both inclusive; `(first, None)` is to the end, `(-n, None)` the last n. A
                server may ignore it: look at `partial`.
            at_most: Bytes that the decoded body may have: it is kept in memory.

        Raises:
            Unreachable: More than `at_most`; no whole answer, or a server error, also after retries.
            Offline: Nobody may be asked.
        """
        wanted = dict(headers or {})
        if byte_range is not None:
            wanted |= {"Range": _range_header(*byte_range), "Accept-Encoding": "identity"}
        retries = Retries(self._patience)
        while True:
            try:
                with self._open(url, wanted) as answer:
                    return Response(
                        url=without_userinfo(url),
                        status=answer.status,
                        headers={name.lower(): value for name, value in answer.headers.items()},
                        data=self._whole(url, answer, at_most),
                    )
            except Unreachable as error:
                retries.wait(error)

    def download(self, url: str, sink: Callable[[bytes], object], *, headers: Mapping[str, str] | None = None) -> int:
        """Fetch the bytes of `url` as they are stored, hand them to `sink` in pieces, and return their number.

        When the connection breaks, the rest is asked for; the sink gets no byte twice.

        Raises:
            Refused: The server wants (other) credentials.
            Unreachable: No answer, an error status, or never the whole; `sink` may have had a part, so check the whole.
            Offline: Nobody may be asked.
        """
        done = 0
        retries = Retries(self._patience)
        while True:
            try:
                with contextlib.closing(self._rest(url, done, headers or {})) as pieces:
                    for piece in pieces:
                        sink(piece)
                        done += len(piece)
            except Unreachable as error:
                retries.wait(error)
            else:
                return done

    def _rest(self, url: str, done: int, headers: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Yield the bytes of a file from byte `done` on, whether or not the server can leave out those before it."""
        resuming = {"Range": _range_header(done, None)} if done else {}
        with self._open(url, {"Accept-Encoding": "identity", **headers, **resuming}) as answer:
            first, total = _sent_range(answer)
            if done and answer.status == _NO_SUCH_RANGE and total == done:
                return
            _check(url, answer.status)
            if first > done:
                raise Unreachable(url=without_userinfo(url), why="it leaves out a part of its file", answered=True)
            known = done - first
            for piece in self._pieces(url, answer, decode=False):
                if known < len(piece):
                    yield piece[known:]
                known = max(0, known - len(piece))

    def _whole(self, url: str, answer: urllib3.BaseHTTPResponse, at_most: int) -> bytes:
        data = bytearray()
        for piece in self._pieces(url, answer, decode=True):
            data += piece
            if len(data) > at_most:
                advice = "check the address; if it is right, whoever runs that server has to mend it"
                why = f"it sends more than {at_most} bytes"
                raise Unreachable(url=without_userinfo(url), why=why, advice=advice, answered=True)
        return bytes(data)

    def _pieces(self, url: str, answer: urllib3.BaseHTTPResponse, *, decode: bool) -> Iterator[bytes]:
        pace = Pace(without_userinfo(url), self._patience)
        while piece := answer.read1(_PIECE, decode_content=decode):
            pace.came(len(piece))
            yield piece

    @contextlib.contextmanager
    def _open(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """Ask once, follow redirects, and give the answer, of which nothing was read."""
        if self.offline:
            raise Offline(url=without_userinfo(url))
        import urllib3  # noqa: PLC0415  0.07 s that a command without requests does not pay

        answered = False
        try:
            answer = self._follow(url, headers)
            answered = True
            try:
                _check_not_busy(url, answer)
                yield answer
            except BaseException:
                # what is left unread would be taken for the next answer
                answer.close()
                raise
            answer.drain_conn()
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise replace(failure_of(url, error), answered=answered) from error

    def _follow(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        asked = [_checked(url)]
        while True:
            answer = self._ask(asked[-1], headers)
            target = answer.headers.get("Location", "") if answer.status in _REDIRECTS else ""
            if not target:
                return answer
            _discard(answer)
            following = _redirected(asked, target)
            if urlsplit(following).netloc != urlsplit(asked[-1]).netloc:
                headers = {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
            asked.append(following)

    def _ask(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        has_own = any(name.lower() == "authorization" for name in headers)
        authorization = None if has_own else self.credentials.authorization(url)
        answer = self._request(url, headers, authorization)
        if answer.status != _UNAUTHORIZED or has_own:
            return answer
        better = self.credentials.ask_keyring(url)
        if better is None or better == authorization:
            return answer
        _discard(answer)
        return self._request(url, headers, better)

    def _request(self, url: str, headers: Mapping[str, str], authorization: str | None) -> urllib3.BaseHTTPResponse:
        import urllib3  # noqa: PLC0415  see _open

        patience = self._patience
        return self._manager(url).request(
            "GET",
            without_userinfo(url),
            headers={**headers, **({"Authorization": authorization} if authorization else {})},
            preload_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=patience.connect, read=patience.read),
        )

    def _manager(self, url: str) -> urllib3.PoolManager:
        from hatchlock.net.pools import new_manager  # noqa: PLC0415  see _open

        proxy = proxy_for(url, self._environ)
        # certificates take 45 ms to load: not for plain http
        is_secure = "https:" in (url[:6].lower(), proxy[:6].lower())
        with self._lock:
            if (proxy, is_secure) not in self._managers:
                tls = self._tls if is_secure else None
                self._managers[proxy, is_secure] = new_manager(proxy, connections=self.threads, tls=tls)
            return self._managers[proxy, is_secure]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._environ)


def _check_not_busy(url: str, answer: urllib3.BaseHTTPResponse) -> None:
    if answer.status in _RETRIED:
        raise Unreachable(
            url=without_userinfo(url),
            why=f"it answers HTTP {answer.status}",
            answered=True,
            transient=True,
            retry_after=retry_after(answer.headers),
        )


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise Unreachable(url=without_userinfo(url), why="it is no http(s) address", advice="mend the address")
    return url


def _redirected(asked: list[str], target: str) -> str:
    """Return where a redirect leads, if it may be followed."""
    try:
        following = _checked(urljoin(asked[-1], target))
    except (ValueError, Unreachable):
        raise _astray(asked, "it redirects to something that is no http(s) address") from None
    if following in asked:
        way = " -> ".join(_shown(url) for url in (*asked[asked.index(following) :], following))
        raise _astray(asked, f"it redirects in a circle: {way}")
    if len(asked) > _REDIRECTS_AT_MOST:
        raise _astray(asked, f"it redirects more than {_REDIRECTS_AT_MOST} times, last to {_shown(following)}")
    if asked[-1].lower().startswith("https:") and not following.lower().startswith("https:"):
        raise _astray(asked, f"it redirects from https to {_shown(following)}")
    return following


def _shown(url: str) -> str:
    # the query of where a redirect leads may be a signature, which is a password for that file
    return without_userinfo(url).partition("?")[0]


def _astray(asked: list[str], why: str) -> Unreachable:
    advice = "check the address; if it is right, whoever runs that server has to mend it"
    return Unreachable(url=without_userinfo(asked[0]), why=why, advice=advice, answered=True)


def _discard(answer: urllib3.BaseHTTPResponse) -> None:
    """Free the connection: for the next request, if little is left unread."""
    size = answer.headers.get("Content-Length", "").strip()
    if size.isdecimal() and int(size) < _SMALL:
        answer.drain_conn()
        answer.release_conn()
    else:
        answer.close()


def _range_header(first: int, last: int | None) -> str:
    if first < 0:
        return f"bytes={first}"
    return f"bytes={first}-{'' if last is None else last}"


def _sent_range(answer: urllib3.BaseHTTPResponse) -> tuple[int, int | None]:
    """Return the first byte of an answer's file that it sends, and the file's size, if it says so."""
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if match is None or answer.status not in {_PARTIAL, _NO_SUCH_RANGE}:
        return 0, None
    return int(match[1] or 0), int(match[2]) if match[2].isdigit() else None
