"""`search`, and `add mcp:NAME`: servers of the indexes that list servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hatchlock.errors import HatchlockError
from hatchlock.events import Event
from hatchlock.usecases.manifest import manifest_or_empty
from hatchlock.usecases.sources import Sources

if TYPE_CHECKING:
    from hatchlock.events import Sink
    from hatchlock.launch import SecretReference
    from hatchlock.manifest.model import Manifest
    from hatchlock.sources.mcp_registry.choose import Choice
    from hatchlock.sources.mcp_registry.entry import Entry
    from hatchlock.sources.mcp_registry.launch import EntryLaunch
    from hatchlock.sources.mcp_registry.render import Answer
    from hatchlock.sources.mcp_registry.variables import Variable
    from hatchlock.usecases.project import Project

__all__ = ["FoundServer", "Given", "SearchResult", "search_servers", "server_from_entry"]

IndexKind = Literal["mcp", "hatch"]
_KINDS: tuple[IndexKind, ...] = ("mcp", "hatch")
"""Kinds of package that images are not yet made of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundServer:
    """A server that an index lists, in its newest version.

    Attributes:
        kind: Which index.
        name: As there.
        version: As there.
        description: One sentence, or "".
        packages: The kinds of package that it comes as, in the index's order; "remote" for one that runs somewhere.
        status: "active", "deprecated", or what else the index says; "" if it does not say.
        message: Why, or "".
        source: What `add` takes.
    """

    kind: IndexKind
    name: str
    version: str
    description: str
    packages: tuple[str, ...]
    status: str
    message: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """What a search came to.

    Attributes:
        servers: The best first, those of the MCP registry before those of Hatch.
        total: How many there are; `servers` may be fewer.
        notes: What the search could not look at, as sentences.
    """

    servers: tuple[FoundServer, ...]
    total: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What was said of a server beside its source.

    Attributes:
        env: Variable -> value.
        secrets: Variable -> where the secret is: `env:NAME`.
        arguments: What an entry asks for -> values.
        others: Further words of the command line, for the one that is proposed.
    """

    env: Mapping[str, str]
    secrets: Mapping[str, str]
    arguments: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """The same as words of the command line."""
        listed = [("--env", name, value) for name, value in self.env.items()]
        listed += [("--secret", name, value) for name, value in self.secrets.items()]
        listed += [("--arg", name, value) for name, values in self.arguments.items() for value in values]
        return (*self.others, *(word for option, name, value in listed for word in (option, f"{name}={value}")))

    def references(self) -> dict[str, SecretReference]:
        """Return the secrets as references."""
        from hatchlock.launch import SecretReference

        return {name: SecretReference(secret=text) for name, text in self.secrets.items()}

    def keys(self) -> dict[str, Any]:
        """Return the variables as a manifest's key `env`, if there are any."""
        env = {**self.env, **{name: {"secret": text} for name, text in self.secrets.items()}}
        return {"env": env} if env else {}


def search_servers(
    project: Project, words: Sequence[str], *, kinds: Iterable[IndexKind] = (), limit: int, offline: bool, emit: Sink
) -> SearchResult:
    """Look for servers in the indexes that list servers.

    An index that cannot be asked is a note, as long as another one answers.

    Args:
        project: Whose indexes are asked; one without a manifest has the usual ones.
        words: All of them are in what is found.
        kinds: Which indexes; all if none is named.
        limit: How many to return at most.
        offline: Know only what is cached.
        emit: Told about progress.

    Raises:
        HatchlockError: No index could be asked: Unreachable, Refused, BadAnswer, …; or the manifest has mistakes.
    """
    asked = tuple(kind for kind in _KINDS if kind in kinds) or _KINDS
    search = {"mcp": _search_mcp, "hatch": _search_hatch}
    found: list[FoundServer] = []
    notes: list[str] = []
    errors: list[HatchlockError] = []
    with Sources(project, manifest_or_empty(project), offline=offline, refresh=False, emit=emit) as sources:
        for kind in asked:
            try:
                servers, note = search[kind](sources, words)
            except HatchlockError as error:
                errors.append(error)
                notes.append(f"the index of {kind}: was left out: {error}")
                continue
            found += servers
            notes += [note] if note else []
    if len(errors) == len(asked):
        raise errors[0]
    return SearchResult(servers=tuple(found[:limit]), total=len(found), notes=tuple(notes))


def _search_mcp(sources: Sources, words: Sequence[str]) -> tuple[list[FoundServer], str]:
    result = sources.mcp_registry.search(words)
    servers = [
        FoundServer(
            kind="mcp",
            name=entry.name,
            version=entry.version,
            description=entry.server.description,
            packages=_kinds_of(entry),
            status=entry.status,
            message=entry.status_message,
            source=str(entry),
        )
        for entry in result.entries
    ]
    return servers, "" if result.complete else "the MCP registry has more than was looked at: say more words"


def _kinds_of(entry: Entry) -> tuple[str, ...]:
    kinds = dict.fromkeys(package.registry_type for package in entry.server.packages)
    return (*kinds, *(("remote",) if entry.server.remotes else ()))


def _search_hatch(sources: Sources, words: Sequence[str]) -> tuple[list[FoundServer], str]:
    servers = [
        FoundServer(
            kind="hatch",
            name=release.name,
            version=release.version,
            description=release.description,
            packages=("hatch",),
            status=release.status,
            message=release.remark,
            source=f"hatch:{release.name}=={release.version}",
        )
        for release in sources.hatch_registry.search(words)
    ]
    return servers, ""


