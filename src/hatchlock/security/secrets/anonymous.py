"""Texts that go to strangers, a bug report: without secrets, without what looks like one, and without whose machine it was."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hatchlock.manifest.suspicion import known_tokens, surely_secret
from hatchlock.security.secrets.redact import Redactor, forms

__all__ = ["Anonymous", "Identity"]

_NOBODY = frozenset({"", "root", "localhost"})
_HOMES = re.compile(r"(?P<above>/home|/Users|/var/home)/(?P<user>[^/\s\"'\\:,;)\]}]+)")
_ASSIGNED = re.compile(
    r"(?<![\w-])(?P<name>[\w-]++)(?P<between>\\?[\"']?\s*[:=]\s*\\?[\"']?)(?P<value>[^\s\"'\\,;()\[\]{}<$][^\s\"'\\,;)\]}]*)"
)
_BEARER = re.compile(r"(?P<scheme>\b(?:Bearer|Basic|Token)\s+)(?P<value>[A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:env|file|keyring|command):.*")
_DIGEST = re.compile(r"(?:sha(?:256|512)[:-])?[0-9a-f]{40,128}|sha512-[A-Za-z0-9+/=]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Whose machine it is.

    Attributes:
        homes: The user's home, under each path that it has.
        users: The user's names.
        host: The machine's name.
    """

    homes: tuple[str, ...]
    users: tuple[str, ...]
    host: str


class Anonymous:
    """Makes texts anonymous. It guesses as well, so more may be gone than had to go.

    Args:
        secrets: Values that are nobody's business, in every form in which programs print them.
        identity: Whose machine it is.
    """

    def __init__(self, secrets: Iterable[str], identity: Identity) -> None:
        self._redactor = Redactor(forms(secrets))
        homes = sorted({home.rstrip("/") for home in identity.homes} - {""}, key=len, reverse=True)
        self._homes = [re.compile(rf"{re.escape(home)}(?![A-Za-z0-9._-])") for home in homes]
        words = {"USER": identity.users, "HOST": (identity.host, identity.host.partition(".")[0])}
        self._names = [
            (re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", re.IGNORECASE), instead)
            for instead, found in words.items()
            for word in dict.fromkeys(found)
            if word.lower() not in _NOBODY
        ]

    def text(self, text: str) -> str:
        """Return a text without all that."""
        text = known_tokens().sub("***", self._redactor.text(text))
        text = _BEARER.sub(lambda match: f"{match['scheme']}***", text)
        text = _ASSIGNED.sub(_assigned, text)
        for pattern in self._homes:
            text = pattern.sub("~", text)
        text = _HOMES.sub(lambda match: f"{match['above']}/USER", text)
        for pattern, instead in self._names:
            text = pattern.sub(instead, text)
        return text


def _assigned(match: re.Match[str]) -> str:
    """A digest or a reference is no secret, whatever it stands behind."""
    name, value = match["name"].lstrip("-_0123456789"), match["value"]
    if not name or _REFERENCE.fullmatch(value) or _DIGEST.fullmatch(value) or not surely_secret(name, value):
        return match[0]
    return f"{match['name']}{match['between']}***"
