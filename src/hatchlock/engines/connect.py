"""Where a container engine is, as one word, and a connection to it: by a socket, by TCP, by TLS, through ssh.

    unix:///var/run/docker.sock
    tcp://host:2375
    tcp://host:2376?certificates=/home/ada/.docker      TLS with its ca.pem, cert.pem and key.pem; `&verify=no`: whoever answers
    ssh://ada@host:22                                   `docker system dial-stdio` there, as Docker's own client does it

Only the standard library, and of that little: `run` imports this.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, cast
from urllib.parse import parse_qs, quote, urlsplit

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    import ssl
    import subprocess

__all__ = [
    "EngineUnreachable",
    "Place",
    "connect",
    "connect_stream",
    "engine_is_local",
    "parse_place",
    "said",
    "secured",
    "without_password",
]

_CONNECT_SECONDS = 10.0
_SSH_SECONDS = 30.0
_CHUNK = 1 << 16
_PORT, _TLS_PORT = 2375, 2376
_PASSWORD = re.compile(r"(//[^/@:]*):[^/@]*@")
_LOOPBACK = ("localhost", "::1")


@dataclass(kw_only=True, eq=False)
class EngineUnreachable(HatchlockError):
    """No container engine answers at its address."""

    code: ClassVar[str] = "engine-unreachable"

    engine: str
    why: str

    def __str__(self) -> str:
        return f"no container engine answers at {without_password(self.engine)}: {self.why}"

    def _hint(self) -> str:
        return 'start Docker or Podman, or see what `hatchlock doctor` says; servers with runtime = "process" need no engine'


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An engine's address, taken apart.

    Attributes:
        scheme: How it is reached.
        path: The socket; with ssh the one on the other machine, "" for the usual.
        host: The machine, as it was written.
        port: With ssh 0 for the usual.
        user: With ssh, "" for the usual.
        certificates: The directory with the files for TLS; "" for no TLS.
        verify: Whether who answers has to prove who it is.
    """

    scheme: Literal["unix", "tcp", "ssh"]
    path: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    certificates: str = ""
    verify: bool = True


def secured(address: str, certificates: str, *, verify: bool) -> str:
    """Return a `tcp://` address with what TLS needs; another address as it is.

    Args:
        address: Where the engine is.
        certificates: A directory with ca.pem, and cert.pem and key.pem if we have to say who we are.
        verify: Whether the engine has to prove who it is.
    """
    if not address.startswith("tcp://"):
        return address
    return f"{address}?certificates={quote(certificates)}" + ("" if verify else "&verify=no")


def without_password(address: str) -> str:
    """Return an address to be shown: somebody may have written a password into it, where none belongs."""
    return _PASSWORD.sub(r"\1:…@", address)


def parse_place(address: str) -> Place:
    """Take an address apart.

    Raises:
        ValueError: It is none that can be used; says why.
    """
    parts = urlsplit(address)
    if parts.scheme == "npipe":
        raise ValueError(
            "npipe:// is a pipe of Windows: there hatchlock works in WSL2, where an engine has a unix:// address"
        )
    if parts.scheme == "unix" and parts.path:
        return Place(scheme="unix", path=parts.path)
    user, _, rest = parts.netloc.rpartition("@")
    if not rest or parts.scheme not in {"tcp", "http", "ssh"}:
        what = "only unix://, tcp:// and ssh:// addresses are supported"
        raise ValueError(what if address else "it is not defined")
    # as written: a name of an ssh configuration has its capitals
    host = rest[1:].partition("]")[0] if rest.startswith("[") else rest.partition(":")[0]
    if parts.scheme == "ssh":
        if ":" in user:
            raise ValueError("a password does not belong into an address; ssh finds keys and agents by itself")
        return Place(scheme="ssh", path=parts.path.rstrip("/"), host=host, port=parts.port or 0, user=user)
    query = parse_qs(parts.query)
    certificates = query.get("certificates", [""])[0]
    return Place(
        scheme="tcp",
        host=host,
        port=parts.port or (_TLS_PORT if certificates else _PORT),
        certificates=certificates,
        verify=query.get("verify") != ["no"],
    )


def engine_is_local(address: str) -> bool:
    """Whether an engine shows containers this machine's files: its paths, sockets and volumes are ours.

    The machines of Docker Desktop, Colima and their like share them, and have a socket here.
    """
    try:
        place = parse_place(address)
    except ValueError:
        return False
    if place.scheme == "tcp":
        return place.host.lower() in _LOOPBACK or place.host.startswith("127.")
    return place.scheme == "unix"


