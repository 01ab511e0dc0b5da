"""Under which names the values of imported secrets are kept. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

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


def named_secrets(servers: Sequence[Merged], *, is_free: Callable[[str, str], bool]) -> dict[tuple[str, Secret], str]:
    """Return (server, secret) -> the name that its value gets, for each that does not say itself where its value is.

    The name is the variable's, with the server's before it where that says nothing, or is taken. Equal values have one name,
    and that of several servers is called by a variable alone: the first that says something, else the first. A secret without
    a value shares its name with no other.

    Args:
        servers: Those whose secrets are to be named.
        is_free: Whether a name may be used for a value: nothing has it, or that very value ("" for none).
    """
    names: dict[tuple[str, Secret], str] = {}
    by_value: dict[str, str] = {}
    used = {item.reference.removeprefix("keyring:") for server in servers for item in server.secrets}
    users = _users(servers)
    for server in servers:
        for secret in server.secrets:
            if secret.reference:
                continue
            name = by_value.get(secret.value, "") if secret.value else ""
            if not name:
                sharing = users.get(secret.value, [])
                is_shared = len({owner for owner, _ in sharing}) > 1
                choices = _shared_choices(item for _, item in sharing) if is_shared else _choices(server.name, secret)
                name = next(name for name in choices if name not in used and is_free(name, secret.value))
            if secret.value:
                by_value[secret.value] = name
            used.add(name)
            names[server.name, secret] = name
    return names


def _users(servers: Sequence[Merged]) -> dict[str, list[tuple[str, Secret]]]:
    """Return value -> the secrets that have it, each with its server."""
    users: dict[str, list[tuple[str, Secret]]] = {}
    for server in servers:
        for secret in server.secrets:
            if secret.value and not secret.reference:
                users.setdefault(secret.value, []).append((server.name, secret))
    return users


def _shared_choices(secrets: Iterable[Secret]) -> Iterator[str]:
    owns = sorted(map(_own, secrets), key=_SAYS_NOTHING.__contains__)
    yield from owns
    yield from _numbered(owns[0])


def _choices(server: str, secret: Secret) -> Iterator[str]:
    own = _own(secret)
    if own not in _SAYS_NOTHING and secret.table == "env":
        yield own
    prefix = server.replace(".", "-")
    full = own if own.startswith(f"{prefix}-") else f"{prefix}-{own}"[:_LONGEST].strip("-")
    yield full
    yield from _numbered(full)


def _own(secret: Secret) -> str:
    return re.sub(r"[^a-z0-9]+", "-", secret.key.lower()).strip("-")[:_LONGEST] or "secret"


def _numbered(name: str) -> Iterator[str]:
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
