"""An entry of the registry as it answers: a version of a server, and what the registry itself says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from hatchlock.digest import sha256_bytes
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.mcp_registry.document import Server, canonical_document, parse_server, read_document

__all__ = ["ACTIVE", "DELETED", "UNKNOWN", "Entry", "Status", "entry_of"]

ACTIVE, DELETED, UNKNOWN = "active", "deleted", "unknown"
# what can stand in a manifest behind the name, and in ids
_PLAIN = re.compile(r"[!-~]{1,255}")
_OFFICIAL = "io.modelcontextprotocol.registry/official"


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What the registry says of a version now.

    Attributes:
        status: "active", "deprecated", "deleted", another word of the registry, or "unknown" if it could not be asked.
        message: Why, in its publisher's words; "" if nobody says.
    """

    status: str
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A version of a server.

    Attributes:
        name: `io.github.owner/name`.
        version: Exact.
        server: What its publisher says of it.
        document: The same as canonical JSON (RFC 8785), unknown keys and all.
        sha256: Of `document`, 64 hex digits.
        status: See `Status`; as it was when the entry was fetched.
        status_message: Likewise.
        published: When, RFC 3339; "" if the registry does not say.
        is_latest: Whether it is the newest version, likewise.
    """

    name: str
    version: str
    server: Server
    document: bytes
    sha256: str
    status: str = ACTIVE
    status_message: str = ""
    published: str = ""
    is_latest: bool = False

    def __str__(self) -> str:
        return f"mcp:{self.name}@{self.version}"


class _Official(BaseModel):
    """Of 2025-07-09 the names are in snake_case."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: str = ACTIVE
    message: str = Field(default="", validation_alias=AliasChoices("statusMessage", "status_message"))
    published: str = Field(default="", validation_alias=AliasChoices("publishedAt", "published_at"))
    is_latest: bool = Field(default=False, validation_alias=AliasChoices("isLatest", "is_latest"))

    @field_validator("*", mode="before")
    @classmethod
    def _without_null(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value


def entry_of(answer: Any, *, what: str) -> Entry:
    """Return an entry from the registry's answer about it.

    Args:
        answer: JSON values: `server`, and the registry's own words below `_meta`.
        what: Where it is from, for messages.

    Raises:
        BadAnswer: It is none, or has no exact version.
    """
    document = answer.get("server") if isinstance(answer, Mapping) else None
    if not isinstance(document, Mapping):
        raise BadAnswer(what=what, why="it holds no `server`")
    server = parse_server(document, what=what)
    if not server.version or server.version == "latest" or not _PLAIN.fullmatch(server.version):
        raise BadAnswer(what=what, why=f"{server.name} has no exact version")
    meta = answer.get("_meta")
    official = (
        read_document(_Official, (meta or {}).get(_OFFICIAL) or {}, what=what) if _is_table(meta) else _Official()
    )
    data = canonical_document(document, what=what)
    return Entry(
        name=server.name,
        version=server.version,
        server=server,
        document=data,
        sha256=sha256_bytes(data),
        status=official.status,
        status_message=official.message,
        published=official.published,
        is_latest=official.is_latest,
    )


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)
