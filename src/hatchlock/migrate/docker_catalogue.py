"""A server of Docker's MCP catalogue, with the configuration that its places are filled from.

The form is that of `pkg/catalog/types.go` and of docs/server-entry-spec.md of docker/mcp-gateway; how its places are filled is
that of `pkg/gateway/clientpool.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.clients.shape import Address
from hatchlock.migrate.docker_places import filled, filled_list
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import (
    contained,
    each,
    enriched,
    is_over_sse,
    is_set,
    kept_elsewhere,
    open_places,
    patterns,
    reachable,
    said,
    texts,
    unread,
    words,
)
from hatchlock.migrate.image_use import ImageUse, Mount
from hatchlock.migrate.model import Left, Proposed, Secret
from hatchlock.migrate.names import server_name
from hatchlock.migrate.translate import translated
from hatchlock.migrate.values import references

__all__ = ["is_entry", "of_catalogue"]

_REASON = "permitted by Docker's catalogue"
_READ = frozenset(
    {
        *("name", "type", "image", "description", "remote", "sseEndpoint", "oauth", "secrets", "env", "command"),
        *("volumes", "user", "disableNetwork", "allowHosts", "config"),
    }
)
_SHOWN = frozenset(
    {
        *(
            "title",
            "icon",
            "readme",
            "readmeUrl",
            "tools",
            "toolsUrl",
            "metadata",
            "policy",
            "prompts",
            "resources",
            "ref",
        ),
        *(
            "source",
            "upstream",
            "dateAdded",
            "category",
            "tags",
            "owner",
            "license",
            "longLived",
            "about",
            "pulls",
            "stars",
        ),
        *("githubStars", "documentation", "examples", "mcpServers"),
    }
)
"""What is only shown of a server, and how long its container lives: hatchlock's lives as long as its session."""
_WHY = {
    "extraHosts": "names of hosts come from DNS and this machine's /etc/hosts",
    "prefix": "tools keep the names that the server gives them",
}


def is_entry(part: Part) -> bool:
    """Whether a document is a server of a catalogue, alone."""
    return said(part, "type") in {"server", "remote", "poci"} and (
        "image" in part or "remote" in part or "tools" in part
    )


def of_catalogue(part: Part, *, name: str, line: int, config: Mapping[str, Any] | None) -> Proposed | Left:
    """Return the server that a catalogue describes.

    Args:
        part: The catalogue's entry.
        name: Its name.
        line: Where the file that is imported names it.
        config: What its places are filled from, as the user has set it; None where nothing is known of that.

    Raises:
        Unreadable: The entry has another form.
    """
    if said(part, "type") == "poci" or not ("image" in part or "remote" in part or said(part, "sseEndpoint")):
        return Left(line=line, what=f"`{name}`: each of its tools starts a container, and hatchlock starts servers")
    given = {name: config or {}}
    secrets = {
        item.need("env").text(): kept_elsewhere("env", item.need("env").text(), item.need("name").text())
        for item in each(part, "secrets")
    }
    remote = part.get("remote")
    url = said(remote, "url") if remote else ""
    if url or said(part, "sseEndpoint"):
        found = _remote(part, remote, secrets, name=name, line=line)
        notes = _login(part, name)
    else:
        found = _image(part, given, secrets, name=name, line=line)
        notes = _network(part)
    description = said(part, "description").strip().partition("\n")[0]
    return enriched(
        found,
        {"description": description},
        left=(
            *_missing(part, found, given, line),
            *(Left(line=line, what=item.what) for item in unread(part, _READ | _SHOWN, _WHY)),
        ),
        notes=(*_set_again(found), *notes),
    )


def _remote(part: Part, remote: Part | None, secrets: Mapping[str, Secret], *, name: str, line: int) -> Proposed | Left:
    url = said(remote, "url") if remote else ""
    how = said(remote, "transport_type") if remote else ""
    address = url or said(part, "sseEndpoint")
    is_old = how == "sse" or not url or (not how and is_over_sse(address))
    given = texts(remote, "headers") if remote else {}
    known = {key: _of_secret(key, value, secrets) for key, value in given.items()}
    plain = {key: value for key, value in given.items() if known[key] is None}
    found = translated(Address(url=address, transport="sse" if is_old else "http", headers=plain), name=name, line=line)
    return enriched(found, {}, secrets=[secret for secret in known.values() if secret])


