"""What npm's resolver said before, for as long as everything that it was told is still the same.

npm decides by the question and by the documents that it reads, nothing else. So its answer is kept with the digests of those
documents, and a repeated lock costs no second of Node.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.npm.registry import NpmSource

__all__ = ["recall", "remember"]

_ABSENT = "absent"


def recall(source: NpmSource, question: str) -> str | None:
    """Return npm's answer to a question, or None if it was not asked, or something that it read has changed.

    Args:
        source: Tells what documents say now; they are asked for all at once.
        question: All that npm decides by, apart from documents.
    """
    kept = source.answers.load(question)
    if kept is None:
        return None
    try:
        told, answer = json.loads(kept.body)
        known = {str(name): str(digest) for name, digest in told.items()}
    except (ValueError, TypeError, AttributeError):
        return None  # of another release
    for name in known:
        source.packument_ahead(name)
    try:
        unchanged = all(_digest(source, name) == digest for name, digest in known.items())
    except HatchlockError:
        return None  # npm will come to it, and then it is told
    return str(answer) if unchanged else None


def remember(source: NpmSource, question: str, names: Collection[str], answer: str) -> None:
    """Keep npm's answer to a question.

    Args:
        source: Where the documents came from.
        question: See `recall`.
        names: Whose documents npm read, or did not find.
        answer: What it said.
    """
    told = {name: _digest(source, name) for name in sorted(names)}
    source.answers.save(question, json.dumps([told, answer]).encode())


def _digest(source: NpmSource, name: str) -> str:
    try:
        return sha256_bytes(source.packument(name).to_cache())
    except UnknownPackage:
        return _ABSENT
