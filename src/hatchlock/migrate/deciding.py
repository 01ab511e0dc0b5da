"""What an import does to a manifest: which servers are new, which are there already, which cannot be added. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hatchlock.clients.catalogue import Scope
from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.manifest.edit import add_server, add_table
from hatchlock.manifest.load import loads
from hatchlock.migrate.merging import Merged, free_name, is_same, references_of
from hatchlock.migrate.model import Left, Secret
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
        why: What is wrong, for "refused".
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
    """
    known = tomllib.loads(text).get("servers", {})
    earlier = {(item.file, item.entry, item.digest): item.server for item in imported if item.server in known}
    usual = loads(text, shown=_SHOWN).manifest.servers
    outcomes: list[Outcome] = []
    fresh: list[Merged] = []
    for server in servers:
        if name := _there(server, known, earlier):
            references = references_of(server, known[name])
            clients = tuple(sorted(usual[name].clients))
            outcomes.append(Outcome(name=name, state="there", server=server, clients=clients, references=references))
        elif (named := _named(server, wishes)) in known:
            outcomes.append(Outcome(name=named, state="conflict", server=server))
        else:
            taken = {*known, *(item.name for item in fresh)}
            fresh.append(replace(server, name=free_name(named, taken)))
    names = named_secrets(fresh, is_free=is_free)
    base = _with_tables(text, environments, scopes)
    drafts = [_draft(server, names, wishes) for server in fresh]
    judged = list(_judged(base, drafts, known))
    added = [(outcome, fields) for outcome, fields in judged if outcome.state == "added"]
    used = {fields["environment"] for _, fields in added if "environment" in fields} & environments.keys()
    listed = {client for outcome, _ in added for client in outcome.clients}
    needed = {client: scope for client, scope in scopes.items() if client in listed}
    final = _with_tables(text, {name: environments[name] for name in sorted(used)}, needed)
    for outcome, fields in added:
        final = add_server(final, outcome.name, fields)
    everything = {id(outcome.server): outcome for outcome in (*outcomes, *(outcome for outcome, _ in judged))}
    return Decision(text=final, outcomes=tuple(everything.values()), scopes=needed, environments=tuple(sorted(used)))


def _there(server: Merged, known: Mapping[str, Any], earlier: Mapping[tuple[str, str, str], str]) -> str:
    """Return the name that a manifest's server has which is this one; "" if none is."""
    for origin in server.origins:
        if name := earlier.get((origin.record, origin.entry, origin.digest)):
            return name
    first = [name for name in (server.name, server.wanted) if name in known]
    return next((name for name in (*first, *known) if is_same(server, known[name])), "")


def _named(server: Merged, wishes: Wishes) -> str:
    found = (server.name, server.wanted, *(origin.entry for origin in server.origins))
    return next((wishes.renames[name] for name in found if name in wishes.renames), server.name)


def _draft(server: Merged, names: Mapping[tuple[str, Secret], str], wishes: Wishes) -> tuple[Outcome, dict[str, Any]]:
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
    return outcome, fields


def _may_choose(fields: Mapping[str, Any]) -> bool:
    return "runtime" not in fields and "source" in fields and not str(fields["source"]).startswith("oci:")


def _judged(
    base: str, drafts: Sequence[tuple[Outcome, dict[str, Any]]], known: Mapping[str, Any]
) -> Iterator[tuple[Outcome, dict[str, Any]]]:
    """Yield each server, refused if a manifest may not have it: first each by itself, then, if need be, all in their order."""
    alone = [(outcome, fields, _wrong(base, [(outcome.name, fields)])) for outcome, fields in drafts]
    good = [(outcome.name, fields) for outcome, fields, wrong in alone if not wrong]
    is_good = len(good) < 2 or not _wrong(base, good)
    before: list[tuple[str, dict[str, Any]]] = []
    for outcome, fields, by_itself in alone:
        wrong = by_itself or ("" if is_good else _wrong(base, [*before, (outcome.name, fields)]))
        if wrong:
            yield replace(outcome, state="refused", why=wrong), fields
            continue
        before.append((outcome.name, fields))
        yield outcome, fields


def _wrong(base: str, servers: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Return what is wrong with a manifest that has these servers, "" for nothing."""
    text = base
    for name, fields in servers:
        text = add_server(text, name, fields)
    try:
        loads(text, shown=_SHOWN)
    except ManyErrors as found:
        return "; ".join(dict.fromkeys(_said(error) for error in found.errors))
    return ""


def _said(error: HatchlockError) -> str:
    return f"{error} ({error.hint})" if error.hint else str(error)


def _with_tables(text: str, environments: Mapping[str, Mapping[str, Any]], scopes: Mapping[str, Scope]) -> str:
    for name, fields in environments.items():
        text = add_table(text, "environments", name, fields)
    for client, scope in sorted(scopes.items()):
        text = add_table(text, "clients", client, {"scope": scope})
    return text
