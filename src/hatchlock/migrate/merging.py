"""From servers as files have them to servers of one manifest: equal ones are one, different ones have different names. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from hatchlock.manifest.words import NAME_LENGTH
from hatchlock.migrate.model import Left, Proposed, Secret

__all__ = ["Found", "Known", "Merged", "Neighbours", "Origin", "free_name", "merged", "references_of"]


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
    beside = Neighbours(item.origin for group in groups.values() for item in group)
    taken: set[str] = set()
    result = []
    for group in groups.values():
        wanted = _usual_name(group)
        is_taken = partial(_is_taken, names=taken, beside=beside, group=group)
        name = free_name(wanted, is_taken, hint=group[0].origin.client)
        taken.add(name)
        result.append(_one(group, name, wanted))
    return tuple(result)


class Neighbours:
    """The entries of everything that was read, by the files into which an apply writes: no two can have one name there.

    Args:
        origins: Where everything was found.
    """

    def __init__(self, origins: Iterable[Origin]) -> None:
        self._entries: dict[str, dict[str, str]] = {}
        for origin in origins:
            if origin.record:
                self._entries.setdefault(origin.record, {})[origin.entry] = origin.file

    def file_with(self, name: str, own: Iterable[Origin]) -> str:
        """Return the file, as it is shown, in which another entry has a name; "" for none.

        Args:
            name: The name.
            own: Where the server was found that is to have it: only the files of these matter.
        """
        places = {(origin.record, origin.entry) for origin in own if origin.record}
        for record in dict.fromkeys(origin.record for origin in own if origin.record):
            if (record, name) not in places and (file := self._entries[record].get(name)):
                return file
        return ""


def free_name(wanted: str, is_taken: Callable[[str], bool], *, hint: str = "") -> str:
    """Return a name that nothing has: the wanted one, else with the hint behind it, else with a number."""
    for number in count():
        end = "" if number == 0 else f"-{hint}" if number == 1 and hint else f"-{number + 1 - bool(hint)}"
        name = f"{wanted[: NAME_LENGTH - len(end)].rstrip('._-')}{end}"
        if not is_taken(name):
            return name
    raise AssertionError(wanted)


class Known:
    """The servers of a manifest, to find those that were read among them.

    Args:
        servers: Name -> the keys of `[servers.NAME]`.
    """

    def __init__(self, servers: Mapping[str, Mapping[str, Any]]) -> None:
        self._servers = servers
        self._alike: dict[str, list[str]] = {}
        for name, fields in servers.items():
            self._alike.setdefault(_essence(fields), []).append(name)

    def same(self, server: Merged) -> str:
        """Return the name of the server that is this one, whatever its secrets are called there, and whoever lists it.

        One that has its name goes before others; "" for none.
        """
        alike = self._alike.get(_essence(server.fields), ())
        first = [name for name in (server.name, server.wanted) if name in alike]
        return next((name for name in (*first, *alike) if _is_same(server, self._servers[name])), "")


def _essence(fields: Mapping[str, Any]) -> str:
    """Return what two servers have in common that are the same, to find them by."""
    essential = [fields.get(key) for key in ("source", "url", "build", "command", "args")]
    return json.dumps(
        essential, sort_keys=True, default=lambda item: dict(item) if isinstance(item, Mapping) else str(item)
    )


def _is_same(server: Merged, fields: Mapping[str, Any]) -> bool:
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


def _is_taken(name: str, *, names: Container[str], beside: Neighbours, group: Sequence[Found]) -> bool:
    return name in names or bool(beside.file_with(name, [item.origin for item in group]))


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