def connect(address: str, timeout: float | None) -> socket.socket:
    """Return a connection for one request and its answer.

    Args:
        address: Of the engine.
        timeout: Seconds for each read and write; None: as long as it takes.

    Raises:
        EngineUnreachable: Nobody is there, or not who should be.
    """
    try:
        place = parse_place(address)
        connection = _open(place)
    except ValueError as error:
        raise EngineUnreachable(engine=address, why=str(error)) from error
    except OSError as error:
        raise EngineUnreachable(engine=address, why=_why(error)) from error
    if timeout is not None and place.scheme == "ssh":
        timeout = max(timeout, _SSH_SECONDS)  # its greeting is among the first read
    connection.settimeout(timeout)
    return connection


def connect_stream(address: str) -> socket.socket:
    """Return a connection that one thread may read while another writes, and of which one direction can be ended alone.

    Raises:
        EngineUnreachable: Nobody is there, or not who should be.
    """
    connection = connect(address, None)
    if not parse_place(address).certificates:
        return connection
    return _pumped(cast("ssl.SSLSocket", connection))


def said(connection: socket.socket) -> str:
    """Return what ssh complained about, on a connection that has ended; "" if it did not, or there is none."""
    return connection.complaint() if isinstance(connection, _Piped) else ""


def _open(place: Place) -> socket.socket:
    if place.scheme == "ssh":
        return _through_ssh(place)
    if place.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_CONNECT_SECONDS)
            connection.connect(place.path)
        except OSError:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((place.host, place.port), _CONNECT_SECONDS)
    if not place.certificates:
        return connection
    try:
        return _tls(place).wrap_socket(connection, server_hostname=place.host)
    except OSError:
        connection.close()
        raise


def _why(error: OSError) -> str:
    """What the system says; of TLS what is wrong with a certificate."""
    return str(getattr(error, "verify_message", "") or error.strerror or error)


def _tls(place: Place) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415  20 ms, which other addresses do not need

    authority, certificate, key = (f"{place.certificates}/{name}.pem" for name in ("ca", "cert", "key"))
    context = ssl.create_default_context(cafile=authority if os.path.exists(authority) else None)  # noqa: PTH110
    if not place.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if os.path.exists(certificate):  # noqa: PTH110
        context.load_cert_chain(certificate, key)
    return context


class _Piped(socket.socket):
    """A connection whose other end is a program; it ends with the connection."""

    def __init__(self, ours: socket.socket, program: subprocess.Popen[bytes], words: BinaryIO) -> None:
        super().__init__(fileno=ours.detach())
        self._program = program
        self._words = words

    def complaint(self) -> str:
        """Return the last thing that the program said on stderr; it has closed its end."""
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _real_close(self) -> None:
        """Called when the last file made of the connection is closed, as with `ssl.SSLSocket`."""
        super()._real_close()  # type: ignore[misc]
        self._program.kill()
        self._program.wait()
        self._words.close()


def _through_ssh(place: Place) -> socket.socket:
    import shlex  # noqa: PLC0415  only who has such an engine needs these
    import subprocess  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    there = ["docker", *(["--host", shlex.quote(f"unix://{place.path}")] if place.path else []), "system", "dial-stdio"]
    options = [*(["-l", place.user] if place.user else []), *(["-p", str(place.port)] if place.port else [])]
    command = ["ssh", "-o", f"ConnectTimeout={_SSH_SECONDS:.0f}", "-T", *options, "--", place.host, *there]
    words = tempfile.TemporaryFile()  # noqa: SIM115  as long as the connection
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            # a session of its own: a Ctrl-C at our terminal is for us, and must not cut the way to the engine
            end = theirs.fileno()
            program = subprocess.Popen(command, stdin=end, stdout=end, stderr=words, start_new_session=True)
        except OSError:
            ours.close()
            words.close()
            raise
    return _Piped(ours, program, words)


def _pumped(tls: ssl.SSLSocket) -> socket.socket:
    """Return a plain connection that a thread joins to one with TLS, which two threads must not use at once."""
    import threading  # noqa: PLC0415

    ours, theirs = socket.socketpair()
    threading.Thread(target=_pump, args=(tls, theirs), daemon=True).start()
    return ours


def _pump(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    import select  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    tls.setblocking(False)
    waiting, is_open = b"", True
    with tls, plain:
        try:
            while True:
                try:
                    data = tls.recv(_CHUNK)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                else:
                    if not data:
                        return
                    plain.sendall(data)
                    continue
                readable, _, _ = select.select(
                    [tls, plain] if is_open and not waiting else [tls], [tls] if waiting else [], []
                )
                if plain in readable:
                    waiting = plain.recv(_CHUNK)
                    if not waiting:
                        is_open = False
                        _end_input(tls)
                if waiting:
                    try:
                        waiting = waiting[tls.send(waiting) :]
                    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        continue
        except OSError:
            return  # either side is gone, and so is the other now


def _end_input(tls: ssl.SSLSocket) -> None:
    """Say that no more comes; what the other side says can be read on."""
    import contextlib  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    with contextlib.suppress(ssl.SSLWantReadError):  # it waits for the same from the other side
        tls.unwrap()
