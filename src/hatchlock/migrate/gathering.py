"""What the readers of other tools' files share: knowing a file when they see it, and putting together what they found."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.manifest.checks import relaxations
from hatchlock.manifest.suspicion import secret_arguments
from hatchlock.migrate import json_lines, yaml_lines
from hatchlock.migrate.document import Document, Part, Unreadable
from hatchlock.migrate.finish import NO_NETWORK
from hatchlock.migrate.fitting import fitted
from hatchlock.migrate.image_use import ImageUse, proposed_image
from hatchlock.migrate.model import Left, Proposed, Reading, Secret, Table
from hatchlock.migrate.names import server_name
from hatchlock.migrate.values import parted, references, unparted

__all__ = [
    "contained",
    "directory_for",
    "each",
    "enriched",
    "gathered",
    "groups",
    "is_over_sse",
    "is_set",
    "kept_elsewhere",
    "members",
    "number",
    "open_places",
    "patterns",
    "reachable",
    "recognised",
    "said",
    "sandboxed",
    "structured",
    "texts",
    "unread",
    "with_values",
    "words",
]

_RELATIVE = re.compile(r"\.{1,2}(?:/.*)?", re.DOTALL)
_SSE = re.compile(r"/sse(?:[/?&]|$)")
_PATTERN = (".", "*")
_KEPT = re.compile(r"[^A-Za-z0-9._-]+")


def structured(data: bytes, *, file: str) -> Document:
    """Read a file of a tool that writes JSON as well as YAML.

    Raises:
        Unreadable: It is neither; with the line.
    """
    is_json = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}
    return json_lines.load(data, file=file) if is_json else yaml_lines.load(data, file=file)


def recognised(
    data: bytes, needed: Collection[str], sign: Callable[[Part], bool], *, load: Callable[..., Document] = structured
) -> bool:
    """Return whether a file is of a kind, by its content; never raises.

    Args:
        data: What it holds.
        needed: Words without which it is not.
        sign: Says it of the whole document; it may take for granted what a file of that kind has.
        load: Reads the form.
    """
    if not all(word.encode() in data for word in needed):
        return False
    try:
        return sign(load(data, file="").root)
    except Unreadable:
        return False


def gathered(document: Document, title: str, found: Iterable[Proposed | Left], *, left: Iterable[Left] = ()) -> Reading:
    """Return a file's reading, with what a manifest takes of it.

    Args:
        document: The file.
        title: What kind it is, for people.
        found: Its servers, and those that cannot be carried over, in its order.
        left: What belongs to no server.
    """
    everything = list(found)
    lost = [*left, *(item for item in everything if isinstance(item, Left))]
    servers = tuple(
        replace(item, left=tuple(sorted(item.left, key=lambda each: each.line)))
        for item in everything
        if isinstance(item, Proposed)
    )
    reading = fitted(Reading(file=document.file, title=title, servers=servers, left=tuple(lost)))
    return replace(reading, left=tuple(sorted(reading.left, key=lambda item: item.line)))


def contained(
    use: ImageUse, *, name: str, line: int, reason: str, made_of: Mapping[str, Any] | None = None
) -> Proposed | Left:
    """Return the server that a tool runs in a container.

    Args:
        use: What the tool says of the container.
        name: The server's name in the file.
        line: Where it begins.
        reason: Why it has what goes beyond the default of a sandbox.
        made_of: The keys that say what is in the container, where the tool makes its image: `source`, or `build`. Then
            `use.image` says nothing.
    """
    if suspects := secret_arguments(use.args, sure=True):
        return Left(
            line=line,
            what=f"`{name}`: its argument {suspects[0] + 1} looks like a secret; give it as a variable that the server reads",
        )
    found = proposed_image(replace(use, image="none") if made_of else use, name=name, line=line)
    if made_of and isinstance(found, Proposed):
        fields = {key: value for key, value in found.fields.items() if key != "source"}
        found = replace(found, fields={**made_of, **fields})
    return sandboxed(found, {}, reason=reason)


def enriched(
    found: Proposed | Left,
    fields: Mapping[str, Any],
    *,
    left: Iterable[Left] = (),
    secrets: Iterable[Secret] = (),
    clients: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> Proposed | Left:
    """Return a server with more of what the file says of it; what is no server stays what it is.

    Args:
        found: The server.
        fields: More keys, over those that it has; empty ones are left out.
        left: What cannot be carried over of it besides.
        secrets: What its tables refer to besides; a literal of the same name gives way.
        clients: Applications that list it.
        notes: What is to be said of it besides.
    """
    if isinstance(found, Left):
        return found
    more = tuple(secrets)
    kept = {**found.fields, **{key: value for key, value in fields.items() if value not in ({}, [], "", None)}}
    for secret in more:
        table = {key: value for key, value in kept.get(secret.table, {}).items() if key != secret.key}
        kept = {key: value for key, value in kept.items() if key != secret.table} | (
            {secret.table: table} if table else {}
        )
    taken = {(secret.table, secret.key) for secret in more}
    before = tuple(secret for secret in found.secrets if (secret.table, secret.key) not in taken)
    return replace(
        found,
        fields=kept,
        clients=(*found.clients, *clients),
        secrets=(*before, *more),
        left=(*found.left, *left),
        notes=tuple(dict.fromkeys((*found.notes, *notes))),
    )


def with_values(found: Proposed | Left, table: Table, values: Mapping[str, str], *, line: int) -> Proposed | Left:
    """Return a server with variables or headers into which the tool puts nothing: a dollar sign in them is one.

    Args:
        found: The server.
        table: Which of the two they are.
        values: Name -> value, as the file has them.
        line: Where the server begins.
    """
    literals, secrets = parted(table, values, expands=False)
    lost = unparted(table, values, line=line, expands=False)
    return enriched(found, {table: literals}, secrets=secrets, left=lost)


def sandboxed(found: Proposed | Left, sandbox: Mapping[str, Any], *, reason: str) -> Proposed | Left:
    """Return a server with more keys in its sandbox, and with a reason where something of it needs one.

    Args:
        found: The server.
        sandbox: More keys, over those that it has; empty ones are left out.
        reason: Why it has what goes beyond the default.
    """
    if isinstance(found, Left):
        return found
    more = {key: value for key, value in sandbox.items() if value not in ({}, [], "", None)}
    kept = {**found.fields.get("sandbox", {}), **more}
    if relaxations(kept):
        kept["reason"] = reason
    notes = tuple(note for note in found.notes if note != NO_NETWORK or "network" not in kept)
    return enriched(replace(found, notes=notes), {"sandbox": kept})


def unread(part: Part, known: Collection[str], why: Mapping[str, str]) -> Iterator[Left]:
    """Yield what of a mapping is not carried over: each key that says something and that nobody reads.

    Args:
        part: The mapping.
        known: The keys that are read, or that only the tool itself needs.
        why: Key -> a clause that says what is there instead; other keys have no counterpart.
    """
    for member in part.members():
        if member.key not in known and member.value not in (None, "", False, 0, [], {}):
            yield member.left(why.get(member.key, "nothing corresponds to it"))


def said(part: Part, key: str, otherwise: str = "") -> str:
    """Return the text below a key.

    Raises:
        Unreadable: There is something else.
    """
    found = part.get(key)
    return otherwise if found is None else found.text()


def words(part: Part, key: str) -> tuple[str, ...]:
    """Return the texts of the list below a key; none if there is no list.

    Raises:
        Unreadable: There is something else.
    """
    found = part.get(key)
    return () if found is None else found.texts()


def each(part: Part, key: str) -> Iterator[Part]:
    """Yield the items of the list below a key; nothing if there is none.

    Raises:
        Unreadable: There is something else.
    """
    found = part.get(key)
    if found is not None:
        yield from found.each()


def members(part: Part, key: str) -> Iterator[Part]:
    """Yield what the keys of the mapping below a key hold, without null; nothing if there is none.

    Raises:
        Unreadable: There is something else.
    """
    found = part.get(key)
    if found is not None:
        yield from (member for member in found.members() if member.value is not None)


def texts(part: Part, key: str) -> dict[str, str]:
    """Return the mapping of texts below a key, without null; an empty one if there is none.

    Raises:
        Unreadable: There is something else.
    """
    return {member.key: member.text() for member in members(part, key)}


def is_set(part: Part, key: str) -> bool:
    """Return whether the switch below a key is on.

    Raises:
        Unreadable: There is something else.
    """
    found = part.get(key)
    return found is not None and found.flag()


def number(part: Part, key: str) -> int:
    """Return the whole number below a key, 0 if there is none.

    Raises:
        Unreadable: There is something else.
    """
    found = part.get(key)
    if found is None:
        return 0
    return int(found.text()) if re.fullmatch(r"\d{1,9}", found.text()) else found.fail("it must be a whole number")


def groups(names: Iterable[str]) -> dict[str, Any]:
    """Return `groups` of a server, by the names that its file has for them; nothing for none."""
    found = list(dict.fromkeys(server_name(name) for name in names if name))
    return {"groups": found} if found else {}


def is_over_sse(url: str) -> bool:
    """Whether a remote server speaks the older protocol, as tools guess it that are not told: by its address."""
    return _SSE.search(url) is not None


def kept_elsewhere(table: Table, key: str, name: str, *, shown: str = "") -> Secret:
    """Return a secret whose value the tool itself keeps, under a name: hatchlock is to keep it under the same.

    Args:
        table: The server's table that refers to it.
        key: The variable, or the header.
        name: What the tool calls it.
        shown: What the value is put into, with `{}` for it; "" for nothing.
    """
    kept = _KEPT.sub("-", name).strip("-._")[:100].removeprefix("login.")
    return Secret(table=table, key=key, reference=f"keyring:{kept}" if kept else "", format=shown)


def reachable(hosts: Iterable[str], ports: Iterable[int] = ()) -> tuple[str, ...]:
    """Return the hosts that a server may reach, as `HOST:PORT`.

    Args:
        hosts: Each with its port, or without; `patterns` says why some are left out.
        ports: Of those without one; 443 if there are none.
    """
    usual = tuple(ports) or (443,)
    named = (host for host in hosts if not host.startswith(_PATTERN))
    every = ((host, (host.partition(":")[2],) if ":" in host else usual) for host in named)
    return tuple(dict.fromkeys(f"{host.partition(':')[0]}:{port}" for host, of_it in every for port in of_it))


def patterns(part: Part, key: str) -> Iterator[Left]:
    """Yield which hosts of the list below a key are patterns, `*.example.com` or `.example.com`.

    Raises:
        Unreadable: There is something else than texts.
    """
    for host in each(part, key):
        if host.text().startswith(_PATTERN):
            why = "hosts are named in full: write those of it that the server reaches into sandbox.network"
            yield Left(line=host.line, what=f"`{host.text()}`: {why}")


def directory_for(every: Iterable[str], directory: Path) -> str:
    """Return where a tool starts a command, if the command depends on that: a word of it is a relative path; else "".

    Args:
        every: The command's words.
        directory: Where the tool's file is.
    """
    return str(directory) if any(_RELATIVE.fullmatch(word) for word in every) else ""


def open_places(every: Iterable[str]) -> tuple[str, ...]:
    """Return what stands in arguments where the tool puts something in that hatchlock does not: `${TOKEN}`."""
    return tuple(dict.fromkeys(place.text for text in every for place in references(text)))
