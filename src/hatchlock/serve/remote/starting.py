"""A server that somebody else runs, or that stays on this machine, as one that a session can be served from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord, Remote
from hatchlock.launch_parts import url_problem
from hatchlock.net.exchange import Exchanges, bare_address
from hatchlock.serve.remote.authority import Authority, Headers
from hatchlock.serve.remote.bridge import Bridge
from hatchlock.serve.remote.event_stream import EventStream
from hatchlock.serve.remote.failures import LoginNeeded
from hatchlock.serve.remote.streamable import StreamableHttp
from hatchlock.serve.talk import Talk

__all__ = ["HeaderUnusable", "UrlUnusable", "remote_server"]

_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")


@dataclass(kw_only=True, eq=False)
class UrlUnusable(HatchlockError):
    """A server's address is none that messages may go to."""

    code: ClassVar[str] = "url-unusable"

    url: str
    why: str

    def __str__(self) -> str:
        return f"{self.url} cannot be used: {self.why}"

    def _hint(self) -> str:
        return "write the server's https address"


@dataclass(kw_only=True, eq=False)
class HeaderUnusable(HatchlockError):
    """The value of a header, whose secret is known only now, is none that HTTP can carry."""

    code: ClassVar[str] = "header-unusable"

    header: str

    def __str__(self) -> str:
        return f"the header {self.header} cannot be sent: its secret is empty, or holds a line break or another character outside of ASCII"

    def _hint(self) -> str:
        return "set the secret again: one line, without spaces around it"


def remote_server(
    record: LaunchRecord,
    remote: Remote,
    *,
    secrets: Mapping[str, str],
    environ: Mapping[str, str],
    store: Path,
    talk: Talk,
    refused: Callable[[], None] = lambda: None,
) -> Bridge:
    """Return a server at an address. Nothing is asked before a message is sent to it.

    Args:
        record: The server's.
        remote: Where it is.
        secrets: Header -> value, for those that are secrets.
        environ: The variables of proxies and certificates.
        store: The store's root, where a login may be.
        talk: Where it says what is wrong.
        refused: Called each time that the server wants to know who asks, or does not accept it.

    Raises:
        UrlUnusable: The address is none.
        HeaderUnusable: A secret cannot be sent.
        BadCertificates: A file of certificates cannot be used.
        PermissionProblem: The store of secrets could be read by somebody else.
    """
    if why := url_problem(remote.url):
        raise UrlUnusable(url=bare_address(remote.url), why=why)
    headers = {**remote.headers, **secrets}
    if bad := next((header for header, value in headers.items() if not _VALUE.fullmatch(value)), ""):
        raise HeaderUnusable(header=bad)
    authority = _authority(record, remote, headers, environ=environ, store=store, talk=talk)
    kind = EventStream if remote.transport == "sse" else StreamableHttp
    way = kind(record.server, Exchanges(remote.url, environ), authority)

    def fail(error: HatchlockError) -> None:
        if isinstance(error, LoginNeeded):
            error.tried = record.is_tried
            refused()
        talk.fail(error)

    return Bridge(record.server, way, say=talk.say, fail=fail)


def _authority(
    record: LaunchRecord,
    remote: Remote,
    headers: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    store: Path,
    talk: Talk,
) -> Authority:
    """Return the login that there is for this very address, unless the manifest says who asks."""
    if record.endpoint is not None or any(header.lower() == "authorization" for header in headers):
        return Headers(headers)
    from hatchlock.security.secrets.logins import Logins  # noqa: PLC0415  what has a header does without

    logins = Logins(store, record.project, environ)
    login = logins.get(record.server)
    if login is None or login.url != remote.url:
        return Headers(headers)
    from hatchlock.serve.remote.logged_in import LoggedIn  # noqa: PLC0415

    talk.hide(login.hidden)
    return LoggedIn(
        headers,
        server=record.server,
        login=login,
        logins=logins,
        lease=logins.lease_path(record.server),
        environ=environ,
        hide=talk.hide,
    )
