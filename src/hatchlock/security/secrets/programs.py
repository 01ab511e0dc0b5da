"""`command:` secrets, and the keyring of this system by the program `keyring`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hatchlock.process import ProcessFailed, on_path, run
from hatchlock.security.secrets.redact import forms, redact

__all__ = ["CommandFailed", "Keyring", "output_of"]

_COMMAND_SECONDS = 10.0
_KEYRING_SECONDS = 20.0
_LARGEST = 1 << 20
_SERVICE = "hatchlock"
_PASSED_ON = (
    *("HOME", "PATH", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR"),
    *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK"),
    *("GNUPGHOME", "PASSWORD_STORE_DIR", "DISPLAY", "WAYLAND_DISPLAY"),
)
"""What a command needs to find its user's agents and files; none of it is a secret."""


class CommandFailed(Exception):
    """A command gave no secret; the text says why, and nothing of what it printed on stdout."""


def output_of(words: Sequence[str], *, environ: Mapping[str, str], directory: str) -> bytes:
    """Run a program that prints a secret, and return what it printed.

    There is no shell, no terminal, no stdin, at most 10 seconds, and of our variables only those that lead to the user's own
    files and agents. What it says on stderr is shown when it fails, without what it printed.

    Args:
        words: The program, looked for on PATH, or with a slash in the directory, and its arguments.
        environ: Our own environment.
        directory: Where it runs.

    Raises:
        CommandFailed: It is not there, fails, or takes too long.
    """
    program = _program(words[0], environ=environ, directory=directory)
    env = {name: environ[name] for name in _PASSED_ON if name in environ}
    where = directory if Path(directory).is_dir() else "/"
    status, printed, said = _run([program, *words[1:]], env=env, cwd=where)
    if status is None:
        raise CommandFailed(f"it did not end within {_COMMAND_SECONDS:g} s")
    if status:
        last = next(reversed(said.decode(errors="replace").strip().splitlines()), "")
        shown = redact(last, forms([printed.decode(errors="replace")]))
        raise CommandFailed(f"it ended with status {status}" + (f" and said: {shown}" if shown else ""))
    if len(printed) > _LARGEST:
        raise CommandFailed("it printed more than 1 MiB")
    return printed


def _program(word: str, *, environ: Mapping[str, str], directory: str) -> str:
    if "/" in word:
        path = str(Path(directory, word))
        if not os.access(path, os.X_OK):
            raise CommandFailed(f"there is no program {path}")
        return path
    found = on_path(word, environ.get("PATH", os.defpath))
    if found is None:
        raise CommandFailed(f"there is no program {word} on PATH")
    return found


def _run(argv: Sequence[str], *, env: Mapping[str, str], cwd: str) -> tuple[int | None, bytes, bytes]:
    """Return its status, None if it took too long, and what it said; nothing of its session is left."""
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(error.strerror or str(error)) from error
    with process:
        try:
            printed, said = process.communicate(timeout=_COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            return None, b"", b""
        finally:
            # a daemon that it started and that keeps our pipes open, too
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, printed, said


class Keyring:
    """The keyring of this system: macOS' keychain, the Secret Service of a Linux desktop, or what `keyring` is set up for.

    The program `keyring` beside our own interpreter is asked, else the one on PATH. Values go through pipes only. Without
    such a program, or where it has no keyring to work with, there is none.

    Args:
        environ: The variables that the program gets: all of ours.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        here = str(Path(sys.executable).parent)
        self._program = on_path("keyring", f"{here}{os.pathsep}{environ.get('PATH', os.defpath)}")

    def get(self, name: str) -> str | None:
        """Return the value of a name, or None."""
        printed = self._run("get", name)
        return None if printed is None else printed.decode(errors="surrogateescape").removesuffix("\n") or None

    def set(self, name: str, value: str) -> bool:
        """Keep a value, and return whether it can be read again as it is; if not, nothing of it is kept."""
        if self._run("set", name, stdin=value.encode()) is None:
            return False
        if self.get(name) == value:
            return True
        self.forget(name)
        return False

    def forget(self, name: str) -> bool:
        """Delete a name, and return whether it was there."""
        return self._run("del", name) is not None

    def _run(self, action: str, name: str, *, stdin: bytes = b"") -> bytes | None:
        if self._program is None:
            return None
        words = [self._program, action, _SERVICE, name]
        try:
            return run(words, env=self._environ, stdin=stdin, timeout=_KEYRING_SECONDS, new_session=True)
        except ProcessFailed:
            return None  # it has nothing, or there is no keyring behind it
