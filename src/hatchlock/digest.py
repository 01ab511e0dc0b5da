"""Digests of bytes, files and values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

try:  # Python's own, as its `random` takes them: the library behind `hashlib` takes 2 ms to load, and a start has little to hash
    from _sha2 import sha256 as _small  # type: ignore[import-not-found]
except ImportError:
    try:
        from _sha256 import sha256 as _small  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256 as _small

__all__ = ["algorithm_of", "canonical_json", "digest_file", "hex_of", "key_of", "oci_digest", "sha256_bytes"]

_CHUNK = 1 << 20
_SMALL = 1 << 16
"""Bytes from which on that library is worth loading."""
_ALGORITHMS = {64: "sha256", 128: "sha512"}
_HEX = re.compile(r"[0-9a-f]+")
_OCI_PREFIX = "sha256:"


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lowercase hex digits."""
    if len(data) < _SMALL:
        return str(_small(data).hexdigest())
    import hashlib  # noqa: PLC0415  as above

    return hashlib.sha256(data).hexdigest()


def oci_digest(data: bytes) -> str:
    """Return the SHA-256 of `data` as image formats write it, `sha256:…`."""
    return f"{_OCI_PREFIX}{sha256_bytes(data)}"


def hex_of(digest: str) -> str:
    """Return the digits of what image formats write as `sha256:…`, by which the store names the same bytes."""
    return digest.removeprefix(_OCI_PREFIX)


def algorithm_of(digest: str) -> str:
    """Return "sha256" for 64 lowercase hex digits, "sha512" for 128: the length says which one it is.

    Raises:
        ValueError: `digest` is neither.
    """
    if len(digest) not in _ALGORITHMS or not _HEX.fullmatch(digest):
        raise ValueError(f"{digest!r} is no sha256 or sha512")
    return _ALGORITHMS[len(digest)]


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file's bytes as lowercase hex digits, reading it in pieces.

    Args:
        path: The file.
        algorithm: "sha256" or "sha512".

    Raises:
        OSError: The file cannot be read.
    """
    import hashlib  # noqa: PLC0415  as above

    digest = hashlib.new(algorithm)
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
