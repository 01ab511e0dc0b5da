"""What is newer of Hatch packages, entries of the MCP registry, images that are depended on, Debian and conda packages.

It asks the places that these come from, and chooses nothing; Python and npm are in `outdated`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from packaging.specifiers import SpecifierSet

from hatchlock.address import Kind
from hatchlock.lock.model import Package
from hatchlock.resolve.named import Named, named
from hatchlock.resolve.outdated import Standing, State, Use, plain_standing
from hatchlock.resolve.shelves import DebDesk, ImageTags
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.conda.records import CondaRecord
from hatchlock.sources.debian.candidates import Candidates
from hatchlock.sources.debian.choice import WantedDeb
from hatchlock.sources.debian.declared import declared_deb
from hatchlock.sources.hatch.declared import version_of
from hatchlock.sources.hatch.index import HatchRelease
from hatchlock.sources.hatch.registry import HatchRegistry
from hatchlock.sources.hatch.trouble import UnknownRepository
from hatchlock.sources.mcp_registry.declared import declared_mcp
from hatchlock.sources.mcp_registry.registry import McpRegistry
from hatchlock.sources.oci_tags import declared_oci, fitting_tags

__all__ = ["conda_standing", "deb_standing", "entry_standing", "hatch_standing", "image_standing"]

_MANIFEST = "the manifest"
_DEPRECATED = "deprecated"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Limit:
    """Somebody's bounds on a name."""

    wanted: Named
    by: str

    def __str__(self) -> str:
        return f"{self.wanted.name}{self.wanted.bounds} by {self.by}"

    @property
    def is_manifests(self) -> bool:
        return self.by == _MANIFEST


def hatch_standing(package: Package, uses: Sequence[Use], registry: HatchRegistry) -> Standing:
    """Return how a Hatch package stands; what its registry calls deprecated is not what is newest.

    Args:
        package: From a registry.
        uses: Every environment that has it.
        registry: Is asked for its versions.

    Raises:
        HatchlockError: What `HatchRegistry.versions` raises, but for a name that the registry no longer has.
    """
    plain = plain_standing(package, uses)
    try:
        releases = registry.versions(package.name, package.publisher)
    except (UnknownPackage, UnknownRepository):
        return replace(plain, state="gone", reason="its registry no longer has anything of that name")
    current = version_of(package.version)
    newer = [item for item in releases if version_of(item.version) > current and item.status != _DEPRECATED]
    locked = next((item for item in releases if version_of(item.version) == current), None)
    limits = list(_limits(package, uses))
    newest = newer[0].version if newer else package.version
    compatible = (
        item.version
        for item in newer
        if all(limit.wanted.allows(item.version) for limit in limits if limit.is_manifests) and not _unfit(item, uses)
    )
    held = [str(limit) for limit in limits if newer and not limit.wanted.allows(newest)]
    held += [why for item in newer[:1] for why in _unfit(item, uses)]
    state: State = "gone" if locked is None else "deprecated" if locked.status == _DEPRECATED else ""
    return replace(
        plain,
        compatible=next(compatible, package.version),
        newest=newest,
        state=state,
        reason=locked.remark if locked and state else "",
        held_by=tuple(dict.fromkeys(held)),
    )


def entry_standing(package: Package, servers: Iterable[str], registry: McpRegistry) -> Standing:
    """Return how an entry of the MCP registry stands, and what the registry says of it now.

    Args:
        package: The entry.
        servers: The servers that it is.
        registry: Is asked for the newest version, and for the status of this one.

    Raises:
        HatchlockError: What `McpRegistry.entry` raises, but for a name that the registry no longer has.
    """
    plain = replace(plain_standing(package, ()), environments=tuple(sorted(f"server:{name}" for name in servers)))
    status = registry.status(package.name, package.version)
    state: State = status.status if status.status in {"deprecated", "deleted"} else ""  # type: ignore[assignment]
    plain = replace(plain, state=state, reason=status.message if state else "")
    try:
        latest = registry.entry(package.name)
    except UnknownPackage:
        return plain
    if latest.version == package.version or latest.published < _published(package, registry):
        return plain
    if not declared_mcp(package.source.partition(":")[2]).version:
        return replace(plain, compatible=latest.version, newest=latest.version)
    return replace(plain, newest=latest.version, held_by=(f"{package.source} by {_MANIFEST}",))


