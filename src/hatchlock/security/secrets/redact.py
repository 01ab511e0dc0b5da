"""Values disappear from texts, in every form that a program is likely to print them in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["Redactor", "forms", "redact", "redact_document"]

_SHORTEST = 4
_SHORTEST_ENCODED = 8
_MANY_LINES = 100
_MANY_FORMS = 500
_MANY_BYTES = 1 << 14
_STARS = b"***"


def forms(values: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that must not appear where these values must not, the longest first.

    That is each value and each of its lines, both also as JSON, Python and URLs write them, and in Base64, alone or within
    something longer; the lines of a value that has more than a hundred, only as they are. What is shorter than four
    characters would take half a language with it, and is left out.
    """
    found: set[str] = set()
    for value in values:
        lines = value.splitlines()
        encoded = {value, value.strip(), *(lines if len(lines) <= _MANY_LINES else ())}
        for text in {*encoded, *lines}:
            if len(text.strip()) < _SHORTEST:
                continue
            found.add(text)
            if text in encoded:
                found |= set(_escaped(text))
                if len(text) >= _SHORTEST_ENCODED:
                    found |= set(_in_base64(text))
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def redact(text: str, hidden: Iterable[str]) -> str:
    """Return `text` with every occurrence of the hidden texts replaced by `***`, longer ones first."""
    return Redactor(hidden).text(text)


def redact_document(value: Any, hidden: Iterable[str]) -> Any:
    """Return a document as JSON has them, with `redact` done to each of its texts and keys."""
    return _redacted(value, Redactor(hidden))


def _redacted(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, Mapping):
        return {redactor.text(str(key)): _redacted(item, redactor) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, redactor) for item in value]
    return value


class Redactor:
    """Redacts texts, and a stream of bytes that comes in pieces, wherever they are cut.

    Args:
        hidden: As `forms` returns them. Time does not depend on how many there are.
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        items = sorted({item.encode() for item in hidden if item}, key=len, reverse=True)
        self._longest = len(items[0]) if items else 0
        self._width = min(len(items[-1]), _SHORTEST) if items else 0
        self._beginning: dict[bytes, list[bytes]] = {}
        for item in items:
            self._beginning.setdefault(item[: self._width], []).append(item)
        # faster, as long as it is not tried for each of thousands, nor made of a megabyte, which takes many seconds
        few = 0 < len(items) <= _MANY_FORMS
        small = sum(map(len, items)) <= _MANY_BYTES
        self._pattern = re.compile(b"|".join(map(re.escape, items))) if few and small else None
        self._start = re.compile(b"|".join(map(re.escape, self._beginning))) if few else None
        self._held = b""

    def text(self, text: str) -> str:
        """Return a text that is complete, redacted; for any thread."""
        return self.whole(text.encode(errors="surrogatepass")).decode(errors="surrogatepass") if self._longest else text

    def whole(self, data: bytes) -> bytes:
        """Return bytes that are complete, redacted; for any thread."""
        if not self._longest:
            return data
        if self._pattern:
            return self._pattern.sub(_STARS, data)
        shown, at = [], 0
        for start, end in self._matches(data):
            shown += [data[at:start], _STARS]
            at = end
        return b"".join((*shown, data[at:]))

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown by now; the beginning of a hidden text at its end is held back."""
        if not self._longest:
            return data
        text = self._held + data
        shown, at = [], 0
        for start, end in self._matches(text):
            if end == len(text) and self._could_go_on(text[start:end]):
                break
            shown += [text[at:start], _STARS]
            at = end
        rest = text[at:]
        cut = self._unfinished(rest)
        self._held = rest[cut:]
        return b"".join((*shown, rest[:cut]))

    def last(self, data: bytes = b"") -> bytes:
        """Return the end of a stream: what was held back, and a last piece."""
        held, self._held = self._held, b""
        return self.whole(held + data)

    def _matches(self, text: bytes) -> Iterator[tuple[int, int]]:
        if self._pattern:
            yield from (match.span() for match in self._pattern.finditer(text))
            return
        at = self._next_start(text, 0)
        while at < len(text):
            found = next((item for item in self._candidates(text, at) if text.startswith(item, at)), None)
            if found is None:
                at = self._next_start(text, at + 1)
            else:
                yield at, at + len(found)
                at = self._next_start(text, at + len(found))

    def _next_start(self, text: bytes, at: int) -> int:
        """Return where a hidden text may begin, at or behind a place; the length if nowhere."""
        if self._start is None:
            return at
        found = self._start.search(text, at)
        return found.start() if found else len(text)

    def _candidates(self, text: bytes, at: int) -> Iterable[bytes]:
        return self._beginning.get(text[at : at + self._width], ())

    def _could_go_on(self, text: bytes) -> bool:
        return any(len(item) > len(text) and item.startswith(text) for item in self._candidates(text, 0))

    def _unfinished(self, rest: bytes) -> int:
        """Return where the beginning of a hidden text is at the end; the length if nowhere."""
        for at in range(max(len(rest) - self._longest + 1, 0), len(rest)):
            tail = rest[at : at + self._width]
            if len(tail) < self._width:
                if any(beginning.startswith(tail) for beginning in self._beginning):
                    return at
            elif tail in self._beginning and self._could_go_on(rest[at:]):
                return at
        return len(rest)


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
