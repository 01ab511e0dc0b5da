"""What can be wrong with a server that is reached over HTTP, besides that it cannot be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["AnswerLost", "LoginNeeded", "RemoteRefused"]

_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = frozenset({404, 405, 410})
_OURS_TO_MEND = 500


@dataclass(kw_only=True, eq=False)
class LoginNeeded(HatchlockError):
    """A server wants to know who asks, and was not told, or does not accept it.

    Attributes:
        url: Its address.
        server: Its name, for the command that helps; "" where none does.
        told: What it was told: `its header NAME`, `a login`; "" for nothing.
        tried: Whether it is a server of `try`, which no other command knows.
    """

    code: ClassVar[str] = "login-needed"

    url: str
    server: str
    told: str
    tried: bool = False

    def __str__(self) -> str:
        if not self.told:
            return f"{self.url} answers only who has logged in (HTTP 401)"
        return f"{self.url} does not accept {self.told} (HTTP 401)"

    def _hint(self) -> str:
        if self.tried:
            return "say who asks, with a secret that it accepts: --header 'Authorization=Bearer env:NAME'"
        if self.told.startswith("its header"):
            return "the secret of its headers has expired, or is another one: set it again"
        if not self.server:
            return "look at what it was started with"
        command = f"hatchlock login {self.server}"
        # its answer does not say for sure whether there is a login at all
        return command if self.told else f"{command}; if it takes a token of yours instead, {self._header()}"

    def _header(self) -> str:
        from hatchlock.manifest.problem import dotted  # noqa: PLC0415  only where it went wrong

        header = f'headers.Authorization = {{ secret = "keyring:{self.server}", format = "Bearer {{}}" }}'
        return f"write into [{dotted(('servers', self.server))}]: {header}"


@dataclass(kw_only=True, eq=False)
class RemoteRefused(HatchlockError):
    """A server answers a message by an HTTP status that is no success.

    Attributes:
        url: Its address.
        status: The status.
    """

    code: ClassVar[str] = "remote-refused"

    url: str
    status: int

    def __str__(self) -> str:
        return f"{self.url} answers HTTP {self.status}"

    def _hint(self) -> str:
        if self.status == _FORBIDDEN:
            return "who is logged in there may not do this; look at its headers, or log in as somebody else"
        if self.status in _NOT_FOUND:
            return 'look at the address: an MCP server\'s often ends in /mcp, and in /sse for transport = "sse"'
        if self.status >= _OURS_TO_MEND:
            return "the server has a problem of its own; try again later"
        return "look at the address, at its headers, and at transport"


@dataclass(kw_only=True, eq=False)
class AnswerLost(HatchlockError):
    """A message got to a server, and its answer did not come back; nobody knows whether it was done.

    Attributes:
        url: Its address.
        why: As a clause.
    """

    code: ClassVar[str] = "answer-lost"

    url: str
    why: str

    def __str__(self) -> str:
        return f"the answer of {self.url} was lost: {self.why}"

    def _hint(self) -> str:
        return "it may have been done all the same; ask again if that does no harm"
