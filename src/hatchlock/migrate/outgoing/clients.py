"""What people paste into an application's file: entries that start through hatchlock, or that need none of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatchlock.clients.catalogue import Client
from hatchlock.clients.shape import Address, Start
from hatchlock.launch_parts import SecretReference
from hatchlock.migrate.outgoing.handing import HANDS_ON, OF_PROGRAMS, handed, handing_members, joined
from hatchlock.migrate.outgoing.model import Addressed, Note, Rendered, Started, Withheld
from hatchlock.migrate.outgoing.references import filled, secret_names

__all__ = [
    "Entries",
    "client_file",
    "entry_of",
    "pinned_client_file",
    "pinned_entries",
    "place_of",
    "vscode_inputs",
]

_BY_NAME: Mapping[str, str] = {
    "claude-code": "${{{}}}",
    "continue": "${{{{ secrets.{} }}}}",
    "crush": "${}",
    "cursor": "${{env:{}}}",
    "gemini": "${}",
    "opencode": "{{env:{}}}",
    "vscode": "${{input:{}}}",
    "vscode-insiders": "${{input:{}}}",
    "windsurf": "${{env:{}}}",
}
"""How an application is told to put in what it knows by a name, as its own documentation says."""
_REPLACES: Mapping[str, tuple[str, ...]] = {
    "continue": ("${{",),
    "crush": ("$",),
    "gemini": ("$",),
    "opencode": ("{env:", "{file:"),
}
_USUALLY_REPLACES = ("${",)
"""What in a word or value an application takes for such a name; none of them has a way to write it as it is."""
_ASKS = ("vscode", "vscode-insiders")
"""Those that ask a person, for what stands in `inputs`."""
_BY_HAND = "<{}>"

OwnFields = Mapping[str, Mapping[str, Any]]
"""Server -> the application's own fields of its entry."""
_NONE: OwnFields = {}


def client_file(client: Client, entries: Mapping[str, Mapping[str, Any]], *, file: str) -> Rendered:
    """Return a whole file of an application that lists servers, and nothing else.

    Args:
        client: The application.
        entries: Server -> what stands in the file.
        file: What the file is called.
    """
    data = b""
    for name, value in entries.items():
        data = client.dialect.set(data, name, value)
    return Rendered(files={file: data.decode()} if entries else {}, servers=tuple(entries))


def pinned_client_file(
    client: Client, servers: Sequence[Started | Addressed], *, file: str, own: OwnFields = _NONE
) -> Rendered:
    """Return a whole file of an application whose entries need no hatchlock; see `pinned_entries`."""
    entries = pinned_entries(client, servers, own)
    made = client_file(client, entries.values, file=file)
    files = dict(made.files)
    if client.name in _ASKS and files and (inputs := vscode_inputs(servers, secret_names(servers))):
        files[file] = json.dumps({"inputs": inputs, **json.loads(files[file])}, indent=2) + "\n"
    return Rendered(files=files, servers=made.servers, notes=entries.notes, withheld=entries.withheld)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entries:
    """Entries of an application.

    Attributes:
        values: Server -> what stands in the file.
        notes: What people should know of them.
        withheld: Servers that the application cannot have.
    """

    values: Mapping[str, Mapping[str, Any]]
    notes: tuple[Note, ...]
    withheld: tuple[Withheld, ...]


def pinned_entries(client: Client, servers: Sequence[Started | Addressed], own: OwnFields = _NONE) -> Entries:
    """Return entries of an application that start what the lock has without hatchlock, with its own fields.

    Secrets are what the application puts in or hands on by itself, where it can; else a word in angle brackets for a person to
    replace.
    """
    names = secret_names(servers)
    values: dict[str, Mapping[str, Any]] = {}
    notes: list[Note] = []
    withheld: list[Withheld] = []
    for server in servers:
        try:
            written = client.shape.written(entry_of(server, names, client.name))
        except ValueError as error:
            withheld.append(Withheld(server=server.name, why=f"{client.title}: {error}"))
            continue
        fields = own.get(server.name, {})
        lost = OF_PROGRAMS & fields.keys() if isinstance(server, Addressed) else frozenset[str]()
        kept = {key: value for key, value in fields.items() if key not in lost}
        members = handing_members(server, names, client.name) if client.name in HANDS_ON else {}
        values[server.name] = {**written, **joined(kept, members)}
        notes += _notes(server, names, client)
        if lost:
            what = f"{', '.join(sorted(lost))} of {client.title} is about programs that it starts, and left out"
            notes.append(Note(server=server.name, what=what))
    return Entries(values=values, notes=tuple(notes), withheld=tuple(withheld))


def entry_of(server: Started | Addressed, names: Mapping[str, str], client: str) -> Start | Address:
    """Return what an application does with a server by itself, with secrets as it is told to put them in, if it is told there."""

    def put(values: Mapping[str, str], secrets: Mapping[str, SecretReference]) -> dict[str, str]:
        if client in HANDS_ON:
            return dict(values)
        given = {
            f"{key}_FILE" if reference.as_ == "file" else key: _value(reference, names[reference.secret], client)
            for key, reference in secrets.items()
        }
        return {**values, **given}

    if isinstance(server, Addressed):
        return Address(url=server.url, transport=server.transport, headers=put(server.headers, server.secrets))
    return Start(command=server.words[0], args=server.words[1:], env=put(server.env, server.secrets), cwd=server.cwd)


def place_of(name: str, client: str) -> str:
    """Return what an application replaces by what it knows under a name; a word for people where it replaces nothing."""
    return _BY_NAME.get(client, _BY_HAND).format(name)


def vscode_inputs(servers: Sequence[Started | Addressed], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return `inputs` of VS Code, by which it asks for each secret once, and keeps it."""
    found: dict[str, dict[str, Any]] = {}
    for server in servers:
        for key, reference in server.secrets.items():
            name, is_file = names[reference.secret], reference.as_ == "file"
            what = f"A file with {key} of {server.name}" if is_file else f"{key} of {server.name}"
            asked = {"type": "promptString", "id": name, "description": what}
            found.setdefault(name, asked if is_file else {**asked, "password": True})
    return list(found.values())


def _value(reference: SecretReference, name: str, client: str) -> str:
    place = place_of(name, client)
    return place if reference.as_ == "file" else filled(reference, place)


def _notes(server: Started | Addressed, names: Mapping[str, str], client: Client) -> Iterator[Note]:
    words = server.words if isinstance(server, Started) else (server.url,)
    values = server.env if isinstance(server, Started) else server.headers
    marks = _REPLACES.get(client.name, _USUALLY_REPLACES) if client.name in _BY_NAME else ()
    if any(mark in text for mark in marks for text in (*words, *values.values())):
        what = f"{client.title} replaces what begins with {' or '.join(marks)} in a word or value of it"
        yield Note(server=server.name, what=what)
    if client.name in HANDS_ON:
        whose = "a secret of its own" if client.name == "goose" else "a variable of its own"
        for name, what in handed(server, names, client.name):
            yield Note(server=server.name, what=f"{client.title} takes {what} from {whose}, {name}")
        return
    for key, reference in server.secrets.items():
        place = place_of(names[reference.secret], client.name)
        what = f"a file with {key}" if reference.as_ == "file" else key
        if client.name not in _BY_NAME:
            yield Note(
                server=server.name,
                what=f"write {what} in the place of {place}, by hand: {client.title} is not known to look it up",
            )
        elif client.name not in _ASKS:
            yield Note(server=server.name, what=f"{client.title} takes {what} from its own variables, as {place}")
