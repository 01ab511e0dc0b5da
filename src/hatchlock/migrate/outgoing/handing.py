"""Applications that hand secrets on by their names: no value, and no word for a person to replace, is in their entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hatchlock.launch_parts import SecretReference
from hatchlock.migrate.outgoing.model import Addressed, Started

__all__ = ["HANDS_ON", "OF_PROGRAMS", "handed", "handing_members", "joined"]

HANDS_ON: Mapping[str, str] = {"codex": "env_vars", "goose": "env_keys"}
"""Application -> the member that names variables which it hands on: Codex's own, Goose's own secrets."""
OF_PROGRAMS = frozenset(
    {"env_vars", "env_keys", "envFile", "dev", "sandbox", "sandboxEnabled", "experimental_environment"}
)
"""Fields of applications that are about programs which they start, and no part of an entry with an address."""

_BEARER = "Bearer {}"
_SOMETHING = "…"


def handing_members(server: Started | Addressed, names: Mapping[str, str], client: str) -> dict[str, Any]:
    """Return the members of an entry by which an application of `HANDS_ON` gives a server its secrets.

    Args:
        server: The server.
        names: Reference -> the name of a variable.
        client: The application.
    """
    if not server.secrets:
        return {}
    if isinstance(server, Started):
        return {HANDS_ON[client]: [name for name, _ in handed(server, names, client)]}
    if client == "goose":
        # it puts what it knows into headers, and knows what `env_keys` names
        headers = {key: item.format.replace("{}", f"${{{names[item.secret]}}}") for key, item in server.secrets.items()}
        keys = list(dict.fromkeys(names[item.secret] for item in server.secrets.values()))
        return {"headers": {**server.headers, **headers}, "env_keys": keys}
    by_header = {key: names[item.secret] for key, item in server.secrets.items() if not _is_bearer(key, item)}
    bearer = [names[item.secret] for key, item in server.secrets.items() if _is_bearer(key, item)]
    return {
        **({"bearer_token_env_var": bearer[0]} if bearer else {}),
        **({"env_http_headers": by_header} if by_header else {}),
    }


def handed(server: Started | Addressed, names: Mapping[str, str], client: str) -> Iterator[tuple[str, str]]:
    """Yield each variable that an application of `HANDS_ON` is to know, with what has to be in it.

    A program gets a variable under its own name only, so where a reference has a form around its value the whole of it has
    to be there; of headers the application makes some itself.
    """
    for key, item in server.secrets.items():
        is_made = isinstance(server, Addressed) and (client == "goose" or _is_bearer(key, item))
        whole = f", whole, as {item.format.replace('{}', _SOMETHING)}" if item.format != "{}" and not is_made else ""
        if isinstance(server, Addressed):
            yield names[item.secret], f"{key}{whole}"
        else:
            yield (f"{key}_FILE", f"a file with {key}") if item.as_ == "file" else (key, f"{key}{whole}")


def joined(own: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """Return an application's own fields with the members that hand on secrets; a list of both has what both name, once."""
    return {**own, **{name: _both(own.get(name), value) for name, value in members.items()}}


def _both(own: Any, value: Any) -> Any:
    if not isinstance(own, Sequence) or not isinstance(value, list):
        return value
    known = {item.get("name") if isinstance(item, Mapping) else item for item in own}
    return [*own, *(item for item in value if item not in known)]


def _is_bearer(header: str, reference: SecretReference) -> bool:
    return header.lower() == "authorization" and reference.format == _BEARER