def image_standing(package: Package, uses: Sequence[Use], registry: ImageTags) -> Standing | None:
    """Return how an image stands that others depend on within bounds: by its tags. None if all name one exactly.

    Args:
        package: The image.
        uses: Every environment that has it.
        registry: Is asked for its tags.

    Raises:
        HatchlockError: What asking for tags raises.
    """
    limits = list(_limits(package, uses))
    bounded = [declared_oci(limit.wanted.text) for limit in limits if not limit.wanted.exact]
    if not bounded:
        return None
    plain = plain_standing(package, uses)
    tags = registry.tags(bounded[0].reference)
    newest = next(iter(fitting_tags(replace(bounded[0], bounds=">=0"), tags)), package.version)
    manifests = [limit.wanted for limit in limits if limit.is_manifests]
    # what nobody bounds in the manifest may be as new as it gets
    wanted = declared_oci(manifests[0].text) if manifests else replace(bounded[0], bounds=">=0")
    fitting = fitting_tags(wanted, tags) if wanted.bounds else (package.version,)
    compatible = next((tag for tag in fitting if all(item.allows(tag) for item in manifests)), package.version)
    held = [str(limit) for limit in limits if newest != package.version and not limit.wanted.allows(newest)]
    return replace(
        plain,
        compatible=compatible,
        newest=newest,
        state="" if package.version in tags else "gone",
        held_by=tuple(dict.fromkeys(held)),
    )


def deb_standing(package: Package, uses: Sequence[Use], desks: Sequence[DebDesk]) -> Standing:
    """Return how a Debian package stands: against apt's candidate in the archives of the bases that have it.

    Args:
        package: The package.
        uses: Every environment that has it.
        desks: What there is for these.

    Raises:
        HatchlockError: What reading the archives raises.
    """
    plain = plain_standing(package, uses)
    limits = list(_limits(package, uses))
    bounds = [limit.wanted for limit in limits if limit.is_manifests]
    newest = _candidates(package, desks, ())
    allowed = _candidates(package, desks, bounds)
    there = {str(item.version) for desk in desks for item in desk.universe.named(package.name)}
    there |= {str(item.version) for desk in desks for item in desk.installed if item.name == package.name}
    held = [str(limit) for limit in limits if newest and not limit.wanted.allows(newest)]
    return replace(
        plain,
        compatible=allowed or package.version,
        newest=newest or package.version,
        state="gone" if desks and package.version not in there else "",
        reason="its archives no longer have that version" if desks and package.version not in there else "",
        held_by=tuple(dict.fromkeys(held)),
    )


def conda_standing(package: Package, uses: Sequence[Use], solve: Callable[[Use], Sequence[CondaRecord]]) -> Standing:
    """Return how a conda package stands: against what its solver takes now for the same requirements.

    Args:
        package: The package.
        uses: Every environment that has it.
        solve: Solves for an environment without regard to what is locked.

    Raises:
        HatchlockError: What solving raises.
    """
    found = (record.full_version for use in uses for record in solve(use) if record.name == package.name)
    newest = next(found, package.version)
    return replace(plain_standing(package, uses), compatible=newest, newest=newest)


def _limits(package: Package, uses: Iterable[Use]) -> Iterator[_Limit]:
    for use in uses:
        yield from _limits_of(use.requirements, package, _MANIFEST)
        for other in use.packages:
            if other.kind is not Kind.DEB:  # of Debian's own bounds apt's candidate is the outcome
                yield from _limits_of(other.dependencies, package, f"{other.name} {other.version}")


def _limits_of(texts: Iterable[str], package: Package, by: str) -> Iterator[_Limit]:
    for text in texts:
        if text.startswith(f"{package.kind}:") and package.name in text:
            wanted = named(text)
            if wanted and wanted.name == package.name and wanted.bounds:
                yield _Limit(wanted=wanted, by=by)


def _unfit(release: HatchRelease, uses: Iterable[Use]) -> list[str]:
    wants = release.requires_python
    pythons = {target.full_python for use in uses for target in use.targets}
    if not wants or all(SpecifierSet(wants).contains(python, prereleases=True) for python in pythons):
        return []
    return [f"{release.name} {release.version} needs Python {wants}"]


def _published(package: Package, registry: McpRegistry) -> str:
    try:
        return registry.entry(package.name, package.version).published
    except UnknownPackage:
        return ""


def _candidates(package: Package, desks: Sequence[DebDesk], wanted: Iterable[Named]) -> str:
    """Return the highest of apt's candidates; "" if there is none."""
    bounds = [WantedDeb(name=package.name, bounds=declared_deb(item.text)[1]) for item in wanted]
    found = []
    for desk in desks:
        base = {item.name: item for item in desk.installed}
        candidates = Candidates(desk.universe, base, architecture=desk.architecture, preferred={}, wanted=bounds)
        if candidate := candidates.of(package.name):
            found.append(candidate.version)
    return str(max(found)) if found else ""
