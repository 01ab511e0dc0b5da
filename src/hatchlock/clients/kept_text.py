"""Text of somebody's file as we may keep it: with references where secrets stood.

Values of secrets are kept by the store of secrets alone. So text is cut into pieces, and each value is found by any of the
forms in which a file may write it; what looks like a secret and is none that is known is not kept at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from hatchlock.manifest.suspicion import is_credential_header, known_tokens, looks_secret, secret_arguments

__all__ = ["NOTHING", "KeptText", "Stored", "is_suspect"]

_ASSIGNED = re.compile(r"""([\w-]+)["']?\s*[:=]\s*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s,"'\[{]+))""")
_SCHEME = re.compile(r"(?:Bearer|Basic|Token)\s+", re.IGNORECASE)
_REFERENCE = re.compile(r"\$?\{\{?[^{}]*\}\}?|\$\w+|\$\([^()]*\)")
"""What applications put a value for themselves: `${env:TOKEN}`, `${input:token}`, `{env:TOKEN}`, `${{ secrets.TOKEN }}`, `$(…)`."""
_STANDS_FOR = "${SECRET}"
_PLAIN = "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A place in a text at which a secret stood.

    Attributes:
        secret: The name under which the store of secrets keeps it.
        form: How it was written there: a word of `_written`.
    """

    secret: str
    form: str


@dataclass(frozen=True, slots=True)
class KeptText:
    """A text in pieces.

    Attributes:
        pieces: In their order.
    """

    pieces: tuple[str | Stored, ...] = ()

    @classmethod
    def of(cls, text: str, secrets: Mapping[str, str]) -> Self:
        """Return a text without these secrets' values.

        Args:
            text: The text.
            secrets: Name -> value.
        """
        found = {
            form: Stored(secret=name, form=kind)
            for name, value in secrets.items()
            if value
            for kind, form in _written(value).items()
        }
        if not found:
            return cls((text,)) if text else cls()
        longest_first = sorted(found, key=lambda form: (-len(form), form))
        parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", text)
        return cls(tuple(found.get(part, part) if index % 2 else part for index, part in enumerate(parts) if part))

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that stood in it."""
        return frozenset(piece.secret for piece in self.pieces if isinstance(piece, Stored))

    @property
    def shown(self) -> str:
        """The text with a word that stands for every secret."""
        return "".join(piece if isinstance(piece, str) else _STANDS_FOR for piece in self.pieces)

    def whole(self, secrets: Mapping[str, str]) -> str:
        """Return the text as it was.

        Raises:
            KeyError: A secret of it is not among these.
        """
        return "".join(
            piece if isinstance(piece, str) else _written(secrets[piece.secret])[piece.form] for piece in self.pieces
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


def _written(value: str) -> dict[str, str]:
    """Return the ways to write a value, by their words; of those that look the same the first."""
    return {
        "doubled": value.replace("'", "''"),
        "escaped": json.dumps(value, ensure_ascii=False)[1:-1],
        "ascii": json.dumps(value)[1:-1],
        _PLAIN: value,  # the last one counts where they look the same
    }


def _piece(item: Any) -> str | Stored:
    if isinstance(item, str):
        return item
    secret, form = item
    if not isinstance(secret, str) or form not in _written(""):
        raise ValueError(item)
    return Stored(secret=secret, form=form)
