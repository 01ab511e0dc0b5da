"""Digests of bytes, files and values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["canonical_json", "key_of", "sha256_bytes", "sha256_file"]

_CHUNK = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lowercase hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 lowercase hex digits, reading it in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON with sorted keys, no spaces and ASCII only: equal values give equal bytes.

    For our own values (strings, integers, booleans, lists, string-keyed mappings). Definitions that a server sends are
    hashed by RFC 8785 in `surface`, not here.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def key_of(rule: str, parts: Iterable[str]) -> str:
    """Return the digest (64 hex digits) of a named rule and its ordered parts.

    The rule's name and version (`image:1`) go in first, so that a changed rule never reuses an old name.
    """
    return sha256_bytes(canonical_json([rule, *parts]))
