"""Everything that a server says which is not protocol: to our stderr and into its log file, secrets hidden."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from hatchlock.errors import HatchlockError, PermissionProblem
from hatchlock.files import private_directory, reporting_permission
from hatchlock.security.secrets.redact import Redactor, forms
from hatchlock.serve.lines import Lines
from hatchlock.state.stamps import stamp

__all__ = ["LogFile", "Talk", "open_log", "write_all"]

_LONGEST_LINE = 1 << 16
_TAIL = 10
_NO_PLACE = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT})


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a descriptor.

    Raises:
        OSError: The other side is gone.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class LogFile:
    """A file that is appended to and never grows beyond its limit: then it becomes `.1`, and a new one begins.

    Several processes may append to one log; whole lines stay whole.
    """

    def __init__(self, path: Path, limit: int) -> None:
        """Open the log, mode 0600, its directory 0700.

        Args:
            path: The file.
            limit: Bytes per file; there are at most two files.

        Raises:
            PermissionProblem: It cannot be written.
        """
        self._path = path
        self._limit = limit
        private_directory(path.parent)
        self._descriptor = self._open()

    def write(self, line: bytes) -> None:
        """Append a line; a full disk must not end the server, so then it is dropped."""
        with contextlib.suppress(OSError):
            if os.fstat(self._descriptor).st_size + len(line) > self._limit:
                self._rotate()
            write_all(self._descriptor, line[: self._limit])

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        with reporting_permission(self._path):
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def _rotate(self) -> None:
        """Begin a new file, unless another process has done so: then that is the one to go on with."""
        full = self._descriptor
        with contextlib.suppress(OSError):  # a file system without locks: two that rotate at once lose what is in `.1`
            fcntl.flock(full, fcntl.LOCK_EX)
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == os.fstat(full).st_ino:
                    self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._descriptor = self._open()
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(full, fcntl.LOCK_UN)  # our watchdog has the descriptor, too
        os.close(full)


def open_log(path: Path | None, limit: int) -> LogFile | None:
    """Open a log, or go without one where it has no place: a store that is read-only, or full, serves all the same.

    Raises:
        PermissionProblem: It is there and not ours to write to.
    """
    if path is None:
        return None
    try:
        return LogFile(path, limit)
    except (PermissionProblem, OSError) as error:
        cause = error.__cause__ if isinstance(error, PermissionProblem) else error
        if isinstance(cause, OSError) and cause.errno in _NO_PLACE:
            return None
        raise


class Talk:
    """Where a server's stderr, its noise on stdout, and our own sentences go. Safe for several threads."""

    def __init__(self, *, server: str, stderr: int, log: LogFile | None, hidden: Iterable[str]) -> None:
        self._server = server
        self._stderr = stderr
        self._log = log
        self._hidden = hidden = tuple(hidden)
        self._redactor, self._stream, self._out, self._cut = (Redactor(hidden) for _ in range(4))
        self._lines, self._printed = Lines(_LONGEST_LINE), Lines(_LONGEST_LINE)
        self._lock = threading.Lock()
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._listener: Callable[[str], None] | None = None

    def hide(self, values: Iterable[str]) -> None:
        """Let further secrets not appear from now on, whatever their form; for a server whose stderr is not ours."""
        self._hidden = (*self._hidden, *forms(values))
        self._redactor, self._cut = Redactor(self._hidden), Redactor(self._hidden)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Let somebody read what the server says, line by line, secrets hidden; it may `say` something in turn."""
        self._listener = listener

    def clean(self, text: str) -> str:
        """Return a text with secrets hidden."""
        return self._redactor.whole(text.encode(errors="surrogateescape")).decode(errors="replace")

    def overhear(self, lines: Iterable[str]) -> None:
        """Let whoever listens read what is not for stderr."""
        if self._listener is not None:
            for line in lines:
                self._listener(self.clean(line))

    def heard(self, data: bytes) -> None:
        """Take a piece of the server's stderr; it goes on line by line."""
        for line in self._lines.feed(data):
            # a line that is too long comes in pieces, and a secret may be at the seam
            self._put(self._stream.last(line) if line.endswith(b"\n") else self._stream.feed(line))

    def printed(self, data: bytes) -> None:
        """Take a piece of the stdout of a server that speaks over a port; it goes on like its stderr, line by line."""
        for line in self._printed.feed(data):
            self._put(self._out.last(line) if line.endswith(b"\n") else self._out.feed(line))

    def noise(self, line: bytes) -> None:
        """Take a line of the server's stdout that is no message; of a very long one the beginning goes on.

        A message may be as long as it likes, and whatever is kept of what is none is not within the server's memory.
        """
        what = f"hatchlock: {self._server} printed on stdout, which is for JSON-RPC only: ".encode()
        more = len(line) - _LONGEST_LINE
        if more <= 0:
            self._put(what + self._redactor.whole(line))
            return
        # what may be the beginning of a secret is left out
        shown = self._cut.feed(line[:_LONGEST_LINE])
        self._cut.last()
        self._put(what + shown + f" … and {more} bytes more\n".encode())

    def say(self, text: str) -> None:
        """Say something of our own."""
        self._put(self._redactor.whole(f"hatchlock: {text}\n".encode()), ours=True)

    def fail(self, error: HatchlockError) -> None:
        """Say what went wrong, as the command line would."""
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        self._put(self._redactor.whole(f"{error.address}: {error}{hint}\n".encode()), ours=True)

    def last_words(self) -> tuple[str, ...]:
        """Return the last lines of the server's own."""
        self.finish()
        return tuple(self._tail)

    def finish(self) -> None:
        """Pass on last lines that have no newline."""
        self._put(self._stream.last(self._lines.rest()))
        self._put(self._out.last(self._printed.rest()))

    def _put(self, line: bytes, *, ours: bool = False) -> None:
        if not line:
            return
        line = line if line.endswith(b"\n") else line + b"\n"
        with self._lock:
            if not ours:
                self._tail.append(line.decode(errors="replace").rstrip())
            with contextlib.suppress(OSError):  # nobody listens: the log still does
                write_all(self._stderr, line)
            if self._log is not None:
                self._log.write(stamp() + line)
        if self._listener is not None and not ours:
            self._listener(line.decode(errors="replace").rstrip())
