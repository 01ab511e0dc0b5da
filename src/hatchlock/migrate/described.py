"""What a command line says of a server, before what surrounds it is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Described"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """A server, as far as its command line says.

    Attributes:
        name: A name for it, if nobody has given it one.
        fields: The keys of `[servers.NAME]`, without `args`, variables and sandbox.
        args: Its own arguments, not yet looked at.
        lost: What cannot be carried over, as clauses.
        notes: What is to be said of it.
        seen: Files and directories of this machine that it cannot do without, besides those among its arguments.
        is_project: Whether it comes from a directory of this machine; then paths below that are no mounts.
    """

    name: str
    fields: Mapping[str, Any]
    args: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seen: tuple[str, ...] = field(default=())
    is_project: bool = False