def _of_secret(header: str, value: str, secrets: Mapping[str, Secret]) -> Secret | None:
    """Return a header whose one place is a secret of the entry: `Bearer ${TOKEN}`."""
    places = references(value)
    secret = secrets.get(places[0].place.removeprefix("env:")) if len(places) == 1 else None
    if secret is None:
        return None
    shown = value.replace(places[0].text, "{}")
    return Secret(table="headers", key=header, reference=secret.reference, format="" if shown == "{}" else shown)


def _image(
    part: Part, given: Mapping[str, Any], secrets: Mapping[str, Secret], *, name: str, line: int
) -> Proposed | Left:
    command = filled_list(words(part, "command"), given)
    if places := open_places(command.texts):
        return Left(line=line, what=f"`{name}`: hatchlock puts nothing into arguments, and Docker does for {places[0]}")
    env = {item.need("name").text(): filled(item.need("value").text(), given) for item in each(part, "env")}
    volumes = filled_list(words(part, "volumes"), given)
    is_closed = is_set(part, "disableNetwork")
    use = ImageUse(
        image=part.need("image").text(),
        args=command.texts,
        env={key: value.text for key, value in env.items() if value.text and not _names(value.text, secrets)},
        mounts=tuple(Mount.parse(text) for text in volumes.texts if text),
        hosts=() if is_closed else reachable(words(part, "allowHosts")),
        limits={"network": "none"} if is_closed else {},
        user=filled(said(part, "user"), given).text,
    )
    found = contained(use, name=name, line=line, reason=_REASON)
    put = [_put_into(key, value.text, secrets) for key, value in env.items() if _names(value.text, secrets)]
    lost = [f"`{key}`: {why}" for key, value in env.items() for why in value.lost]
    lost += [
        f"`{item.key}`: it is put together from several parts; set it to the whole value"
        for item in put
        if not item.reference
    ]
    lost += [f"`{key}`: {why}" for key, value in (("command", command), ("volumes", volumes)) for why in value.lost]
    return enriched(
        found,
        {},
        secrets=(*secrets.values(), *put),
        left=[*(Left(line=line, what=what) for what in lost), *(() if is_closed else patterns(part, "allowHosts"))],
    )


def _names(text: str, secrets: Mapping[str, Secret]) -> bool:
    return any(place.place.removeprefix("env:") in secrets for place in references(text))


def _put_into(key: str, text: str, secrets: Mapping[str, Secret]) -> Secret:
    """Return a variable that a secret of the entry is put into: `postgres://user:${PASSWORD}@db`."""
    found = _of_secret(key, text, secrets)
    if found is None or set("{}") & set(found.format.replace("{}", "", 1)):
        return Secret(table="env", key=key)
    return Secret(table="env", key=key, reference=found.reference, format=found.format)


def _network(part: Part) -> Iterator[str]:
    if not words(part, "allowHosts") and not is_set(part, "disableNetwork"):
        yield "Docker gave it the internet"


def _login(part: Part, name: str) -> Iterator[str]:
    if "oauth" in part:
        yield f"log in with `hatchlock login {server_name(name)}`"


def _set_again(found: Proposed | Left) -> Iterator[str]:
    secrets = found.secrets if isinstance(found, Proposed) else ()
    for kept in dict.fromkeys(secret.reference for secret in secrets if secret.reference.startswith("keyring:")):
        yield f"its secret is in Docker's own store, as {kept.removeprefix('keyring:')}: set it here too"


def _missing(part: Part, found: Proposed | Left, given: Mapping[str, Any], line: int) -> Iterator[Left]:
    """Yield what the entry asks a person for, and nobody has said."""
    said_before = found.left if isinstance(found, Proposed) else ()
    for schema in each(part, "config"):
        of_it = said(schema, "name")
        for key in words(schema, "required"):
            place = f"{of_it}.{key}"
            if not any(place in item.what for item in said_before) and filled(f"{{{{{place}}}}}", given).lost:
                yield Left(line=line, what=f"`{place}`: the server needs it, and it is not set")
