"""Values disappear from texts, in every form that a program is likely to print them in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["Redactor", "forms", "redact", "redact_document"]

_SHORTEST = 4
_SHORTEST_ENCODED = 8
_STARS = b"***"


def forms(values: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that must not appear where these values must not, the longest first.

    That is each value and each of its lines, both also as JSON, Python and URLs write them, and in Base64, alone or within
    something longer. What is shorter than four characters would take half a language with it, and is left out.
    """
    found: set[str] = set()
    for value in values:
        for text in {value, value.strip(), *value.splitlines()}:
            if len(text.strip()) >= _SHORTEST:
                found |= {text, *_escaped(text)}
                if len(text) >= _SHORTEST_ENCODED:
                    found |= set(_in_base64(text))
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def redact(text: str, hidden: Iterable[str]) -> str:
    """Return `text` with every occurrence of the hidden texts replaced by `***`, longer ones first."""
    for item in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(item, "***")
    return text


def redact_document(value: Any, hidden: Iterable[str]) -> Any:
    """Return a document as JSON has them, with `redact` done to each of its texts and keys."""
    hidden = tuple(hidden)
    if isinstance(value, str):
        return redact(value, hidden)
    if isinstance(value, Mapping):
        return {redact(str(key), hidden): redact_document(item, hidden) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_document(item, hidden) for item in value]
    return value


class Redactor:
    """Redacts a stream of bytes that comes in pieces, wherever they are cut.

    Args:
        hidden: As `forms` returns them.
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        # secrets of a file that is no UTF-8 do not exist
        self._hidden = sorted({item.encode() for item in hidden if item}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._hidden))) if self._hidden else None
        self._longest = len(self._hidden[0]) if self._hidden else 0
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown by now; the beginning of a hidden text at its end is held back."""
        if self._pattern is None:
            return data
        text = self._held + data
        shown = []
        at = 0
        for match in self._pattern.finditer(text):
            if match.end() == len(text) and self._could_go_on(match[0]):
                break
            shown += [text[at : match.start()], _STARS]
            at = match.end()
        rest = text[at:]
        keep = self._unfinished(rest)
        self._held = rest[len(rest) - keep :]
        return b"".join((*shown, rest[: len(rest) - keep]))

    def rest(self) -> bytes:
        """Return what was held back: nothing more comes."""
        held, self._held = self._held, b""
        return self.whole(held)

    def whole(self, data: bytes) -> bytes:
        """Return a text that is complete, redacted; for any thread."""
        return self._pattern.sub(_STARS, data) if self._pattern else data

    def _could_go_on(self, text: bytes) -> bool:
        return any(len(item) > len(text) and item.startswith(text) for item in self._hidden)

    def _unfinished(self, rest: bytes) -> int:
        for length in range(min(self._longest - 1, len(rest)), 0, -1):
            tail = rest[len(rest) - length :]
            if self._could_go_on(tail):
                return length
        return 0


def _escaped(text: str) -> Iterator[str]:
    import json  # noqa: PLC0415  only where there are secrets
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(json.dumps(text)[1:-1])[1:-1]
    yield repr(text)[1:-1]
    yield quote(text)
    yield quote(text, safe="")
    yield quote_plus(text)


def _in_base64(text: str) -> Iterator[str]:
    """What is sure to appear wherever the text stands within what was encoded: its neighbours change the ends only."""
    from base64 import b64encode, urlsafe_b64encode  # noqa: PLC0415  only where there are secrets

    data = text.encode()
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(data).decode().rstrip("=")
        for before in range(3):
            encoded = encode(b"\0" * before + data)
            first = (before * 8 + 5) // 6
            last = (before + len(data)) * 8 // 6
            yield encoded[first:last].decode()
