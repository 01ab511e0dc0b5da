"""Connecting to a host that a server may reach: by its name as this machine resolves it now, or through a proxy."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from hatchlock.security.network import LOCALHOST

__all__ = ["Connected", "NotConnectedError", "dial"]

Connected = tuple[socket.socket, bytes]
"""A connection, and what the far side has said already."""

_SECONDS = 15.0
_LONGEST_HEAD = 1 << 16
_OK = 200
_UNAUTHORIZED = 407
_VARIABLES = ("HTTPS_PROXY", "ALL_PROXY")
_ANY_PORT = 9
_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where clouds give away a machine's own credentials, besides link-local addresses."""


class NotConnectedError(Exception):
    """Why there is no connection, in one clause."""


def dial(
    name: str, port: int, *, proxy: str, environ: Mapping[str, str], known: Path = Path("/etc/hosts")
) -> Connected:
    """Connect to a host.

    Args:
        name: Its name; `localhost` is this machine.
        port: Its port.
        proxy: `http://host:port` of the proxy to go through; "" for none.
        environ: What may hold the proxy's user name and password, besides the user's netrc file.
        known: The names that this machine has given itself: a name may lead back to it only if it is there.

    Raises:
        NotConnectedError: It is not to be reached, or must not be: a name of others that leads to this machine itself or to
            its neighbours on the link, as metadata services are, is a trick.
    """
    try:
        return _through(proxy, name, port, environ) if proxy else (_direct(name, port, known), b"")
    except OSError as error:
        raise NotConnectedError(error.strerror or str(error)) from error


def _direct(name: str, port: int, known: Path) -> socket.socket:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    allowed = [item for item in found if _may_be(name, str(item[4][0]), known)]
    if not allowed:
        raise NotConnectedError(f"its name leads to {found[0][4][0]}, which only a name of this machine's own may")
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in allowed:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_SECONDS)
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
            continue
        return connection
    raise last


def _may_be(name: str, address: str, known: Path) -> bool:
    if name == LOCALHOST:
        return True
    where = ipaddress.ip_address(address.partition("%")[0])
    where = getattr(where, "ipv4_mapped", None) or where
    if where.is_link_local or where.is_multicast or where.is_unspecified or where in _METADATA:
        return False
    return not (where.is_loopback or _is_ours(str(where))) or name in _names(known)


def _is_ours(address: str) -> bool:
    """Whether an address is one of this machine's: the kernel would speak to it from the same one. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:  # there may be no way to it
        asked.connect((address, _ANY_PORT))
        return bool(asked.getsockname()[0] == address)
    return False


def _names(known: Path) -> set[str]:
    with contextlib.suppress(OSError):
        lines = known.read_text(encoding="utf-8", errors="replace").lower().splitlines()
        return {word for line in lines for word in line.partition("#")[0].split()[1:]}
    return set()


def _through(proxy: str, name: str, port: int, environ: Mapping[str, str]) -> Connected:
    parts = urlsplit(proxy)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SECONDS)
    try:
        head = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n{_authorization(proxy, environ)}\r\n"
        connection.sendall(head.encode())
        said, early = _head(connection)
    except BaseException:
        connection.close()
        raise
    status = said.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
    code = int(status[1]) if len(status) > 1 and status[1].isdecimal() else 0
    if code == _OK:
        return connection, early
    connection.close()
    wants = ", which wants a user name and password" if code == _UNAUTHORIZED else ""
    raise NotConnectedError(f"the proxy {proxy} answered {' '.join(status[1:]) or 'no HTTP'}{wants}")


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of an answer, whole or as far as it came, and what followed it."""
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEAD:
        piece = connection.recv(4096)
        if not piece:
            break
        answer += piece
    head, _, early = answer.partition(b"\r\n\r\n")
    return head, early


def _authorization(proxy: str, environ: Mapping[str, str]) -> str:
    """Return the header with the proxy's credentials, which are in no file of ours; "" without any."""
    from hatchlock.errors import HatchlockError  # noqa: PLC0415  most sessions need no proxy
    from hatchlock.net.credentials import Credentials  # noqa: PLC0415

    credentials = Credentials(environ)
    for name in (item for variable in _VARIABLES for item in (variable, variable.lower())):
        if value := environ.get(name, ""):
            credentials.learn(value if "://" in value else f"http://{value}")
    with contextlib.suppress(HatchlockError):  # a netrc file that does not parse: the proxy will say that it wants some
        if found := credentials.authorization(proxy):
            return f"Proxy-Authorization: {found}\r\n"
    return ""
