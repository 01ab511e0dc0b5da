"""Entries of applications as they can be shown: whatever may be a secret in them is `…`. Pure.

What is hidden is more than what `manifest.suspicion` calls a secret, since a value that is shown once too often cannot be
taken back: every value of a variable and of a header, what an address has besides host and path, and every text whose
meaning we do not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hatchlock.clients.shape import Shape, UrlShape
from hatchlock.manifest.client_fields import ClientField
from hatchlock.manifest.suspicion import known_tokens, looks_secret, secret_arguments

__all__ = ["HIDDEN", "masked_entry", "masked_url", "masked_words"]

HIDDEN = "…"

_REFERENCE = re.compile(r"\$\{?[\w:.-]+\}?|\{\w+:[\w./~-]+\}")
"""A value that only names where the application finds it."""
_RANDOM = re.compile(r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9_-]{20,}|[0-9a-fA-F]{32,}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_VARIABLE = re.compile(r"(?:-e=?|--env=)?[A-Z][A-Z0-9_]*=")
_HEADER = re.compile(r"([A-Za-z][\w-]*:)\s*\S.*", re.DOTALL)
_VARIABLES = frozenset({"-e", "--env"})


def masked_entry(value: Any, *, shape: Shape, fields: Mapping[str, ClientField]) -> Any:
    """Return an entry with everything hidden that may be a secret; its names, numbers and switches stay.

    Args:
        value: The entry, as its file has it.
        shape: How the application writes entries.
        fields: The application's own fields.
    """
    if not isinstance(value, Mapping):
        return _unknown(value)
    urls = [item for item in (shape.http, shape.sse) if item]
    return {name: _member(name, item, shape, urls, fields) for name, item in _with_words(value, shape).items()}


def masked_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command line with everything hidden that may be a secret."""
    suspect = set(secret_arguments(words))
    return tuple(
        _word(word, words[index - 1] if index else "", is_suspect=index in suspect) for index, word in enumerate(words)
    )


def masked_url(url: str) -> str:
    """Return an address without user, password, values of its query, fragment, and parts of its path that look random."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    path = "/".join(HIDDEN if _is_random(part) else part for part in parts.path.split("/"))
    query = "&".join(f"{name}={HIDDEN}" if equals else HIDDEN for name, equals in _pairs(parts.query))
    shown = SplitResult(parts.scheme, _place(parts.netloc), path, query, HIDDEN if parts.fragment else "")
    return shown.geturl()


def _pairs(query: str) -> list[tuple[str, str]]:
    return [item.partition("=")[:2] for item in query.split("&") if item]


def _place(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{HIDDEN}@{host}" if at and user else host


def _is_random(part: str) -> bool:
    return _RANDOM.fullmatch(part) is not None or known_tokens().search(part) is not None


def _with_words(value: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return an entry whose command line is masked as a whole: an option is known by the word before it."""
    command, args = value.get(shape.command), value.get(shape.args) if shape.args else None
    shown = dict(value)
    if isinstance(command, list):
        shown[shape.command] = _list_of_words(command)
    elif isinstance(command, str) and shape.command in value:
        shown[shape.command] = masked_words([command])[0]
    if isinstance(args, list):
        shown[shape.args] = _list_of_words(args)
    return shown


def _list_of_words(words: list[Any]) -> list[Any]:
    if all(isinstance(word, str) for word in words):
        return list(masked_words(words))
    return [_unknown(word) for word in words]


def _member(name: str, item: Any, shape: Shape, urls: list[UrlShape], fields: Mapping[str, ClientField]) -> Any:
    is_text = isinstance(item, str)
    if name in {shape.command, shape.args} and (isinstance(item, list) or is_text):
        return item
    if name in {url.url for url in urls} and is_text:
        return masked_url(item)
    fixed = [shape.fixed, *(url.fixed for url in urls)]
    if is_text and any(name in known for known in fixed):
        return item if not looks_secret("", item) else HIDDEN
    if name == shape.cwd and name and is_text:
        return item
    if name in fields:
        return _known(name, item)
    return _unknown(item)


def _known(name: str, item: Any) -> Any:
    match item:
        case str():
            return HIDDEN if looks_secret(name, item) or _is_random(item) else item
        case list() if all(isinstance(word, str) for word in item):
            return [_known(name, word) for word in item]
    return _unknown(item)


def _unknown(item: Any) -> Any:
    match item:
        case Mapping():
            return {name: _unknown(value) for name, value in item.items()}
        case list():
            return [_unknown(value) for value in item]
        case str():
            return item if _REFERENCE.fullmatch(item) else HIDDEN
    return item


def _word(word: str, before: str, *, is_suspect: bool) -> str:
    name, equals, value = word.partition("=")
    if before in _VARIABLES or _VARIABLE.match(word):
        return f"{name}={HIDDEN}" if equals and not _REFERENCE.fullmatch(value) else word
    if _ADDRESS.fullmatch(word):
        return masked_url(word)
    if equals and _ADDRESS.fullmatch(value):
        return f"{name}={masked_url(value)}"
    if is_suspect:
        return _suspect(word)
    return HIDDEN if _is_random(word) else word


def _suspect(word: str) -> str:
    if header := _HEADER.fullmatch(word):
        return f"{header[1]} {HIDDEN}"
    option, equals, _ = word.partition("=")
    return f"{option}={HIDDEN}" if equals and option.startswith("-") else HIDDEN
