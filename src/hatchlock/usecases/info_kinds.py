"""`info` of Hatch packages, entries of the MCP registry, Debian packages and conda packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.sources.hatch.local import HatchDirectory
    from hatchlock.usecases.sources import Sources

__all__ = ["Fact", "NothingFits", "conda_facts", "deb_facts", "hatch_facts", "mcp_facts"]

Fact = str | int | bool | None | tuple[str, ...] | Mapping[str, str]
"""What is known: None or empty where nobody says."""

_Found = tuple[Mapping[str, Fact], Iterable[str]]


@dataclass(kw_only=True, eq=False)
class NothingFits(HatchlockError):
    """A source has no version that could be added on this machine."""

    code: ClassVar[str] = "nothing-fits"

    source: str
    target: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        why = "; ".join(self.reasons) or "it has no version in that range"
        return f"no version of {self.source} can be used on {self.target}: {why}"

    def _hint(self) -> str:
        return "ask for another range, or choose another Python, platform or package"


def hatch_facts(spec: str, place: Callable[[str], Path], sources: Sources) -> _Found:
    """Return what a Hatch package says of itself, and what its registry says."""
    from hatchlock.sources.hatch.declared import declared_hatch
    from hatchlock.sources.hatch.local import read_directory

    wanted = declared_hatch(spec)
    if wanted.path:
        found = read_directory(place(wanted.path), shown=wanted.path)
        return _hatch(found), found.notes
    versions = sources.hatch_registry.versions(wanted.name, wanted.repository)
    release = next((item for item in versions if wanted.allows(item.version)), None)
    if release is None:
        known = ", ".join(item.version for item in versions)
        raise NothingFits(source=f"{Kind.HATCH}:{spec}", target="any machine", reasons=(f"there is {known}",))
    package, found = sources.hatch.read(release)
    about: dict[str, Fact] = {
        "newest": versions[0].version,
        "releases": len(versions),
        "publisher": release.repository,
        "submitted_by": release.author,
        "uploaded": release.added,
        "verification": release.status,
        "file": package.files[0].name,
        "size": package.files[0].size,
        "sha256": package.files[0].sha256,
    }
    return {**_hatch(found), **about}, ()  # its notes were told when it was read


def _hatch(found: HatchDirectory) -> dict[str, Fact]:
    said = found.facts
    return {
        "name": said.name,
        "version": said.version,
        "description": said.description,
        "metadata": said.schema_version,
        "licence": said.licence,
        "licence_text": said.licence_uri,
        "authors": ", ".join(said.authors),
        "contributors": said.contributors,
        "repository": said.repository,
        "documentation": said.documentation,
        "citations": said.citations,
        "provenance": said.provenance,
        "requires_python": said.requires_python,
        "requires_hatchling": said.requires_hatchling,
        "requirements": found.requirements,
        "entry_point": said.server_file,
        "tools": tuple(name for name, _ in said.tools),
    }


def mcp_facts(spec: str, sources: Sources) -> _Found:
    """Return what the MCP registry has, and what of it a server would be in each runtime."""
    from hatchlock.engines.process import host_platform
    from hatchlock.sources.mcp_registry.choose import NothingToRun, choose
    from hatchlock.sources.mcp_registry.declared import LATEST, declared_mcp
    from hatchlock.sources.mcp_registry.launch import launch

    wanted = declared_mcp(spec)
    entry = sources.mcp_registry.entry(wanted.name, wanted.version or LATEST)
    status = sources.mcp_registry.status(entry.name, entry.version)
    chosen: dict[str, Fact] = {}
    variables: dict[str, str] = {}
    for runtime in ("container", "process"):
        try:
            choice = choose(entry, platforms=[host_platform()], runtime=runtime, local=sources.mcp_registry.is_local)
        except NothingToRun as error:
            chosen[f"as_{runtime}"] = f"nothing: {'; '.join(f'{kind}: {why}' for kind, why in error.refused)}"
            continue
        where = choice.requirement or (choice.remote.url if choice.remote else "")
        chosen[f"as_{runtime}"] = f"{where} ({choice.why})"
        for variable in launch(entry, choice).variables:
            words = [*(["required"] if variable.required else []), *(["secret"] if variable.secret else [])]
            variables[variable.name] = ", ".join([*words, variable.description]).strip(", ") or variable.where
    facts: dict[str, Fact] = {
        "name": entry.name,
        "version": entry.version,
        "status": status.status,
        "description": entry.server.description,
        "uploaded": entry.published,
        "repository": entry.server.repository.url,
        "packages": tuple(f"{item.registry_type}:{item.identifier}" for item in entry.server.packages),
        "remotes": tuple(item.url for item in entry.server.remotes),
        **chosen,
        "variables": variables,
        "sha256": entry.sha256,
    }
    return facts, [f"the registry says that it is {status.status}: {status.message}"] if status.message else []


def deb_facts(spec: str, sources: Sources) -> _Found:
    """Return what the archives that this machine's apt asks, or the declared one, have of a Debian package."""
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.request import EnvironmentRequest
    from hatchlock.resolve.wanted import container_platforms
    from hatchlock.sources.base import UnknownPackage
    from hatchlock.sources.debian.declared import declared_deb

    name, bounds = declared_deb(spec)
    (platform,) = container_platforms([host_platform()])
    universe = sources.debian_desk(EnvironmentRequest(name="", platforms={}, requirements=()), platform).universe
    versions = sorted(universe.named(name), key=lambda item: item.version, reverse=True)
    providers = tuple(sorted({item.name for item in universe.providing(name)} - {name}))
    if not versions and not providers:
        raise UnknownPackage(kind=Kind.DEB, name=name, index=", ".join(universe.releases))
    if not versions:
        return {"name": name, "version": "", "virtual": True, "providers": providers}, []
    fitting = [item for item in versions if bounds.contains(item.version, prereleases=True)]
    if not fitting:
        known = ", ".join(str(item.version) for item in versions)
        raise NothingFits(source=f"{Kind.DEB}:{spec}", target=platform, reasons=(f"there is {known}",))
    said = fitting[0].fields
    facts: dict[str, Fact] = {
        "name": name,
        "version": str(fitting[0].version),
        "platform": platform,
        "suite": fitting[0].suite,
        "releases": len(versions),
        "description": said.get("description", "").partition("\n")[0],
        "authors": said.get("maintainer", ""),
        "repository": said.get("homepage", ""),
        "section": said.get("section", ""),
        "requirements": tuple(" | ".join(map(str, group)) for group in fitting[0].depends),
        "size": int(said.get("size", "0")),
        "sha256": said.get("sha256", ""),
    }
    return facts, []


def conda_facts(spec: str, sources: Sources) -> _Found:
    """Return the build of a conda package that would be taken on this machine."""
    from hatchlock.engines.process import host_platform
    from hatchlock.sources.conda.declared import declared_conda
    from hatchlock.sources.python.targets import DEFAULT_GLIBC, DEFAULT_MACOS

    wanted = declared_conda(spec)
    records = sources.conda.solve([spec], platform=host_platform(), glibc=DEFAULT_GLIBC, macos=DEFAULT_MACOS)
    record = next(item for item in records if item.name == wanted.name)
    facts: dict[str, Fact] = {
        "name": record.name,
        "version": record.version,
        "build": record.build,
        "publisher": record.channel,
        "platform": record.subdir,
        "licence": record.licence,
        "requirements": record.depends,
        "brings": len(records) - 1,
        "python_names": record.python_names,
        "file": record.file,
        "size": record.size,
        "sha256": record.sha256,
    }
    return facts, []
