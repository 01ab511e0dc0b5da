"""Docker's SDK for engines at every kind of address: what it cannot reach itself goes over our own connections."""

from __future__ import annotations

import docker
import urllib3
import urllib3.connection
import urllib3.connectionpool
from docker.transport.basehttpadapter import BaseHTTPAdapter
from requests import PreparedRequest

from hatchlock.engines.api import Engine
from hatchlock.engines.connect import connect

__all__ = ["sdk_client"]


def sdk_client(address: str, *, seconds: int) -> docker.APIClient:
    """Return the SDK's client of an engine.

    Args:
        address: Of the engine (`engines.connect`).
        seconds: How long it may be silent.

    Raises:
        EngineUnreachable, DockerException: It does not answer.
    """
    if address.startswith("unix://"):
        return docker.APIClient(base_url=address, version="auto", timeout=seconds)
    version = Engine(address).ping()
    # a socket's client with other connections: it takes an address only to choose an adapter
    client = docker.APIClient(base_url="unix:///engine", version=version, timeout=seconds)
    client.mount("http+docker://", _Adapter(address, seconds))
    return client


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, address: str, seconds: int) -> None:
        super().__init__("localhost", timeout=seconds)
        self._address = address
        self._seconds = seconds

    def connect(self) -> None:
        """Connect to the engine, however it is reached."""
        self.sock = connect(self._address, self._seconds)


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, address: str, seconds: int) -> None:
        super().__init__("localhost", timeout=seconds, maxsize=4)
        self._address = address
        self._seconds = seconds

    def _new_conn(self) -> _Connection:
        return _Connection(self._address, self._seconds)


class _Adapter(BaseHTTPAdapter):  # type: ignore[misc]
    def __init__(self, address: str, seconds: int) -> None:
        super().__init__()
        self._pool = _Pool(address, seconds)

    def get_connection(self, url: str, proxies: object = None) -> _Pool:  # noqa: ARG002
        """Return the connections to the engine, which no proxy is for."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: object) -> str:  # noqa: ARG002
        """Return the path alone: the host of the address is none."""
        return str(request.path_url)

    def close(self) -> None:
        """Close them."""
        self._pool.close()
        super().close()
