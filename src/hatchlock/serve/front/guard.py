"""Who may speak to a front: only this machine's own programs, under its own name, with the token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["LOOPBACK", "Refusal", "refusal"]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names of this machine's loopback."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a request is not heard.

    Attributes:
        status: HTTP's.
        why: A sentence.
    """

    status: int
    why: str


def refusal(headers: Mapping[str, str], token: str, token_command: str) -> Refusal | None:
    """Return why a request is not heard; None if it is.

    A page of a browser can make a name of its own lead here (DNS rebinding): its requests then have that name as their
    host, and the page's origin. Programs send no origin.

    Args:
        headers: The request's, with names in lower case.
        token: What it has to bring; "" for nothing.
        token_command: The command that prints it.
    """
    if not _is_loopback(f"//{headers.get('host', '')}"):
        return Refusal(status=403, why="this is served to this machine only: the Host must be 127.0.0.1 or localhost")
    origin = headers.get("origin")
    if origin is not None and not _is_loopback(origin):
        return Refusal(status=403, why="pages of other origins than this machine's are refused")
    if not token:
        return None
    scheme, _, given = headers.get("authorization", "").partition(" ")
    is_given = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not is_given:
        return Refusal(status=401, why=f"it takes the bearer token that `{token_command}` prints")
    return None


def _is_loopback(address: str) -> bool:
    try:
        found = urlsplit(address)
        port = found.port
    except ValueError:
        return False
    return found.hostname in LOOPBACK and found.username is None and port != 0
