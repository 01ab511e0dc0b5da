"""Under which names the values of imported secrets are kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hatchlock.migrate.merging import Merged
from hatchlock.migrate.model import Secret

__all__ = ["named_secrets"]

_SAYS_NOTHING = frozenset(
    {
        *("api-key", "apikey", "key", "token", "secret", "password", "pass", "auth", "auth-token", "access-token"),
        *(
            "api-token",
            "bearer-token",
            "access-key",
            "secret-key",
            "client-secret",
            "pat",
            "authorization",
            "x-api-key",
        ),
    }
)
"""Names of variables and headers that many servers have, each for a secret of its own."""
_LONGEST = 80


_Sign = tuple[str, str]


def named_secrets(
    servers: Sequence[Merged],
    *,
    is_free: Callable[[str, str], bool],
    known: Iterable[tuple[Merged, Mapping[Secret, str]]] = (),
) -> dict[tuple[str, Secret], str]:
    """Return (server, secret) -> the name that its value gets, for each that does not say itself where its value is.

    The name is the variable's, with the server's before it where that says nothing, or is taken. Equal values have one name,
    and that of several servers is called by a variable alone: the first that says something, else the first. So is what an
    application asks for once for all of a file, by its own name for it. Another secret without a value shares its name with no
    other.

    Args:
        servers: Those whose secrets are to be named.
        is_free: Whether a name may be used for a value: nothing has it, or that very value ("" for none).
        known: Servers that have names already, with `keyring:NAME` for their secrets: what is asked for once keeps its name.
    """
    names: dict[tuple[str, Secret], str] = {}
    given = dict(_given(known))
    used = {item.reference.removeprefix("keyring:") for server in servers for item in server.secrets}
    users = _users(servers)
    for server in servers:
        for secret in server.secrets:
            if secret.reference:
                continue
            sign = _sign(server, secret)
            name = given.get(sign, "") if sign else ""
            if not name:
                sharing = users.get(sign, []) if sign else []
                is_shared = len({owner for owner, _ in sharing}) > 1
                choices = _shared_choices(item for _, item in sharing) if is_shared else _choices(server.name, secret)
                name = next(name for name in choices if name not in used and is_free(name, secret.value))
            if sign:
                given[sign] = name
            used.add(name)
            names[server.name, secret] = name
    return names


def _given(known: Iterable[tuple[Merged, Mapping[Secret, str]]]) -> Iterator[tuple[_Sign, str]]:
    for server, places in known:
        for secret, place in places.items():
            kind, _, name = place.partition(":")
            sign = _sign(server, secret)
            if sign and secret.asked and kind == "keyring":
                yield sign, name


def _sign(server: Merged, secret: Secret) -> _Sign | None:
    """Return what is the same for what is one secret: its value, or the file whose application asks for it, and how it is called."""
    if secret.value:
        return "", secret.value
    return (server.origins[0].file, secret.asked) if secret.asked else None


def _users(servers: Sequence[Merged]) -> dict[_Sign, list[tuple[str, Secret]]]:
    """Return what is one secret -> where it is, each with its server."""
    users: dict[_Sign, list[tuple[str, Secret]]] = {}
    for server in servers:
        for secret in server.secrets:
            if (sign := _sign(server, secret)) and not secret.reference:
                users.setdefault(sign, []).append((server.name, secret))
    return users


def _shared_choices(secrets: Iterable[Secret]) -> Iterator[str]:
    owns = sorted(map(_own, secrets), key=_SAYS_NOTHING.__contains__)
    yield from owns
    yield from _numbered(owns[0])


def _choices(server: str, secret: Secret) -> Iterator[str]:
    own = _own(secret)
    if own not in _SAYS_NOTHING and (secret.asked or secret.table == "env"):
        yield own
    prefix = server.replace(".", "-")
    full = own if own.startswith(f"{prefix}-") else f"{prefix}-{own}"[:_LONGEST].strip("-")
    yield full
    yield from _numbered(full)


def _own(secret: Secret) -> str:
    return re.sub(r"[^a-z0-9]+", "-", (secret.asked or secret.key).lower()).strip("-")[:_LONGEST] or "secret"


def _numbered(name: str) -> Iterator[str]:
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