def server_from_entry(
    text: str,
    project: Project,
    given: Given,
    *,
    runtime: Literal["process", "container"] | None = None,
    ask: Callable[[Sequence[Variable]], Mapping[str, Answer]] | None = None,
    offline: bool = False,
    emit: Sink,
) -> tuple[str, dict[str, Any]]:
    """Return the server that an entry of the MCP registry describes: what was said of it, and nothing that the entry says.

    Args:
        text: `mcp:NAME`, or `mcp:NAME@VERSION`.
        project: Whose registry is asked, for whose platforms.
        given: What was said.
        runtime: Where it is to run; the manifest's default if not said.
        ask: Asks for the required variables without an answer, and returns what it was told; None if nobody is there.
        offline: Know only what is cached.
        emit: Told about progress; and, before somebody is asked, what the registry warns of.

    Returns:
        Its name, and its keys as in the manifest, with the exact version in its source. What it comes to is for `lock` to tell;
        but a remote server is its address and its headers, for there is nothing to lock.

    Raises:
        BadSource: It is no entry's name.
        UnknownEntry, DeletedEntry: There is no such entry any more.
        NothingToRun: It has nothing that can run here.
        WrongHash, BadBundle: The bundle that it names is another one now, or cannot be run.
        MissingVariables: Something required has no answer; all of it is named.
        UnknownVariable, WrongAnswer, SecretAsText, SecretArgument: An answer is not right.
        HatchlockError: The registry cannot be asked; or the manifest has mistakes.
    """
    from hatchlock.address import Source
    from hatchlock.sources.mcp_registry.declared import LATEST, declared_mcp
    from hatchlock.sources.mcp_registry.entry import ACTIVE, DELETED
    from hatchlock.usecases.desks import DeletedEntry, status_note

    reference = declared_mcp(Source.parse(text).spec)
    manifest = manifest_or_empty(project)
    with Sources(project, manifest, offline=offline, refresh=False, emit=emit) as sources:
        entry = sources.mcp_registry.entry(reference.name, reference.version or LATEST)
        if entry.status == DELETED:
            raise DeletedEntry(entry=str(entry), message=entry.status_message)
        choice, launch, fields = _chosen(entry, project, manifest, runtime, sources)

    def ask_warned(variables: Sequence[Variable]) -> Mapping[str, Answer]:
        if entry.status != ACTIVE:
            emit(Event(name="resolve.note", address=str(entry), message=status_note(entry)))
        return ask(variables) if ask else {}

    answered = _answered(entry, launch, given, ask_warned)
    if choice.remote is not None:
        return _name_of(reference.name), _remote(launch, answered)
    return _name_of(reference.name), {"source": str(entry), **fields, **answered}


def _remote(launch: EntryLaunch, answered: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"url": launch.url, **answered}
    if launch.transport == "sse":
        fields["transport"] = "sse"
    if headers := {**launch.headers, **answered.get("headers", {})}:
        fields["headers"] = headers
    return fields


def _chosen(
    entry: Entry,
    project: Project,
    manifest: Manifest,
    runtime: Literal["process", "container"] | None,
    sources: Sources,
) -> tuple[Choice, EntryLaunch, dict[str, Any]]:
    from hatchlock.sources.mcp_registry.choose import choose
    from hatchlock.sources.mcp_registry.launch import launch
    from hatchlock.usecases.manifest import this_platforms

    platforms = manifest.project.platforms or this_platforms()
    choice = choose(entry, platforms=platforms, runtime=runtime or "container", local=sources.mcp_registry.is_local)
    interpreter = {}
    if choice.kind == "mcpb":
        interpreter = _interpreter(choice.requirement, project, sources, for_process=runtime == "process")
    return choice, launch(entry, choice), interpreter


def _interpreter(requirement: str, project: Project, sources: Sources, *, for_process: bool) -> dict[str, str]:
    """Only the bundle itself says what starts it, so it is fetched, and checked, already now."""
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.wanted import USUAL_NODE, default_python
    from hatchlock.sources.mcp_registry.mcpb import read_bundle
    from hatchlock.sources.url import url_references
    from hatchlock.store.blobs import Blobs

    references = url_references(requirement.removeprefix("url:"))
    platform = next((name for name in (host_platform(), "") if name in references), min(references))
    reference = references[platform]
    blobs = Blobs(project.home.blobs)
    sources.url.fetch(reference, sources.url.locate(reference, platform), blobs)
    facts = read_bundle(blobs.path(reference.sha256), sha256=reference.sha256, name=reference.file_name)
    match facts.type:
        case "python":
            return {"python": default_python()}
        case "node":
            return {"node": sources.host_node() if for_process else USUAL_NODE}
    return {}


def _answered(
    entry: Entry,
    launch: EntryLaunch,
    given: Given,
    ask: Callable[[Sequence[Variable]], Mapping[str, Answer]],
) -> dict[str, Any]:
    from hatchlock.sources.mcp_registry.answers import told
    from hatchlock.sources.mcp_registry.render import MissingVariables, render

    said = told(launch, env=given.env, secrets=given.references(), arguments=given.arguments)
    answers = dict(said.answers)
    try:
        fields = render(said.launch, answers, source=str(entry))
    except MissingVariables as missing:
        answers |= ask(missing.variables)
        if any(variable.name not in answers for variable in missing.variables):
            raise replace(missing, given=given.options) from None
        fields = render(said.launch, answers, source=str(entry))
    whole = {name: value if isinstance(value, str) else {"secret": value.secret} for name, value in said.env.items()}
    if whole:
        fields["env"] = {**fields.get("env", {}), **whole}
    return fields


def _name_of(name: str) -> str:
    from hatchlock.manifest.takeover import name_from

    return name_from(name.rpartition("/")[2])
