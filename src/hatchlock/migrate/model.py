"""What a reader of somebody else's file found: servers as a manifest would have them, and what cannot be carried over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Format", "Left", "Proposed", "Reading", "Secret"]

Table = Literal["env", "headers"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret:
    """A value that a manifest must not hold, or a reference to one.

    Attributes:
        table: The server's table that refers to it.
        key: The variable, or the header.
        value: What stands in the file; "" where that only names another place. Shown to nobody.
        reference: Where its value is to be looked for (`env:GITHUB_TOKEN`), where the file itself says so; else "": whoever
            keeps the value decides.
        format: What the value is put into, with `{}` for it (`Bearer {}`); "" for nothing.
        asked: What the application calls it that asks a person for it once, for all of the file (`${input:token}`); else "".
    """

    table: Table
    key: str
    value: str = field(default="", repr=False)
    reference: str = ""
    format: str = ""
    asked: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """Something that cannot be carried over.

    Attributes:
        line: The line of the file, from 1; 0 where it has none.
        what: A clause for people, without any value that may be secret: "`restart`: hatchlock restarts servers by itself".
    """

    line: int
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """A server of a file, as a manifest would have it.

    Attributes:
        name: Its name, as a manifest allows it; two of one reading may have the same.
        found_as: Its name in the file.
        line: Where it begins, from 1; 0 where the file has no lines.
        fields: The keys of `[servers.NAME]`, without `clients`, and without the secrets.
        client_fields: The application's own fields that are kept, for `client.NAME`; empty for a file that is no
            application's.
        clients: The applications that list it, by our names, where a file that is no application's says so.
        secrets: What its tables refer to besides.
        left: What of it cannot be carried over. A server that cannot be carried over at all is no `Proposed`, but a `Left`
            of the reading.
        notes: What is to be said of what was proposed: what was guessed, what it has no longer, what to do about it.
    """

    name: str
    found_as: str
    line: int
    fields: Mapping[str, Any]
    client_fields: Mapping[str, Any] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()

    def with_references(self, references: Mapping[Secret, str]) -> dict[str, Any]:
        """Return the keys of `[servers.NAME]` with every secret as a reference.

        Args:
            references: Secret -> where its value is kept, for each that does not say so itself.
        """
        fields = dict(self.fields)
        for secret in self.secrets:
            where = {"secret": secret.reference or references[secret]}
            shown = where | ({"format": secret.format} if secret.format else {})
            fields[secret.table] = {**fields.get(secret.table, {}), secret.key: shown}
        return fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A file, read.

    Attributes:
        file: Its path, as it is shown.
        title: What kind of file it is, for people: "Claude Code", "Hatch environments".
        servers: Its servers, in its order.
        environments: `[environments.X]` tables that the servers name.
        left: What cannot be carried over and belongs to no server.
    """

    file: str
    title: str
    servers: tuple[Proposed, ...] = ()
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left: tuple[Left, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A kind of file that can be read.

    Attributes:
        name: What `import --as` calls it.
        title: What people call it.
        matches: Whether a file is of this kind, by its path and its content; never raises for content that is something else.
        read: Reads it. Raises `HatchlockError` with a place for a file that is broken. It reads other files only beside the
            one that it is given (a bundle's, an environment's), or where its tool looks for the other half of it; and asks
            no network.
        below: Where such files are below a directory that is named, besides in it.
    """

    name: str
    title: str
    matches: Callable[[Path, bytes], bool]
    read: Callable[[Path, bytes], Reading]
    below: tuple[str, ...] = ()
