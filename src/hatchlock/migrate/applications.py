"""Reading an application's own file: each entry as a server of a manifest, and what only the application knows of it.

What the application's record in the catalogue says (dialect, shape, fields of its own) decides how a file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hatchlock.clients.catalogue import Client
from hatchlock.clients.dialect import Entry
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.shape import Address, Shape, Start
from hatchlock.clients.writer import entry_digest
from hatchlock.manifest.client_fields import FOR_REMOTE
from hatchlock.manifest.suspicion import looks_secret
from hatchlock.migrate.env_files import FileVariables, file_variables
from hatchlock.migrate.model import Left, Proposed, Reading, Secret
from hatchlock.migrate.no_servers import misspelt, mistyped
from hatchlock.migrate.repeated import repeated
from hatchlock.migrate.translate import translated
from hatchlock.migrate.vscode_inputs import unused_inputs
from hatchlock.place import Lines

__all__ = ["ApplicationReading", "read_application", "readable_entries"]

_NO_SERVERS: Mapping[str, frozenset[str]] = {"goose": frozenset({"builtin", "platform", "frontend", "inline_python"})}
"""Application -> values of `type` whose entries are parts of the application, and no servers."""
_PROGRAM = "hatchlock"
_ENV_FILE = "envFile"
_WORKSPACE = r"\$\{workspace(?:Folder|Root)\}"
_EACH = 'what it holds reaches hatchlock alone; name each variable: env.NAME = { secret = "file:PATH#NAME" }'


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationReading:
    """An application's file, read.

    Attributes:
        reading: Its servers.
        digests: Entry -> `entry_digest` of what it is, for those that became servers.
        ours: Entries that start a server through hatchlock already, and were passed over.
    """

    reading: Reading
    digests: Mapping[str, str] = field(default_factory=dict)
    ours: tuple[str, ...] = ()


def read_application(
    client: Client, data: bytes, *, file: str, directory: str = "", is_its_own: bool = True
) -> ApplicationReading:
    """Read a file of an application.

    Args:
        client: Which; its dialect says where in the file the servers are.
        data: What the file holds.
        file: Its path, as it is shown.
        directory: Where the application starts its servers, for a file of a project; "" where nobody knows.
        is_its_own: Whether the file is surely that application's. If not, what only the application knows is listed as what
            cannot be carried over.

    Raises:
        Unparsable: It is not of the application's form.
    """
    servers: list[Proposed] = []
    left: list[Left] = []
    digests: dict[str, str] = {}
    ours: list[str] = []
    lines = Lines(data)
    for name, entry in _entries(client, data, file):
        line = lines.at(entry.span[0])
        meant = _meant(client, entry.value)
        if meant is None:
            left.append(
                Left(line=line, what=f"`{name}` neither starts a server nor has the address of one{_why(entry)}")
            )
        elif _is_ours(meant):
            ours.append(name)
        else:
            variables = _variables(client, entry.value, meant, directory)
            start = replace(meant, env={**variables.env, **meant.env}) if isinstance(meant, Start) else meant
            start = _in_project(start, directory) if isinstance(start, Start) and directory else start
            found = translated(start, name=name, line=line, directory=directory)
            if isinstance(found, Left):
                left.append(found)
                continue
            own = _Own(client, entry, data, lines)
            servers.append(_with_own(client, found, own, start, variables=variables, is_its_own=is_its_own))
            digests[name] = entry_digest(entry.value)
    if isinstance(client.dialect, JsonObject):
        left += repeated(data, client.dialect)
    if is_its_own and servers and client.name.startswith("vscode"):
        staying = (str(entry.value) for name, entry in _entries(client, data, file) if name not in digests)
        left += unused_inputs(data, file=file, staying=staying)
    reading = Reading(file=file, title=client.title, servers=tuple(servers), left=tuple(left))
    return ApplicationReading(reading=reading, digests=digests, ours=tuple(ours))


def readable_entries(client: Client, data: bytes, *, file: str) -> tuple[int, int]:
    """Return how many entries of a file mean something to an application, and how many members it would not know.

    Raises:
        Unparsable: It is not of the application's form.
    """
    meant = [entry for _, entry in _entries(client, data, file) if _meant(client, entry.value)]
    lines = Lines(data)
    return len(meant), sum(len(_Own(client, entry, data, lines).unknown) for entry in meant)


def _entries(client: Client, data: bytes, file: str) -> Iterator[tuple[str, Entry]]:
    no_servers = _NO_SERVERS.get(client.name, frozenset())
    for name, entry in client.dialect.read(data, path=file).items():
        kind = entry.value.get("type") if isinstance(entry.value, Mapping) else None
        if not (isinstance(kind, str) and kind in no_servers) and not _holds_entries(client, entry.value):
            yield name, entry


def _holds_entries(client: Client, value: Any) -> bool:
    """Whether it is no entry, but another version's table of them: OpenCode 2 has `mcp.servers` where 1 has servers."""
    if not isinstance(value, Mapping) or _meant(client, value) is not None:
        return False
    return all(isinstance(item, Mapping) for item in value.values())


