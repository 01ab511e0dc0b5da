"""urllib3's pools, looking each host up once.

Dozens of threads that open their first connections ask the name server dozens of times at once; some of those UDP packets
get lost, and the C library waits five seconds before it asks again (measured: 32 lookups at once took 5.0 s, one 1 ms).
"""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from hatchlock.net.credentials import without_userinfo

__all__ = ["new_manager"]


class _Lookups:
    """Addresses of hosts. Thread safe; while one thread asks, the others wait for its answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, ...]] = {}

    def find(self, host: str) -> tuple[str, ...]:
        with self._lock:
            if host not in self._known:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                self._known[host] = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
            return self._known[host]

    def forget(self, host: str) -> None:
        with self._lock:
            self._known.pop(host, None)


class _LooksUpOnce(HTTPConnection):
    lookups: _Lookups

    def _new_conn(self) -> socket.socket:
        host = self._dns_host
        try:
            addresses = self.lookups.find(host)
        except (socket.gaierror, UnicodeError) as error:
            reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(host, self, reason) from error
        try:
            return self._connect_to_one(addresses)
        except (NewConnectionError, ConnectTimeoutError):
            self.lookups.forget(host)
            raise
        finally:
            # TLS and messages speak of the name
            self._dns_host = host

    def _connect_to_one(self, addresses: tuple[str, ...]) -> socket.socket:
        *others, last = addresses
        for address in others:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError):
                continue
        self._dns_host = last
        return super()._new_conn()


def new_manager(proxy: str, *, connections: int, tls: ssl.SSLContext | None) -> urllib3.PoolManager:
    """Return a manager of connection pools.

    Args:
        proxy: Address of the proxy, with userinfo if it wants that; "" for none.
        connections: How many to keep per host.
        tls: What HTTPS trusts; None where nobody is asked by it.
    """
    lookups = _Lookups()
    if proxy:
        userinfo = urlsplit(proxy).netloc.rpartition("@")[0]
        manager: urllib3.PoolManager = urllib3.ProxyManager(
            without_userinfo(proxy),
            maxsize=connections,
            ssl_context=tls,
            proxy_ssl_context=tls,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=userinfo) if userinfo else None,
        )
    else:
        manager = urllib3.PoolManager(maxsize=connections, ssl_context=tls)
    manager.pool_classes_by_scheme = _pool_classes(lookups)
    return manager


def _pool_classes(lookups: _Lookups) -> dict[str, Any]:
    own = {"lookups": lookups}
    plain = type("Connection", (_LooksUpOnce,), own)
    secure = type("TlsConnection", (_LooksUpOnce, HTTPSConnection), own)
    return {
        "http": type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TlsPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
