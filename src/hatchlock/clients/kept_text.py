"""Text of somebody's file as we may keep it: with references where secrets stood.

Values of secrets are kept by the store of secrets alone. So text is cut into pieces, and each value is found however a
file may write it (`spelling`); what looks like a secret and is none that is known is not kept at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from hatchlock.clients.spelling import is_form, spell, spelled
from hatchlock.manifest.suspicion import is_credential_header, known_tokens, looks_secret, secret_arguments

__all__ = ["NOTHING", "KeptText", "Stored", "is_suspect"]

_ASSIGNED = re.compile(
    r"""([\w-]+)["']?\s*[:=]\s*(?:"([^"\n]*)"|'([^'\n]*)'"""
    r"""|((?:(?:Bearer|Basic|Token)[ \t]+)?(?:\$\{\{[^{}\n]*\}\}|\$\{\w+\}|[^\s,"'\[{]+)))""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(?:Bearer|Basic|Token)\s+", re.IGNORECASE)
_REFERENCE = re.compile(r"\$?\{\{?[^{}]*\}\}?|\$\w+|\$\([^()]*\)")
"""What applications put a value for themselves: `${env:TOKEN}`, `${input:token}`, `{env:TOKEN}`, `${{ secrets.TOKEN }}`, `$(…)`."""
_STANDS_FOR = "${SECRET}"
_JSON, _BARE = "json", "bare"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_JSON_PART = re.compile(rf'"(?:[^"\\]|\\.)*"|{_NUMBER.pattern}|[^"\d-]+|.')
_PART = 12
_MIXED = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).*", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A place in a text at which a secret stood.

    Attributes:
        secret: The name under which the store of secrets keeps it.
        form: How it was written there: `json`, as a part of a JSON text; `bare`, as a JSON number; else which of its characters
            were written otherwise than as they are, and how: `4u17s` (`hatchlock.clients.spelling`).
    """

    secret: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class KeptText:
    """A text in pieces.

    Attributes:
        pieces: In their order.
    """

    pieces: tuple[str | Stored, ...] = ()

    @classmethod
    def of(cls, text: str, secrets: Mapping[str, str]) -> Self:
        """Return a text without these secrets' values, however a file spells them.

        Args:
            text: The text.
            secrets: Name -> value.
        """
        pieces: list[str | Stored] = [text] if text else []
        for name in sorted(secrets, key=lambda name: (-len(secrets[name]), name)):  # one may be a part of another
            if value := secrets[name]:
                pieces = [new for piece in pieces for new in _apart(piece, name, value)]
        return cls(tuple(pieces))

    @classmethod
    def of_json(cls, value: Any, secrets: Mapping[str, str]) -> Self:
        """Return the JSON of a value without these secrets' values; it is JSON with any other values for them as well."""
        names = {value: name for name, value in secrets.items()}
        pieces: list[str | Stored] = []
        for part in _JSON_PART.findall(json.dumps(value)):
            if part.startswith('"'):
                inner = cls.of(json.loads(part), secrets).pieces
                pieces += ['"', *(_in_json(piece) for piece in inner), '"']
            else:
                pieces.append(Stored(secret=names[part], form=_BARE) if part in names else part)
        return cls(tuple(pieces))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that stood in it."""
        return frozenset(piece.secret for piece in self.pieces if isinstance(piece, Stored))

    @property
    def shown(self) -> str:
        """The text with a word that stands for every secret."""
        return "".join(_shown(piece) for piece in self.pieces)

    def holds_part_of(self, secrets: Mapping[str, str]) -> bool:
        """Return whether a part of a secret is left in it that nobody would write by chance: it was written across lines, say."""
        parts = {value[at : at + _PART] for value in secrets.values() for at in range(len(value) - _PART + 1)}
        random = [part for part in parts if _MIXED.fullmatch(part)]
        return any(part in piece for piece in self.pieces if isinstance(piece, str) for part in random)

    def is_of(self, text: str) -> bool:
        """Return whether a text is this one, whatever stands in it where a secret stood."""
        parts = (re.escape(piece) if isinstance(piece, str) else ".*" for piece in self.pieces)
        return re.fullmatch("".join(parts), text, re.DOTALL) is not None

    def whole(self, secrets: Mapping[str, str]) -> str:
        """Return the text as it was.

        Raises:
            KeyError: A secret of it is not among these.
        """
        return "".join(
            piece if isinstance(piece, str) else _written(secrets[piece.secret], piece.form) for piece in self.pieces
        )

    def to_list(self) -> list[Any]:
        """Return JSON values."""
        return [piece if isinstance(piece, str) else [piece.secret, piece.form] for piece in self.pieces]

    @classmethod
    def from_list(cls, data: Iterable[Any]) -> Self:
        """Read back what `to_list` gave.

        Raises:
            TypeError, ValueError: It is something else.
        """
        return cls(tuple(_piece(item) for item in data))


NOTHING = KeptText()


def is_suspect(text: str, value: Any = None) -> bool:
    """Return whether something that looks like a secret is in a text (`KeptText.shown`), or in the value that it means."""
    if known_tokens().search(text) or _is_suspect_value("", value):
        return True
    leaves = tuple(_leaves(value))
    return any(
        _is_secret(found[1], next(filter(None, found.groups()[1:]), ""))
        for found in _ASSIGNED.finditer(text)
        if not any(found[0] in leaf for leaf in leaves)  # a sentence of a value, which was judged as a whole
    )


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from _leaves(item)
        case list() | tuple():
            for item in value:
                yield from _leaves(item)


def _is_suspect_value(name: str, value: Any) -> bool:
    match value:
        case str():
            return _is_secret(name, value)
        case Mapping():
            return any(_is_suspect_value(str(key), item) for key, item in value.items())
        case list() | tuple():
            words = [item if isinstance(item, str) else "" for item in value]
            return any(
                _STANDS_FOR not in words[index] and not _REFERENCE.search(words[index])
                for index in secret_arguments(words)
            ) or any(_is_suspect_value(name, item) for item in value)
    return False


def _is_secret(name: str, value: str) -> bool:
    bare = _SCHEME.sub("", value, count=1)
    if _STANDS_FOR in value or _REFERENCE.fullmatch(bare):
        return False
    return looks_secret("token" if is_credential_header(name) else name, bare)


def _apart(piece: str | Stored, name: str, value: str) -> list[str | Stored]:
    """Return a piece in pieces: a secret, and what stands around it."""
    if isinstance(piece, Stored):
        return [piece]
    found: list[str | Stored] = []
    at = 0
    for start, end, form in spelled(value, piece):
        found += [piece[at:start], Stored(secret=name, form=form)]
        at = end
    return [part for part in (*found, piece[at:]) if part]


def _in_json(piece: str | Stored) -> str | Stored:
    return json.dumps(piece)[1:-1] if isinstance(piece, str) else Stored(secret=piece.secret, form=_JSON)


def _shown(piece: str | Stored) -> str:
    if isinstance(piece, str):
        return piece
    return json.dumps(_STANDS_FOR) if piece.form == _BARE else _STANDS_FOR


def _written(value: str, form: str) -> str:
    if form == _JSON:
        return json.dumps(value)[1:-1]
    if form == _BARE:
        return value if _NUMBER.fullmatch(value) else json.dumps(value)
    return spell(value, form)


def _piece(item: Any) -> str | Stored:
    if isinstance(item, str):
        return item
    secret, form = item
    if not isinstance(secret, str) or not (form in {_JSON, _BARE} or is_form(form)):
        raise ValueError(item)
    return Stored(secret=secret, form=form)