def _meant(client: Client, value: Any) -> Start | Address | None:
    """Return what an entry means; one of a kind that the application has given up is still read as it was.

    Numbers and booleans among its arguments and variables are the text that whoever wrote them meant.
    """
    meant = client.shape.read(_in_text(_flat(value, client.shape), client.shape))
    if isinstance(meant, Address) and "sse" in [value.get("type"), value.get("transport")]:
        return replace(meant, transport="sse")
    return meant


def _why(entry: Entry) -> str:
    if not isinstance(entry.value, Mapping):
        return ""
    if wrong := mistyped(entry.value):
        return f"; `{wrong[0]}` has to be {wrong[1]}"
    found = misspelt(entry.value)
    return f"; is `{found[0]}` meant to be `{found[1]}`?" if found else ""


def _flat(value: Any, shape: Shape) -> Any:
    """Return an entry as it is now where it has the form of older versions of Zed: a table `command` with `path` and the rest."""
    table = value.get(shape.command) if isinstance(value, Mapping) else None
    if not isinstance(table, Mapping) or not isinstance(table.get("path"), str):
        return value
    return {
        **value,
        **{name: table[name] for name in (shape.args, shape.env) if name in table},
        shape.command: table["path"],
    }


def _in_text(value: Any, shape: Shape) -> Any:
    if not isinstance(value, Mapping):
        return value
    is_left_out = {shape.args, shape.env, shape.cwd}
    changed = {name: item for name, item in value.items() if item is not None or name not in is_left_out}
    if isinstance(table := value.get(shape.env), Mapping):
        changed[shape.env] = {name: _as_text(item) for name, item in table.items()}
    if isinstance(words := value.get(shape.args or shape.command), list):
        changed[shape.args or shape.command] = [_as_text(item) for item in words]
    return changed


def _as_text(item: Any) -> Any:
    if isinstance(item, bool):
        return "true" if item else "false"
    return str(item) if isinstance(item, int | float) else item


def _variables(client: Client, value: Any, meant: Start | Address, directory: str) -> FileVariables:
    """Return what an entry gets from the file that it names; its own variables go before these."""
    written = value.get(_ENV_FILE)
    if not isinstance(meant, Start) or not isinstance(written, str) or _ENV_FILE not in client.fields:
        return FileVariables()
    return file_variables(written, directory=directory)


def _in_project(start: Start, directory: str) -> Start:
    """Return an entry of a project's file with relative paths for those that begin with the project's directory."""
    cwd = re.sub(rf"^{_WORKSPACE}(?=/|$)", lambda _: directory, start.cwd)
    words = [re.sub(rf"^{_WORKSPACE}(?=/|$)", ".", word) for word in (start.command, *start.args)]
    return replace(start, command=words[0], args=tuple(words[1:]), cwd=cwd)


def _is_ours(meant: Start | Address) -> bool:
    return isinstance(meant, Start) and Path(meant.command).name == _PROGRAM and meant.args[:1] == ("run",)


def _handing_on(client: Client, kept: Mapping[str, Any], secrets: Iterable[Secret]) -> dict[str, Any]:
    """Return the fields of an entry with which the application hands on the variables that we look for values in.

    Codex gives the programs that it starts no variables but those that `env_vars` names.
    """
    if "env_vars" not in client.fields:
        return dict(kept)
    listed = kept.get("env_vars", [])
    named = [item.get("name") if isinstance(item, Mapping) else item for item in listed]
    variables = [item.reference.partition(":")[2] for item in secrets if item.reference.startswith("env:")]
    more = [name for name in dict.fromkeys(variables) if name not in named]
    return {**kept, "env_vars": [*listed, *more]} if more else dict(kept)


def _with_own(
    client: Client, found: Proposed, own: _Own, meant: Start | Address, *, variables: FileVariables, is_its_own: bool
) -> Proposed:
    table = "env" if isinstance(meant, Start) else "headers"
    taken = {secret.key for secret in found.secrets} | set(found.fields.get(table, {}))
    more = tuple(secret for secret in own.secrets if secret.table == table and secret.key not in taken)
    if variables.is_read:
        own.kept.pop(_ENV_FILE, None)
    unread = (own.as_left(_ENV_FILE, f"{variables.why}; {_EACH}"),) if variables.why else ()
    kept = _handing_on(client, own.kept, (*found.secrets, *more)) if is_its_own else {}
    theirs = (
        ()
        if is_its_own
        else tuple(own.as_left(name, "only the application whose file it is has it") for name in own.kept)
    )
    return replace(
        found,
        secrets=(*found.secrets, *more),
        client_fields=kept,
        left=(*found.left, *own.left, *theirs, *unread),
    )


class _Own:
    """The members of an entry that are neither its command nor its address.

    Attributes:
        kept: Those that `client.NAME` may have.
        secrets: Variables and headers that they name.
        left: Those that cannot be carried over.
        unknown: The names of those that the application does not know itself, as far as we know.
    """

    def __init__(self, client: Client, entry: Entry, data: bytes, lines: Lines) -> None:
        self._entry = entry
        self._data = data
        self._lines = lines
        self.kept: dict[str, Any] = {}
        self.left: list[Left] = []
        self.unknown: list[str] = []
        self.secrets = tuple(_named(entry.value))
        used = _used(client.shape, entry.value)
        self.left += [self.as_left(name, "it is no text") for name in _no_texts(client.shape, entry.value)]
        for name, value in entry.value.items():
            is_as_written = client.shape.fixed.get(name) == value
            if value is not None and not is_as_written and (name not in used or name in client.fields):
                self._take(client, str(name), value)

    def _take(self, client: Client, name: str, value: Any) -> None:
        known = client.fields.get(name)
        if known is not None and known.fits(value):
            if isinstance(value, str) and looks_secret(name, value):
                self.left.append(self.as_left(name, "it looks like a secret"))
            else:
                self.kept[name] = value
        elif known is not None:
            self.left.append(self.as_left(name, f"it is not {known}"))
        elif name in FOR_REMOTE and name in _REFERRING:
            pass  # what it names is among the secrets
        elif name in FOR_REMOTE:
            self.left.append(self.as_left(name, "the application does not connect to it itself any more"))
        elif name not in _MEANS_NOTHING:
            self.unknown.append(name)
            self.left.append(self.as_left(name, f"no field of {client.title}'s entries that is known"))

    def as_left(self, name: str, why: str) -> Left:
        """Return that a member cannot be carried over, with its own line."""
        first, end = self._entry.span
        at = self._data.find(name.encode(errors="surrogatepass"), first, end)
        return Left(line=self._lines.at(max(at, first)), what=f"`{name}`: {why}")


_KEY_OF_VIBE = frozenset({"api_key_env", "api_key_header", "api_key_format"})
_REFERRING = frozenset({"bearer_token_env_var", "env_http_headers"}) | _KEY_OF_VIBE
_PLACEHOLDER = re.compile(r"\{\w*\}")
_MEANS_NOTHING = frozenset({"source", "name", "type", "transport"})
"""Members that only say of which kind an entry is."""


def _no_texts(shape: Shape, value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of an entry's variables and headers that have no text, and nothing that could be read as one."""
    headers = {item.headers: str for item in (shape.http, shape.sse) if item}
    for table, kinds in {**headers, shape.env: str | int | float}.items():
        held = value.get(table)
        for name, item in held.items() if isinstance(held, Mapping) else ():
            if item is not None and not isinstance(item, kinds):
                yield str(name)


def _named(value: Mapping[str, Any]) -> Iterator[Secret]:
    """Yield the variables and headers that fields of an application name: Codex's, Vibe's, and Goose's own secrets."""
    token = value.get("bearer_token_env_var")
    if isinstance(token, str) and token:
        yield Secret(table="headers", key="Authorization", reference=f"env:{token}", format="Bearer {}")
    headers = value.get("env_http_headers")
    for header, variable in headers.items() if isinstance(headers, Mapping) else ():
        if isinstance(variable, str) and variable:
            yield Secret(table="headers", key=str(header), reference=f"env:{variable}")
    yield from _keys_of_vibe(value)
    for field_name in ("env_vars", "env_keys"):
        listed = value.get(field_name)
        for item in listed if isinstance(listed, list) else ():
            name = item.get("name") if isinstance(item, Mapping) else item
            if isinstance(name, str) and name:
                yield Secret(table="env", key=name, reference=f"env:{name}")


def _keys_of_vibe(value: Mapping[str, Any]) -> Iterator[Secret]:
    """Yield the header of a key, in the table `auth` or, as older versions have it, in the entry itself."""
    for table in (value, value.get("auth")):
        variable = table.get("api_key_env") if isinstance(table, Mapping) else None
        if isinstance(table, Mapping) and isinstance(variable, str) and variable:
            form = _PLACEHOLDER.sub("{}", str(table.get("api_key_format", "Bearer {token}")))
            yield Secret(
                table="headers",
                key=str(table.get("api_key_header", "Authorization")),
                reference=f"env:{variable}",
                format="" if form == "{}" else form,
            )


def _used(shape: Shape, value: Mapping[str, Any]) -> set[str]:
    """Return the members of an entry that say how its server is started or reached, and nothing besides."""
    addresses = [item for item in (shape.http, shape.sse) if item]
    tables = {item.below: {item.headers, *item.beside, *_KEY_OF_VIBE} for item in addresses if item.below}
    more = {name for name, known in tables.items() if not _has_only(value.get(name), known)}
    of_addresses = {name for item in addresses for name in item.members}
    return ({shape.command, shape.args, shape.env, shape.cwd, *shape.fixed} | of_addresses) - more


def _has_only(table: Any, known: AbstractSet[str]) -> bool:
    return isinstance(table, Mapping) and set(table) <= known
