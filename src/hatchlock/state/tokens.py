"""Tokens of servers that are served over HTTP: made once, in files that only their owner can read, `tokens/NAME`."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import begin_file, private_directory, read_optional

__all__ = ["BadToken", "token_of", "token_path"]

_FORM = re.compile(r"[A-Za-z0-9_-]{32,}")
_BYTES = 32


@dataclass(kw_only=True, eq=False)
class BadToken(HatchlockError):
    """The file of a token is not what we wrote, or others can read it."""

    code: ClassVar[str] = "bad-token"

    path: str
    why: str

    def __str__(self) -> str:
        return f"the token in {self.path} {self.why}"

    def _hint(self) -> str:
        return "make another one with `hatchlock serve --new-token`, and give it to whoever uses the old one"


def token_path(root: Path, name: str) -> Path:
    """Return where a token is.

    Args:
        root: The project's state.
        name: What is served: a server's name, or `group:NAME`.
    """
    return root / "tokens" / name


def token_of(root: Path, name: str, *, anew: bool = False) -> str:
    """Return what clients of a served server have to bring, the same each time; it is made when there is none.

    Args:
        root: The project's state.
        name: As for `token_path`.
        anew: Make another one: the old one is worth nothing from the next start on.

    Raises:
        BadToken: It was changed, or others could have read it.
        PermissionProblem: It cannot be read or written.
    """
    path = token_path(root, name)
    if anew or not path.exists():
        _make(path, anew=anew)
    if path.lstat().st_mode & 0o077:
        raise BadToken(path=str(path), why="could be read by others")
    text = (read_optional(path) or b"").decode(errors="replace").strip()
    if not _FORM.fullmatch(text):
        raise BadToken(path=str(path), why="is none that hatchlock made")
    return text


def _make(path: Path, *, anew: bool) -> None:
    """Write a new one, whole; where two do so at once for the first time, one of them is everybody's."""
    private_directory(path.parent)
    descriptor, part = begin_file(path)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_urlsafe(_BYTES).encode())
            stream.flush()
            # before it is closed: until then nobody takes it for what a killed writer left
            if anew:
                part.replace(path)
                return
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)
