"""`info`: what a source is, before anything is added. Nothing of it is run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import BadSource, Kind, Source
from hatchlock.paths import placed, user_home
from hatchlock.usecases.info_kinds import Fact, NothingFits, conda_facts, deb_facts, hatch_facts, mcp_facts
from hatchlock.usecases.manifest import manifest_or_empty
from hatchlock.usecases.sources import Sources

if TYPE_CHECKING:
    from hatchlock.events import Sink
    from hatchlock.sources.projects.model import ProjectFacts
    from hatchlock.usecases.project import Project

__all__ = ["Fact", "NothingFits", "SourceInfo", "describe_source"]

_MOST_REASONS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """A source.

    Attributes:
        source: As asked for.
        facts: Name -> fact, the same names for every source of a kind, in the order to show them.
        notes: Sentences that people should see.
    """

    source: str
    facts: Mapping[str, Fact]
    notes: tuple[str, ...] = field(default=())


def describe_source(
    text: str, *, project: Project, directory: Path, now: datetime, offline: bool, emit: Sink
) -> SourceInfo:
    """Return what can be known of a source without running anything of it.

    Args:
        text: `kind:spec`.
        project: Whose indexes and registries are asked; one without a manifest has the machine's own.
        directory: Where a relative `path:` begins.
        now: An aware date-time, for ages.
        offline: Know only what is cached.
        emit: Told about progress.

    Raises:
        BadSource: It is no source.
        NothingFits: It has no version for this machine.
        ManyErrors: The manifest has mistakes.
        HatchlockError: What asking its source raises: UnknownPackage, UnknownImage, Unreachable, …
    """
    if text.startswith(("https://", "http://")):
        why = "it is the address of a remote server, which tells nothing of itself before it is spoken to"
        raise BadSource(text=text, why=why, advice=f"hatchlock try --probe {text}")
    source = Source.parse(text)
    with Sources(project, manifest_or_empty(project), offline=offline, refresh=False, emit=emit) as sources:
        spec = source.spec
        place = partial(placed, directory=directory, home=user_home(project.environ))
        of_kind: Mapping[Kind, Callable[[], _Found]] = {
            Kind.PYPI: lambda: _pypi(spec, sources, now),
            Kind.NPM: lambda: _npm(spec, sources, now),
            Kind.OCI: lambda: _oci(spec, sources, now),
            Kind.PATH: lambda: _path(spec, place),
            Kind.GIT: lambda: _git(spec, sources),
            Kind.URL: lambda: _url(spec, sources),
            Kind.HATCH: lambda: hatch_facts(spec, place, sources),
            Kind.MCP: lambda: mcp_facts(spec, sources),
            Kind.DEB: lambda: deb_facts(spec, sources),
            Kind.CONDA: lambda: conda_facts(spec, sources),
        }
        facts, notes = of_kind[source.kind]()
    if "uploaded" in facts and "age_days" not in facts:
        facts = {**facts, **_when(str(facts["uploaded"]), now)}
    return SourceInfo(source=str(source), facts={"kind": str(source.kind), **facts}, notes=tuple(notes))


_Found = tuple[Mapping[str, Fact], Iterable[str]]


def _pypi(spec: str, sources: Sources, now: datetime) -> _Found:
    from packaging.requirements import InvalidRequirement

    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.choice import Choice
    from hatchlock.resolve.requirements import holds, parse
    from hatchlock.resolve.wanted import default_python
    from hatchlock.sources.python.targets import process_target

    try:
        wanted = parse(spec)
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise BadSource(
            text=f"pypi:{spec}", why=why, advice="write pypi:NAME[extras]>=VERSION as in PEP 508"
        ) from error
    index = sources.python
    target = process_target(host_platform(), default_python())
    releases: tuple[object, ...] = ()
    if wanted.url:
        wheel = index.direct_wheel(wanted.url, wanted.name)
        file, metadata, version = wheel.file, wheel.metadata, wheel.package.version
    else:
        releases = tuple(index.versions(wanted.name))
        chosen = next(Choice(target=target).candidates(index, wanted.name, [wanted.specifier]), None)
        if chosen is None:
            fitting = (
                item for item in index.versions(wanted.name) if wanted.specifier.contains(item, prereleases=True)
            )
            reasons = (f"{item} {why}" for item in fitting if (why := index.why_not(wanted.name, item, target)))
            raise NothingFits(
                source=f"pypi:{spec}",
                target=f"Python {target.python} on {target.platform}",
                reasons=tuple(islice(reasons, _MOST_REASONS)),
            )
        file, metadata, version = chosen.file, index.metadata_with_scripts(chosen.file), str(chosen.version)
    requirements = [parse(item) for item in metadata.requires_dist]
    extras = ("", *wanted.extras)
    direct = {str(item) for item in requirements if any(holds(item.marker, target, extra) for extra in extras)}
    facts: dict[str, Fact] = {
        "name": wanted.name,
        "version": version,
        "newest": str(releases[0]) if releases else version,
        "releases": len(releases),
        **_when(file.uploaded, now),
        "yanked": file.yanked,
        "yanked_reason": file.yanked_reason,
        "licence": metadata.licence,
        "authors": metadata.authors,
        "publisher": "",
        "repository": metadata.repository,
        "signature": file.signature,
        "requires_python": metadata.requires_python or file.requires_python,
        "requirements": tuple(sorted(direct)),
        "extras": tuple(sorted(metadata.extras)),
        "scripts": dict(metadata.scripts or {}),
        "file": file.name,
        "size": file.size,
        "sha256": file.sha256,
    }
    return facts, [_stale(index.stale[wanted.name])] if wanted.name in index.stale else []


def _npm(spec: str, sources: Sources, now: datetime) -> _Found:
    from hatchlock.resolve.npm_requirements import declared_npm
    from hatchlock.sources.npm.facts import normal_commands

    name, bounds = declared_npm(spec)
    name = bounds.real or name
    index = sources.npm
    releases = index.versions(name)
    chosen = next(index.pick(name, bounds.text), None)
    if chosen is None:
        raise NothingFits(source=f"npm:{spec}", target="any platform", reasons=())
    about = index.describe(name, chosen.version)
    manifest = index.packument(name).manifest(chosen.spelling)
    needs = manifest.get("dependencies") or {}
    facts: dict[str, Fact] = {
        "name": name,
        "version": chosen.spelling,
        "newest": str(releases[0]),
        "releases": len(releases),
        **_when(index.uploaded(name, chosen.version), now),
        "deprecated": chosen.deprecated,
        "licence": about.licence,
        "authors": about.authors,
        "publisher": about.publisher,
        "repository": about.repository,
        "signature": about.signature,
        "requires_node": chosen.requires_node,
        "requirements": tuple(sorted(f"{key}@{value}" for key, value in needs.items())),
        "install_script": about.install_script or chosen.install_script,
        "scripts": normal_commands(name, manifest.get("bin")),
        "tags": {tag: str(version) for tag, version in sorted(index.dist_tags(name).items())},
        "file": chosen.file.name,
        "sha512": chosen.file.sha512,
    }
    return facts, [_stale(index.stale[name])] if name in index.stale else []


def _oci(spec: str, sources: Sources, now: datetime) -> _Found:
    from hatchlock.engines.process import host_platform
    from hatchlock.sources.oci_described import describe_image
    from hatchlock.sources.oci_documents import container_platform

    image = describe_image(spec, container_platform(host_platform()), registry=sources.images)
    labels = image.labels
    facts: dict[str, Fact] = {
        "name": image.reference,
        "version": labels.get("org.opencontainers.image.version", ""),
        "digest": image.digest,
        "platforms": image.platforms,
        "platform": image.platform,
        **_when(image.created, now),
        "licence": labels.get("org.opencontainers.image.licenses", ""),
        "authors": labels.get("org.opencontainers.image.authors", ""),
        "publisher": labels.get("org.opencontainers.image.vendor", ""),
        "repository": labels.get("org.opencontainers.image.source", ""),
        "entrypoint": image.entrypoint,
        "command": image.command,
        "user": image.user,
        "working_directory": image.working_directory,
        "ports": image.ports,
        "volumes": image.volumes,
        "stop_signal": image.stop_signal,
        "layers": image.layers,
        "size": image.size,
        "labels": dict(sorted(labels.items())),
    }
    notes = [] if image.user else ["its config names no user, so it is root; hatchlock runs it as another one"]
    return facts, notes


def _path(spec: str, place: Callable[[str], Path]) -> _Found:
    from hatchlock.sources.projects.detect import read_project
    from hatchlock.sources.projects.path_reference import PathReference
    from hatchlock.sources.projects.snapshot import snapshot

    reference = PathReference.parse(spec)
    root = place(reference.path)
    facts, notes = _project(read_project(root, as_=reference.as_))
    found = snapshot(root)
    return {**facts, "files": len(found.files), "size": found.size, "sha256": found.sha256}, notes


def _git(spec: str, sources: Sources) -> _Found:
    from hatchlock.sources.projects.detect import read_project
    from hatchlock.sources.projects.git import GitReference
    from hatchlock.sources.projects.snapshot import snapshot

    reference = GitReference.parse(spec)
    commit = sources.git.locate(reference)
    with tempfile.TemporaryDirectory(dir=sources.scratch, prefix="info-") as scratch:
        whole = Path(scratch) / "tree"
        root = sources.git.checkout(commit, whole)
        facts, notes = _project(read_project(root, workspace_root=whole, as_=reference.as_, committed=True))
        found = snapshot(root, committed=True)
    where: dict[str, Fact] = {
        "publisher": reference.publisher,
        "repository": facts["repository"] or commit.url,
        "ref": commit.ref,
        "commit": commit.commit,
        "tree": commit.tree_hash,
    }
    return {**facts, **where, "files": len(found.files), "size": found.size, "sha256": found.sha256}, notes


def _project(found: ProjectFacts) -> _Found:
    facts: dict[str, Fact] = {
        "name": found.name,
        "version": found.version,
        "ecosystem": found.ecosystem or "files",
        "layout": found.layout,
        "needs_build": found.needs_build,
        "licence": found.licence,
        "authors": found.authors,
        "publisher": "",
        "repository": found.repository,
        "requires_python": found.requires_python,
        "requires_node": found.requires_node,
        "requirements": found.requirements,
        "extras": tuple(sorted(found.extras)),
        "pins": len(found.pins),
        "install_script": found.install_script,
        "scripts": dict(found.scripts),
    }
    return facts, found.notes


def _url(spec: str, sources: Sources) -> _Found:
    from hatchlock.sources.url import url_references

    references = url_references(spec)
    files = {platform: sources.url.locate(reference, platform) for platform, reference in references.items()}
    platform, first = next(iter(references.items()))
    facts: dict[str, Fact] = {
        "name": first.name,
        "file": files[platform].name,
        "archive": first.is_archive,
        "platforms": tuple(sorted(name for name in files if name)),
        "size": files[platform].size,
        "sha256": files[platform].sha256,
    }
    return facts, []


def _when(uploaded: str, now: datetime) -> Mapping[str, Fact]:
    try:
        moment = datetime.fromisoformat(uploaded)
    except ValueError:
        return {"uploaded": uploaded, "age_days": None}
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return {"uploaded": uploaded, "age_days": max((now - aware).days, 0)}


def _stale(seconds: float) -> str:
    return f"its index cannot be reached: this is from the cache, {seconds / 3600:.1f} hours old"
