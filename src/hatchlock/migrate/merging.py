"""From servers as files have them to servers of one manifest: equal ones are one, different ones have different names. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatchlock.manifest.words import NAME_LENGTH
from hatchlock.migrate.model import Left, Proposed, Secret

__all__ = ["Found", "Merged", "Origin", "entries_beside", "free_name", "is_same", "merged", "references_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a server was found.

    Attributes:
        file: As it is shown.
        line: Where it begins; 0 where the file has no lines.
        entry: Its name there.
        client: The application that lists it; "" for a file that is no application's.
        record: The file as `state.imported` names it; "" where no apply will write into it.
        digest: Of the entry.
    """

    file: str
    line: int
    entry: str
    client: str = ""
    record: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A server of one file."""

    server: Proposed
    origin: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """A server, from every place that has it.

    Attributes:
        name: Its name among those that were read.
        wanted: The name that most of them give it; another one if something different has that.
        fields: The keys of `[servers.NAME]`, without `clients`, and without the secrets.
        secrets: What its tables refer to besides.
        clients: The applications that list it, sorted.
        client_fields: Application -> fields of its own.
        origins: Where it was found, in the order of reading.
        left: What cannot be carried over: the file, and what.
        notes: What is to be said of it.
    """

    name: str
    wanted: str
    fields: Mapping[str, Any]
    secrets: tuple[Secret, ...]
    clients: tuple[str, ...]
    client_fields: Mapping[str, Mapping[str, Any]]
    origins: tuple[Origin, ...]
    left: tuple[tuple[str, Left], ...] = ()
    notes: tuple[str, ...] = ()

    def as_fields(self, references: Mapping[Secret, str]) -> dict[str, Any]:
        """Return the keys of `[servers.NAME]`, every secret as a reference, without `clients`.

        Args:
            references: Secret -> where its value is kept, for each that does not say so itself.
        """
        proposed = Proposed(name=self.name, found_as="", line=0, fields=self.fields, secrets=self.secrets)
        return proposed.with_references(references)


def merged(found: Iterable[Found]) -> tuple[Merged, ...]:
    """Return what was found, equal servers as one, in the order of their first places.

    Two are equal if everything but their name, and what only their applications know of them, is: values of secrets too, and what
    their applications call those for which they ask. One whose name something different has, or another entry of one of its
    files, gets the name of its application, or a number, behind its own.
    """
    groups: dict[str, list[Found]] = {}
    for item in found:
        groups.setdefault(_identity(item.server), []).append(item)
    present: dict[str, set[str]] = {}
    for group in groups.values():
        for item in group:
            present.setdefault(item.origin.record, set()).add(item.origin.entry)
    taken: set[str] = set()
    result = []
    for group in groups.values():
        wanted = _usual_name(group)
        name = free_name(wanted, taken | _of_others(group, present), hint=group[0].origin.client)
        taken.add(name)
        result.append(_one(group, name, wanted))
    return tuple(result)


def entries_beside(server: Merged, servers: Iterable[Merged]) -> dict[str, str]:
    """Return the entries of other servers in the files into which an apply writes this one: their names -> the file.

    Args:
        server: What was read.
        servers: Everything that was.
    """
    own = {(origin.record, origin.entry) for origin in server.origins if origin.record}
    records = {record for record, _ in own}
    every = (origin for other in servers for origin in other.origins)
    return {item.entry: item.file for item in every if item.record in records and (item.record, item.entry) not in own}


def free_name(wanted: str, taken: Iterable[str], *, hint: str = "") -> str:
    """Return a name that nothing has: the wanted one, else with the hint behind it, else with a number."""
    others = set(taken)
    for number in range(len(others) + 3):
        end = "" if number == 0 else f"-{hint}" if number == 1 and hint else f"-{number + 1 - bool(hint)}"
        name = f"{wanted[: NAME_LENGTH - len(end)].rstrip('._-')}{end}"
        if name not in others:
            return name
    raise AssertionError(wanted)


def is_same(server: Merged, fields: Mapping[str, Any]) -> bool:
    """Return whether a manifest's server is this one, whatever its secrets are called there, and whoever lists it.

    Args:
        server: What was read.
        fields: The keys of `[servers.NAME]`.
    """
    named = references_of(server, fields)
    if len(named) != len([secret for secret in server.secrets if not secret.reference]):
        return False
    ours = server.as_fields(named)
    theirs = {key: value for key, value in fields.items() if key not in {"clients", "client"}}
    if "runtime" not in ours:
        theirs.pop("runtime", None)
    return ours == theirs


def references_of(server: Merged, fields: Mapping[str, Any]) -> dict[Secret, str]:
    """Return where a manifest's server has the secrets of this one, as far as it refers to them."""
    found: dict[Secret, str] = {}
    for secret in server.secrets:
        table = fields.get(secret.table)
        value = table.get(secret.key) if isinstance(table, Mapping) else None
        if not secret.reference and isinstance(value, Mapping) and isinstance(value.get("secret"), str):
            found[secret] = value["secret"]
    return found


def _of_others(group: Sequence[Found], present: Mapping[str, set[str]]) -> set[str]:
    """Return the names that entries of other servers have in its files: no entry of ours can be put where one of them stands."""
    own = {(item.origin.record, item.origin.entry) for item in group}
    return {name for record, _ in own if record for name in present[record] if (record, name) not in own}


def _identity(server: Proposed) -> str:
    secrets = sorted(
        (item.table, item.key, item.value, item.reference, item.format, item.asked) for item in server.secrets
    )
    return json.dumps([server.fields, secrets], sort_keys=True, default=dict)


def _usual_name(group: Sequence[Found]) -> str:
    names = Counter(item.server.name for item in group)
    return max(names, key=lambda name: names[name])  # of several the first


def _one(group: Sequence[Found], name: str, wanted: str) -> Merged:
    first = group[0].server
    own: dict[str, Mapping[str, Any]] = {}
    for item in group:
        if item.origin.client and item.server.client_fields:
            own.setdefault(item.origin.client, item.server.client_fields)
    return Merged(
        name=name,
        wanted=wanted,
        fields=first.fields,
        secrets=first.secrets,
        clients=tuple(sorted({name for item in group for name in (item.origin.client, *item.server.clients)} - {""})),
        client_fields=dict(sorted(own.items())),
        origins=tuple(item.origin for item in group),
        left=tuple(_left(group, own)),
        notes=tuple(dict.fromkeys(note for item in group for note in item.server.notes)),
    )


def _left(group: Sequence[Found], own: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Left]]:
    for item in group:
        for left in item.server.left:
            yield item.origin.file, Left(line=left.line, what=f"{item.server.found_as}: {left.what}")
        if item.origin.client and own.get(item.origin.client, {}) != item.server.client_fields:
            what = f"{item.server.found_as}: another entry of {item.origin.client} has this server with other fields, which count"
            yield item.origin.file, Left(line=item.origin.line, what=what)
