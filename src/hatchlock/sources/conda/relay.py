"""What rattler asks channels, it asks here: our cache, mirrors, credentials, certificates and limits are those that count.

It is told to use this as its proxy, and asks for channels on a host that does not exist. So whatever it wants comes here,
and what is not about one of the channels gets no answer.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hatchlock.errors import HatchlockError, SystemProblem
from hatchlock.net.cache import Cache, Entry
from hatchlock.net.http import Http, Offline, Refused, Response, Unreachable
from hatchlock.net.mirrors import first_answer
from hatchlock.sources.conda.channels import Channels, CondaChannel
from hatchlock.sources.conda.platforms import NOARCH

__all__ = ["ChannelFiles", "Relay", "file_of", "relaying"]

_OK = 200
_NOT_MODIFIED = 304
_NOT_FOUND = 404
_NOT_HERE = 501
_UNAVAILABLE = 503
_DEFAULT_TTL = 600.0
# the one list that stands in for all others, and the directory that every channel has
_LIST = "repodata.json"
_ALWAYS_THERE = f"{NOARCH}/{_LIST}"


def file_of(url: str) -> Path:
    """Return the path of a `file:` address."""
    return Path(unquote(urlsplit(url).path))


@dataclass(kw_only=True)
class ChannelFiles:
    """Files of channels, by their path there, kept in a cache. Thread safe.

    Args:
        http: Asks the channels.
        cache: Keeps their answers.
        channels: Knows their addresses.
        offline: Use cached answers of any age and ask nobody.
        refresh: Ask again for every file, once.

    Attributes:
        stale: Addresses for which an older answer than its channel's `ttl` allows had to do, because nobody could be asked
            -> its age in seconds.
    """

    http: Http
    cache: Cache
    channels: Channels
    offline: bool = False
    refresh: bool = False
    stale: dict[str, float] = field(default_factory=dict)
    _dead: dict[str, Unreachable] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    def read(self, channel: CondaChannel, path: str) -> bytes | None:
        """Return a file of a channel, or None if it has no such file.

        Raises:
            Refused: It wants (other) credentials.
            Unreachable: Neither it nor a mirror answers, and nothing is in the cache.
            SystemProblem: It is a directory of this machine, and cannot be read.
        """
        return first_answer(self.channels.bases(channel), partial(self._read, channel, path), dead=self._dead)

    def no_channel(self, channel: CondaChannel) -> Unreachable:
        """Return what to say of an address where something answers, but no channel."""
        why = "no conda channel is there, which would have a list of its packages"
        advice = "check the address of the channel below [indexes.conda]"
        return Unreachable(url=self.channels.bases(channel)[0], why=why, advice=advice, answered=True)

    def _read(self, channel: CondaChannel, path: str, base: str) -> bytes | None:
        url = f"{base}/{path}"
        if base.startswith("file:"):
            return _local(file_of(base), unquote(path))
        kept = self.cache.load(url)
        if kept is not None and (self.offline or self._is_fresh(channel, url, kept)):
            return kept.body
        if self.offline:
            raise Offline(url=url)
        try:
            return self._fetch(url, kept)
        except Offline:
            raise
        except Unreachable as error:
            if kept is None or error.answered:
                raise
            self.stale[url] = self.cache.age(kept)
            return kept.body

    def _is_fresh(self, channel: CondaChannel, url: str, kept: Entry) -> bool:
        if _is_named_by_content(url):
            return True
        ttl = _DEFAULT_TTL if channel.ttl is None else channel.ttl
        return url in self._asked or (not self.refresh and self.cache.age(kept) < ttl)

    def _fetch(self, url: str, kept: Entry | None) -> bytes | None:
        answer = self.http.get(url, headers=_conditions(kept))
        if kept is not None and answer.status == _NOT_MODIFIED:
            self.cache.save(url, kept.body, validators=kept.validators)
            self._asked.add(url)
            return kept.body
        if answer.status == _NOT_FOUND:
            return None
        body = answer.checked().data
        self.cache.save(url, body, validators=_validators(answer))
        self._asked.add(url)
        return body


class Relay:
    """What rattler is answered. Thread safe.

    Attributes:
        proxy: What to give rattler as its proxy for http and https, while it is served.
        failures: Why a channel could not answer, in the order in which it was found out.
        led_away: Whether a channel's files lead to another host, where rattler did not get to.
    """

    def __init__(self, files: ChannelFiles) -> None:
        self.proxy = ""
        self.failures: list[HatchlockError] = []
        self.led_away = False
        # others on this machine cannot guess it, so they get nothing with the user's credentials
        self._host = f"{secrets.token_hex(16)}.invalid"
        self._files = files
        self._lock = threading.Lock()
        self._numbers: dict[CondaChannel, int] = {}

    def address(self, channel: CondaChannel) -> str:
        """Return the address under which rattler gets a channel."""
        with self._lock:
            number = self._numbers.setdefault(channel, len(self._numbers))
        return f"http://{self._host}/{number}"

    def forget_failures(self) -> None:
        """Begin to note failures anew."""
        self.failures.clear()
        self.led_away = False

    def answer(self, url: str) -> tuple[int, bytes]:
        """Return HTTP status and body for one of the addresses, which may be another one's."""
        host, _, rest = url.removeprefix("http://").partition("/")
        number, _, path = rest.partition("/")
        channels = {str(number): channel for channel, number in self._numbers.items()}
        if not url.startswith("http://") or host != self._host or number not in channels:
            self.led_away = True
            return _NOT_HERE, b""
        return self._file(channels[number], path.partition("?")[0])

    def _file(self, channel: CondaChannel, path: str) -> tuple[int, bytes]:
        try:
            found = self._files.read(channel, path)
        except (Refused, Offline) as error:
            # there are servers that refuse what they do not have, and the cache does not know what they do not have
            if _is_optional(path):
                return _NOT_FOUND, b""
            self.failures.append(error)
        except HatchlockError as error:
            self.failures.append(error)
        else:
            if found is None and path == _ALWAYS_THERE:
                self.failures.append(self._files.no_channel(channel))
            return (_OK, found) if found is not None else (_NOT_FOUND, b"")
        return _UNAVAILABLE, b""


def _is_named_by_content(url: str) -> bool:
    name = url.rpartition("/")[2].partition(".")[0]
    return len(name) == 64 and all(digit in "0123456789abcdef" for digit in name)  # noqa: PLR2004  hex digits of a sha256


def _is_optional(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith("repodata") and name != _LIST


def _conditions(kept: Entry | None) -> Mapping[str, str]:
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {names[name]: value for name, value in kept.validators.items() if name in names} if kept else {}


def _validators(answer: Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("etag", "last-modified") if name in answer.headers}


def _local(root: Path, path: str) -> bytes | None:
    file = (root / path).resolve()
    try:
        return file.read_bytes() if file.is_relative_to(root.resolve()) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SystemProblem.of(error) from error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    relay: Relay

    def do_GET(self) -> None:
        self._send(*self.relay.answer(self.path))

    def do_HEAD(self) -> None:
        self._send(*self.relay.answer(self.path))

    def do_CONNECT(self) -> None:
        self._send(*self.relay.answer(self.path))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: rattler drops what it no longer waits for."""


@contextlib.contextmanager
def relaying(relay: Relay) -> Iterator[None]:
    """Serve a relay on loopback inside the block."""
    handler = type("Handler", (_Handler,), {"relay": relay})
    with _Server(("127.0.0.1", 0), handler) as server:
        relay.proxy = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
