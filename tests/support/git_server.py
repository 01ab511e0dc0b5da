"""Repositories for tests, and git's own servers for them on loopback: smart and dumb HTTP, and SSH."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from support.loopback import Handler, answering, basic
from support.ports import free_port

__all__ = ["GitServer", "Repository", "SshServer", "serving_git", "serving_ssh", "ssh_available"]

_SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
_PATIENCE = 60.0


class Repository:
    """A repository with a work tree, made by the real git without any configuration of this machine."""

    def __init__(self, path: Path, *, object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--template=", f"--object-format={object_format}", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")

    @classmethod
    def copied(cls, original: Repository, path: Path) -> Repository:
        """Copy one with its work tree: that is faster than to make it again."""
        shutil.copytree(original.path, path, symlinks=True)
        copy = cls.__new__(cls)
        copy.path = path
        return copy

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def git(self, *arguments: str, stdin: bytes = b"", config: tuple[str, ...] = ()) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            **{f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **{f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
        }
        options = [word for setting in config for word in ("-c", setting)]
        done = subprocess.run(
            ["git", *options, *arguments], cwd=self.path, env=env, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, files: Mapping[str, str | bytes], message: str = "a change") -> str:
        """Write files, commit everything and return the commit's id."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, listing: str) -> str:
        """Commit a tree that git itself would refuse to write, from lines as `git ls-tree` prints them; onto `main`."""
        raw = b""
        for line in listing.splitlines():
            facts, name = line.split("\t")
            mode, _, item = facts.split()
            raw += mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(item)
        tree = self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
        commit = self.git("commit-tree", tree, "-m", "by hand")
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def blob(self, content: str) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content.encode())

    def prune(self) -> None:
        """Forget what no ref leads to."""
        self.git("reflog", "expire", "--expire=now", "--all")
        self.git("gc", "--quiet", "--prune=now")


@dataclass(kw_only=True)
class GitServer:
    """What is served and how.

    `login`: basic auth is wanted. `dumb`: plain files, as any web server gives them. `version_2`: whether git's newer
    protocol is spoken. `status`: what every request is answered with, if not 0. `stall_after`: bytes of a pack after which
    nothing comes any more, -1 for never; `stalled` is set then. `redirect`: where every request is sent.
    """

    root: Path
    url: str = ""
    login: tuple[str, str] | None = None
    dumb: bool = False
    version_2: bool = True
    status: int = 0
    stall_after: int = -1
    redirect: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    resume: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def asked_for(self, part: str) -> list[str]:
        return [line for line in self.asked if part in line]


class _Handler(Handler[GitServer]):
    protocol_version = "HTTP/1.0"
    # a client that goes away is met in `handle`, not when what is left is flushed
    wbufsize = 0

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._answer(b"".join(self._chunks()))
        else:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().strip() or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()

    def _answer(self, body: bytes) -> None:
        state = self.state
        state.asked.append(f"{self.command} {self.path}")
        if state.redirect:
            self.send_response(302)
            self.send_header("Location", state.redirect + self.path)
            self.end_headers()
        elif state.status:
            self.send_error(state.status)
        elif state.login and self.headers.get("Authorization") != basic(*state.login):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
        elif state.dumb:
            self._send_file()
        else:
            self._run_backend(body)

    def _send_file(self) -> None:
        path = self.state.root / unquote(self.path.partition("?")[0]).lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(path.read_bytes())

    def _run_backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_PROJECT_ROOT": str(self.state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        if self.state.version_2:
            env["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        answer = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=False).stdout
        head, _, data = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        state = self.state
        if state.stall_after >= 0 and b"PACK" in data:
            self.wfile.write(data[: state.stall_after])
            self.wfile.flush()
            state.stalled.set()
            state.resume.wait(60)
            return
        self.wfile.write(data)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()


@contextlib.contextmanager
def serving_git(root: Path, *, tls: ssl.SSLContext | None = None, **switches: Any) -> Iterator[GitServer]:
    """Serve the repositories below `root` by `git http-backend` inside the block; a bare path serves a work tree's `.git`."""
    state = GitServer(root=root, **switches)
    with answering(_Handler, state, tls=tls) as address:
        state.url = address
        try:
            yield state
        finally:
            state.resume.set()


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """A real sshd on loopback.

    Attributes:
        port: Where it listens.
        user: Who may log in.
        key: The file of a private key that it accepts.
        known_hosts: A file with its host key.
    """

    port: int
    user: str
    key: Path
    known_hosts: Path

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"


def ssh_available() -> bool:
    return _SSHD is not None and shutil.which("ssh") is not None


@contextlib.contextmanager
def serving_ssh(directory: Path) -> Iterator[SshServer]:
    """Run sshd inside the block, with keys made in `directory`."""
    directory.mkdir(mode=0o700)
    for name in ("host", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    port = free_port()
    shutil.copy(directory / "key.pub", directory / "authorized_keys")
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {(directory / 'host.pub').read_text()}")
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": directory / "host",
        "AuthorizedKeysFile": directory / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "AcceptEnv": "GIT_PROTOCOL",
    }
    (directory / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    command = [str(_SSHD), "-D", "-e", "-f", str(directory / "sshd_config")]
    if os.geteuid() == 0:
        # as root it wants an empty directory there: on a /run that only it sees
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"',
            "sh",
            *command,
        ]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(command, stderr=log)
        try:
            _wait_for(port, server)
            yield SshServer(
                port=port, user=getpass.getuser(), key=directory / "key", known_hosts=directory / "known_hosts"
            )
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None, "sshd does not start"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("sshd does not listen")
