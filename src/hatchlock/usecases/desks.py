"""What a lock asks of Hatch registries and the MCP registry, brought into the form that resolving wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.launch import Runtime
    from hatchlock.lock.model import Package
    from hatchlock.sources.hatch.index import HatchRelease
    from hatchlock.sources.hatch.local import HatchDirectory
    from hatchlock.sources.hatch.registry import HatchRegistry
    from hatchlock.sources.mcp_registry.choose import Choice
    from hatchlock.sources.mcp_registry.entry import Entry
    from hatchlock.sources.mcp_registry.launch import EntryLaunch
    from hatchlock.sources.mcp_registry.registry import McpRegistry
    from hatchlock.store.blobs import Blobs

__all__ = ["DeletedEntry", "HatchDesk", "RemoteEntry", "entry_package", "status_note"]


@dataclass(kw_only=True, eq=False)
class RemoteEntry(HatchlockError):
    """An entry of the MCP registry is a server that runs elsewhere."""

    code: ClassVar[str] = "remote-entry"

    entry: str
    url: str
    refused: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        passed = "".join(f"; {kind}: {why}" for kind, why in self.refused)
        return f"{self.entry} is a remote server, at {self.url}, and there is nothing to lock of it{passed}"

    def _hint(self) -> str:
        return f"write url in place of source; `hatchlock add {self.entry}` does that, with its headers"


@dataclass(kw_only=True, eq=False)
class DeletedEntry(HatchlockError):
    """An entry of the MCP registry was taken back."""

    code: ClassVar[str] = "deleted-entry"

    entry: str
    message: str

    def __str__(self) -> str:
        return f"the registry says that {self.entry} is deleted" + (f": {self.message}" if self.message else "")

    def _hint(self) -> str:
        return "choose another version or server: `hatchlock search WORDS` looks for one"


class HatchDesk:
    """The Hatch registries: versions, and packages as the lock holds them. An archive is fetched and read once.

    Args:
        registry: The registries.
        blobs: Where archives are kept.
        scratch: Makes a directory of ours.
        emit_note: Told sentences that people should see.
    """

    def __init__(
        self,
        registry: HatchRegistry,
        blobs: Blobs,
        scratch: Callable[[], Path],
        emit_note: Callable[[str, str], object],
    ) -> None:
        self._registry = registry
        self._blobs = blobs
        self._scratch = scratch
        self._note = emit_note
        self._known: dict[str, tuple[Package, HatchDirectory]] = {}

    def versions(self, name: str, repository: str = "") -> Sequence[HatchRelease]:
        """Return the versions of a name; see `HatchRegistry.versions`."""
        return self._registry.versions(name, repository)

    def locked(self, release: HatchRelease) -> Package:
        """Return what the lock holds of a version.

        Raises:
            HatchlockError: What `HatchRegistry.locate` and `read_archive` raise.
        """
        return self.read(release)[0]

    def read(self, release: HatchRelease) -> tuple[Package, HatchDirectory]:
        """Return what the lock holds of a version, and what it says of itself; see `locked`."""
        if release.id not in self._known:
            self._known[release.id] = self._fetched(release)
        return self._known[release.id]

    def _fetched(self, release: HatchRelease) -> tuple[Package, HatchDirectory]:
        from hatchlock.resolve.hatch_package import released_hatch_package
        from hatchlock.sources.hatch.archive import read_archive

        file = self._registry.locate(release, self._blobs, scratch=self._scratch())
        found = read_archive(self._blobs.path(file.sha256), release, scratch=self._scratch())
        package = released_hatch_package(found, release, file=file)
        for note in (*found.notes, *([release.note] if release.note else [])):
            self._note(package.id, note)
        return package, found


def entry_package(
    text: str, runtime: Runtime, platforms: Sequence[str], pinned: Package | None, *, registry: McpRegistry
) -> tuple[Package, tuple[str, ...]]:
    """Return what the lock holds of an entry of the MCP registry, and sentences that people should see.

    Args:
        text: `mcp:NAME` or `mcp:NAME@VERSION`.
        runtime: What to choose for.
        platforms: What is locked for.
        pinned: What the present lock has: its version is kept where the text leaves a choice.
        registry: Is asked.

    Raises:
        RemoteEntry: It runs elsewhere.
        DeletedEntry: Its publisher took it back, and no lock has it.
        NothingToRun: None of its packages can be used.
        HatchlockError: What asking raises.
    """
    from hatchlock.address import Kind
    from hatchlock.lock.model import File, Package
    from hatchlock.sources.mcp_registry.choose import choose
    from hatchlock.sources.mcp_registry.declared import LATEST, declared_mcp
    from hatchlock.sources.mcp_registry.entry import DELETED
    from hatchlock.sources.mcp_registry.launch import launch

    wanted = declared_mcp(text.partition(":")[2])
    entry = registry.entry(wanted.name, wanted.version or (pinned.version if pinned else LATEST))
    if entry.status == DELETED and not pinned:
        raise DeletedEntry(entry=str(entry), message=entry.status_message)
    choice = choose(entry, platforms=platforms, runtime=runtime, local=registry.is_local)
    if choice.remote is not None:
        raise RemoteEntry(entry=str(entry), url=choice.remote.url, refused=choice.refused)
    starts = launch(entry, choice)
    repository = entry.server.repository.url
    package = Package(
        kind=Kind.MCP,
        name=entry.name,
        version=entry.version,
        source=text,
        index=str(Kind.MCP),
        files=(File(name="server.json", sha256=entry.sha256, size=len(entry.document)),),
        dependencies=(choice.requirement, *starts.with_),
        requires_python=f"=={starts.python}.*" if starts.python else "",
        command=starts.command,
        args=starts.args,
        env=dict(sorted(starts.env.items())),
        needs=starts.needs,
        transport="" if starts.transport == "stdio" else starts.transport,
        repository=repository,
    )
    return package, tuple(_notes(entry, choice, starts))


def _notes(entry: Entry, choice: Choice, starts: EntryLaunch) -> Iterator[str]:
    from hatchlock.sources.mcp_registry.entry import ACTIVE

    yield f"it is {choice.requirement}: {choice.why}"
    yield from (f"its {kind} package is passed over: {why}" for kind, why in choice.refused)
    arguments = [item.name for item in starts.variables if item.required and item.where == "argument"]
    if arguments:
        yield f"it has to be given {', '.join(arguments)} in `args`"
    if choice.base_url:
        yield f"it says that its package is at {choice.base_url}; it is taken from the index that is used here"
    if entry.status != ACTIVE:
        yield status_note(entry)
    yield from starts.notes


def status_note(entry: Entry) -> str:
    """Return what the registry says of an entry beside its document, as a sentence."""
    return f"the registry says that it is {entry.status}" + (
        f": {entry.status_message}" if entry.status_message else ""
    )
