"""Which container engine to use, and whether it answers. Only the standard library: `run` imports this."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError

__all__ = ["EngineNotFound", "answers", "find_engine"]

_PING_SECONDS = 5.0
_OK = 200
_SYSTEM = ("/var/run/docker.sock", "/run/podman/podman.sock", "/run/finch.sock")
_IN_RUNTIME = ("docker.sock", "podman/podman.sock")
_IN_HOME = (
    ".docker/run/docker.sock",
    ".docker/desktop/docker.sock",
    ".colima/default/docker.sock",
    ".colima/docker.sock",
    ".orbstack/run/docker.sock",
    ".rd/docker.sock",
    ".lima/docker/sock/docker.sock",
    ".lima/default/sock/docker.sock",
    ".finch/finch.sock",
    ".local/share/containers/podman/machine/podman.sock",
    ".local/share/containers/podman/machine/qemu/podman.sock",
)


@dataclass(kw_only=True, eq=False)
class EngineNotFound(HatchlockError):
    """No container engine answers.

    Attributes:
        looked_in: `PLACE: what was found there`, in the order of looking.
    """

    code: ClassVar[str] = "engine-not-found"

    looked_in: tuple[str, ...]

    def __str__(self) -> str:
        return "no container engine answers; looked in:\n  " + "\n  ".join(self.looked_in)

    def _hint(self) -> str:
        return (
            "start Docker or Podman, or set DOCKER_HOST; `hatchlock lock` and servers with "
            'runtime = "process" work without an engine'
        )


def find_engine(environ: Mapping[str, str]) -> str:
    """Return the address of the engine to use, one that answers now: `unix:///var/run/docker.sock`.

    What the user chose is the only candidate: `DOCKER_HOST`, else the current Docker context (`DOCKER_CONTEXT`, else the
    client's configuration). Without a choice the usual sockets are tried in turn.

    Raises:
        EngineNotFound: None answers.
    """
    looked = []
    for address, origin in _candidates(environ):
        problem = _problem(address)
        if not problem:
            return address
        looked.append(f"{origin}{address or 'no address'}: {problem}")
    raise EngineNotFound(looked_in=tuple(looked))


def answers(address: str) -> bool:
    """Whether an engine answers at an address."""
    return not _problem(address)


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if environ.get("DOCKER_HOST"):
        yield environ["DOCKER_HOST"], "DOCKER_HOST "
        return
    context = _context(environ)
    if context:
        yield _context_address(context, environ), f"Docker context {context} "
        return
    home = Path(environ.get("HOME") or Path.home())
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    yield f"unix://{_SYSTEM[0]}", ""
    yield from ((f"unix://{runtime / name}", "") for name in _IN_RUNTIME)
    yield from ((f"unix://{path}", "") for path in _SYSTEM[1:])
    yield from ((f"unix://{home / name}", "") for name in _IN_HOME if (home / name).exists())


def _context(environ: Mapping[str, str]) -> str:
    chosen = environ.get("DOCKER_CONTEXT") or _json(_docker_config(environ) / "config.json").get("currentContext")
    return chosen if isinstance(chosen, str) and chosen != "default" else ""


def _context_address(name: str, environ: Mapping[str, str]) -> str:
    # The Docker client names a context's directory by the digest of its name.
    directory = hashlib.sha256(name.encode()).hexdigest()
    meta = _json(_docker_config(environ) / "contexts" / "meta" / directory / "meta.json")
    endpoint = (meta.get("Endpoints") or {}).get("docker") or {}
    return str(endpoint.get("Host") or "")


def _docker_config(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _problem(address: str) -> str:
    """Say why nothing answers at an address; "" when something does."""
    parts = urlsplit(address)
    if parts.scheme not in ("unix", "tcp", "http"):
        return "only unix:// and tcp:// addresses are supported" if address else "it is not defined"
    try:
        with contextlib.closing(_connection(address)) as connection:
            connection.request("GET", "/_ping")
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(getattr(error, "strerror", "") or error) or type(error).__name__
    return "" if status == _OK else f"it answers with status {status}"


def _connection(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return http.client.HTTPConnection(parts.hostname or "", parts.port or 2375, timeout=_PING_SECONDS)
    return _UnixConnection(parts.path)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PING_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise
