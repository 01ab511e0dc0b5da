"""What an import does to a manifest: which servers are new, which are there already, which cannot be added. Pure."""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from hatchlock.clients.catalogue import Scope
from hatchlock.errors import HatchlockError, ManyErrors, UsageError
from hatchlock.manifest.edit import add_tables
from hatchlock.manifest.load import loads
from hatchlock.manifest.problem import did_you_mean
from hatchlock.migrate.merging import Known, Merged, Neighbours, Origin, free_name, references_of
from hatchlock.migrate.model import Secret
from hatchlock.migrate.secret_names import named_secrets
from hatchlock.state.imported import Imported

__all__ = ["Decision", "Outcome", "Wishes", "decide"]

State = Literal["added", "there", "conflict", "refused"]
_SHOWN = "hatchlock.toml"
_KEYRING = "keyring:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What whoever imports has said.

    Attributes:
        renames: Name -> the name that its server gets.
        clients: Applications that list every server that is added, besides those in which it was found.
        runtime: Where servers run that do not say it; "" to say nothing.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    runtime: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What becomes of one server that was read.

    Attributes:
        name: Its name in the manifest.
        state: "added"; "there", if the manifest has it already; "conflict", if it has another one of that name; "refused",
            if no manifest may have it.
        server: What was read.
        clients: The applications that list it from now on, sorted.
        references: Its secrets that do not say themselves where their value is -> where it is.
        why: What is wrong, for "refused" and "conflict".
    """

    name: str
    state: State
    server: Merged
    clients: tuple[str, ...] = ()
    references: Mapping[Secret, str] = field(default_factory=dict, repr=False)
    why: str = ""

    @property
    def kept_under(self) -> dict[Secret, str]:
        """Its secrets with a value -> the name under which the store of secrets has them, or would have them."""
        return {
            secret: place.removeprefix(_KEYRING)
            for secret, place in self.references.items()
            if secret.value and place.startswith(_KEYRING)
        }

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Applications in which it was found, and which will not list it."""
        return tuple(name for name in self.server.clients if name not in self.clients)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What an import does.

    Attributes:
        text: The manifest as it will be.
        outcomes: One for each server that was read.
        scopes: Applications that become ones with files of the project.
        environments: The names of the environments that are added.
    """

    text: str
    outcomes: tuple[Outcome, ...]
    scopes: Mapping[str, Scope]
    environments: tuple[str, ...]


def decide(
    text: str,
    servers: Sequence[Merged],
    *,
    environments: Mapping[str, Mapping[str, Any]],
    imported: Iterable[Imported],
    scopes: Mapping[str, Scope],
    wishes: Wishes,
    is_free: Callable[[str, str], bool],
    portable: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> Decision:
    """Decide what an import does.

    Args:
        text: The manifest, which has no mistakes.
        servers: What was read.
        environments: `[environments.X]` tables that they name, of which the manifest has none under these names.
        imported: What earlier imports have read: that is there already, however the manifest has it by now.
        scopes: Application -> whose files are to be written, where the manifest does not say it yet and it is not the user's.
        wishes: What was said.
        is_free: Whether a name may be used for a value of a secret; see `named_secrets`.
        portable: Makes the paths in a manifest's server those that were read: what stands there with its full path is the same.

    Raises:
        UsageError: A rename is about nothing that was read.
    """
    known = tomllib.loads(text).get("servers", {})
    read = [item for item in imported if item.server in known]
    earlier = {(item.file, item.entry, item.digest): item.server for item in read}
    said = Known({name: portable(fields) for name, fields in known.items()})
    beside = Neighbours(origin for server in servers for origin in server.origins)
    taken = set(known)
    usual = loads(text, shown=_SHOWN).manifest.servers
    outcomes: list[Outcome] = []
    fresh: list[Merged] = []
    renamed = _renamed(servers, wishes.renames)
    for server in servers:
        if name := _there(server, said, earlier):
            references = references_of(server, known[name])
            clients = tuple(sorted(usual[name].clients))
            outcomes.append(Outcome(name=name, state="there", server=server, clients=clients, references=references))
        elif (named := renamed.get(server.name, server.name)) in known:
            outcomes.append(Outcome(name=named, state="conflict", server=server, why=_conflict(server, named, read)))
        elif why := _beside(server, named, beside):
            outcomes.append(Outcome(name=named, state="conflict", server=server, why=why))
        else:
            name = free_name(named, partial(_is_taken, names=taken, beside=beside, own=server.origins))
            taken.add(name)
            fresh.append(replace(server, name=name))
    there = [(item.server, item.references) for item in outcomes if item.state == "there"]
    names = named_secrets(fresh, is_free=is_free, known=there)
    base = _Base(text=text, environments=environments, scopes=scopes)
    judged = list(_judged(base, [_draft(server, names, wishes) for server in fresh]))
    added = [draft for draft in judged if draft.outcome.state == "added"]
    return Decision(
        text=base.with_servers(added),
        outcomes=tuple(outcomes) + tuple(draft.outcome for draft in judged),
        scopes=base.needed_scopes(added),
        environments=tuple(base.needed_environments(added)),
    )


def _there(server: Merged, known: Known, earlier: Mapping[tuple[str, str, str], str]) -> str:
    """Return the name that a manifest's server has which is this one; "" if none is."""
    for origin in server.origins:
        if name := earlier.get((origin.record, origin.entry, origin.digest)):
            return name
    return known.same(server)


def _conflict(server: Merged, name: str, read: Iterable[Imported]) -> str:
    """Return why a server is not added whose name another one has."""
    before = {(item.file, item.entry) for item in read if item.server == name}
    if any((origin.record, origin.entry) in before for origin in server.origins):
        return (
            f"it was imported before, and its entry has changed since: `hatchlock remove {name}`, and import it again"
        )
    return f"there is another server of that name: add it with --rename {name}=NAME, or remove the other"


def _beside(server: Merged, name: str, beside: Neighbours) -> str:
    """Return why a server cannot be given a name that another entry of one of its files has, also if that gets a new one itself."""
    if file := beside.file_with(name, server.origins):
        way = f"choose another with --rename {server.name}=NAME"
        return f"{file} has another entry {name!r}, and no two can have one name there: {way}"
    return ""


def _is_taken(name: str, *, names: Container[str], beside: Neighbours, own: Sequence[Origin]) -> bool:
    return name in names or bool(beside.file_with(name, own))


def _renamed(servers: Sequence[Merged], renames: Mapping[str, str]) -> dict[str, str]:
    """Return the names of servers that get another one -> that one.

    A rename is about the server of that name; only where none is called so, about those that wanted it, or whose entries have it.

    Raises:
        UsageError: Nothing that was read is called so.
    """
    known = {name for server in servers for name in _called(server)}
    names = {server.name for server in servers}
    for old in renames:
        if old not in known:
            raise UsageError(
                what=f"--rename {old}={renames[old]}: nothing that was read is called {old!r}",
                advice=did_you_mean(old, known, f"what was read is {', '.join(sorted(known)) or 'no server'}"),
            )
    exact = {old: new for old, new in renames.items() if old in names}
    others = {old: new for old, new in renames.items() if old not in names}
    found = {server.name: next((others[name] for name in _called(server) if name in others), "") for server in servers}
    return {name: new for name, new in found.items() if new} | exact


def _called(server: Merged) -> tuple[str, ...]:
    return (server.name, server.wanted, *(origin.entry for origin in server.origins))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Draft:
    outcome: Outcome
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Base:
    """A manifest, and the tables that servers may need besides their own."""

    text: str
    environments: Mapping[str, Mapping[str, Any]]
    scopes: Mapping[str, Scope]

    def needed_environments(self, drafts: Iterable[_Draft]) -> list[str]:
        return sorted({str(draft.fields.get("environment", "")) for draft in drafts} & self.environments.keys())

    def needed_scopes(self, drafts: Iterable[_Draft]) -> dict[str, Scope]:
        listed = {client for draft in drafts for client in draft.outcome.clients}
        return {client: self.scopes[client] for client in sorted(listed & self.scopes.keys())}

    def with_servers(self, drafts: Sequence[_Draft]) -> str:
        environments = {name: self.environments[name] for name in self.needed_environments(drafts)}
        scopes = {client: {"scope": scope} for client, scope in self.needed_scopes(drafts).items()}
        text = add_tables(add_tables(self.text, "environments", environments), "clients", scopes)
        return add_tables(text, "servers", {draft.outcome.name: draft.fields for draft in drafts})

    def wrong_with(self, drafts: Sequence[_Draft]) -> str:
        """Return what is wrong with the manifest that has these servers, "" for nothing."""
        try:
            loads(self.with_servers(drafts), shown=_SHOWN)
        except ManyErrors as found:
            return "; ".join(dict.fromkeys(_said(error) for error in found.errors))
        return ""


def _draft(server: Merged, names: Mapping[tuple[str, Secret], str], wishes: Wishes) -> _Draft:
    references = {
        secret: f"{_KEYRING}{names[server.name, secret]}" for secret in server.secrets if not secret.reference
    }
    clients = tuple(sorted({*server.clients, *wishes.clients}))
    fields = server.as_fields(references)
    if wishes.runtime and _may_choose(fields):
        fields["runtime"] = wishes.runtime
    if clients:
        fields["clients"] = list(clients)
    if server.client_fields:
        fields["client"] = {client: dict(own) for client, own in server.client_fields.items()}
    outcome = Outcome(name=server.name, state="added", server=server, clients=clients, references=references)
    return _Draft(outcome=outcome, fields=fields)


def _may_choose(fields: Mapping[str, Any]) -> bool:
    return "runtime" not in fields and "source" in fields and not str(fields["source"]).startswith("oci:")


def _judged(base: _Base, drafts: Sequence[_Draft]) -> Iterator[_Draft]:
    """Yield each server, refused if a manifest may not have it: by itself, or with those before it.

    The manifest is read for all at once, and again only for parts of them where that is wrong: there may be thousands.
    """
    if not drafts or not base.wrong_with(drafts):
        yield from drafts
        return
    wrong = dict(_wrong_alone(base, drafts))
    good = [draft for draft in drafts if draft.outcome.name not in wrong]
    wrong |= _wrong_together(base, good)
    for draft in drafts:
        why = wrong.get(draft.outcome.name)
        yield replace(draft, outcome=replace(draft.outcome, state="refused", why=why)) if why else draft


def _wrong_alone(base: _Base, drafts: Sequence[_Draft]) -> Iterator[tuple[str, str]]:
    why = base.wrong_with(drafts)
    if why and len(drafts) == 1:
        yield drafts[0].outcome.name, why
    elif why:
        middle = len(drafts) // 2
        yield from _wrong_alone(base, drafts[:middle])
        yield from _wrong_alone(base, drafts[middle:])


def _wrong_together(base: _Base, drafts: Sequence[_Draft]) -> dict[str, str]:
    """Return those with which the manifest goes wrong, one after another, although each by itself is right."""
    wrong: dict[str, str] = {}
    before: list[_Draft] = []
    rest = drafts
    while base.wrong_with([*before, *rest]):
        first = bisect_left(range(1, len(rest)), 1, key=lambda size: bool(base.wrong_with([*before, *rest[:size]])))
        wrong[rest[first].outcome.name] = base.wrong_with([*before, *rest[: first + 1]])
        before += rest[:first]
        rest = rest[first + 1 :]
    return wrong


def _said(error: HatchlockError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)
