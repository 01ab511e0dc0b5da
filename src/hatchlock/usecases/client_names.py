"""The words by which `client` is told of applications and servers: `cursor`, `cursor@project`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from typing import Literal

    from hatchlock.clients.catalogue import Scope

__all__ = ["NoSuchEntry", "UnknownApplication", "known_application"]


@dataclass(kw_only=True, eq=False)
class UnknownApplication(HatchlockError):
    """A word names no application of the catalogue, or a scope that there is not."""

    code: ClassVar[str] = "unknown-application"

    word: str
    close: str = ""
    reads_no_project: bool = False

    def __str__(self) -> str:
        if self.reads_no_project:
            return f"{self.word!r}: that application reads no file of a project"
        return f"{self.word!r} is no application that hatchlock knows"

    def _hint(self) -> str:
        return f"did you mean {self.close!r}?" if self.close else "`hatchlock client list -v` has all of them"


@dataclass(kw_only=True, eq=False)
class NoSuchEntry(HatchlockError):
    """An application lists no server of these names.

    Attributes:
        client: The application.
        servers: The names; none where patterns were meant.
        listed: What it lists.
    """

    code: ClassVar[str] = "no-such-entry"

    client: str
    servers: tuple[str, ...]
    listed: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.servers:
            return f"{self.client} lists no server {' or '.join(map(repr, self.servers))}"
        return f"{self.client} lists no {'such ' if self.listed else ''}server"

    def _hint(self) -> str:
        from difflib import get_close_matches

        for name in self.servers:
            if close := [other for other in self.listed if name in other or other in name] or get_close_matches(
                name, self.listed, n=1
            ):
                return f"did you mean {' or '.join(map(repr, close))}?"
        if self.listed and not self.servers:
            return f"it lists {', '.join(map(repr, self.listed))}"
        return f"see `hatchlock client show {self.client}`"


def known_application(word: str) -> tuple[str, Scope | Literal[""]]:
    """Return an application's name, and the scope that is named with it; "" where none is.

    Raises:
        UnknownApplication: There is none, or it has no such file.
    """
    from hatchlock.clients.catalogue import CLIENTS

    name, at, scope = word.partition("@")
    if name not in CLIENTS or (at and scope not in {"user", "project"}):
        from difflib import get_close_matches

        close = next(iter(get_close_matches(name, CLIENTS, n=1)), "")
        raise UnknownApplication(word=word, close=close)
    if scope == "project":
        if not CLIENTS[name].project_file:
            raise UnknownApplication(word=word, close=f"{name}@user", reads_no_project=True)
        return name, "project"
    return name, "user" if at else ""
