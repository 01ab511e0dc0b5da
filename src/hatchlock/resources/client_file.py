"""Files in which applications list servers, and entries as they should be there, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.address import Address, ResourceKind, scoped
from hatchlock.clients.catalogue import CLIENTS, Scope
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.shape import Shape

__all__ = ["ClientFile", "EntrySpec", "scoped_address", "usual_address"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class ClientFile:
    """A file in which an application lists servers.

    Attributes:
        client: The application's name in the catalogue.
        scope: Whose file it is.
        path: Where it is.
    """

    client: str
    scope: Scope
    path: str

    def __str__(self) -> str:
        return f"{self.client}/{self.scope}/{self.path}"

    @property
    def dialect(self) -> Dialect:
        """The form of the file."""
        return CLIENTS[self.client].dialect

    @property
    def shape(self) -> Shape:
        """How its entries are written."""
        return CLIENTS[self.client].shape

    @classmethod
    def parse(cls, text: str) -> ClientFile | None:
        """Read back what `str` gave; None when it is of a client or scope that this version does not know."""
        client, _, rest = text.partition("/")
        scope, _, path = rest.partition("/")
        if client not in CLIENTS or scope not in {"user", "project"} or not path:
            return None
        return cls(client=client, scope="user" if scope == "user" else "project", path=path)


@dataclass(frozen=True, kw_only=True, slots=True)
class EntrySpec:
    """An entry as it should be.

    Attributes:
        file: Where.
        server: The server's name, which is the entry's.
        value: The entry.
    """

    file: ClientFile
    server: str
    value: Mapping[str, Any]

    @property
    def address(self) -> Address:
        """`client:CLIENT/SERVER`."""
        return usual_address(self.file, self.server)


def usual_address(file: ClientFile, server: str) -> Address:
    """Return the address of a server's entry in a file: `client:CLIENT/SERVER`."""
    return Address(kind=ResourceKind.CLIENT, name=f"{file.client}/{server}")


def scoped_address(file: ClientFile, server: str | None = None) -> Address:
    """Return the address of a server's entry where the application's other file has one, too: `client:CLIENT@SCOPE/SERVER`.

    Without a server it is that of the file.
    """
    return Address(kind=ResourceKind.CLIENT, name=scoped(file.client, file.scope, server))
