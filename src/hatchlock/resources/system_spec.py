"""The Debian packages that an environment of the process runtime needs on its host, and what there is to do for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hatchlock.address import Address, Kind, ResourceKind
from hatchlock.digest import key_of
from hatchlock.engines.apt import AptChange
from hatchlock.errors import HatchlockError
from hatchlock.resources.unplaced import FileNotLocked
from hatchlock.sources.debian.declared import declared_deb
from hatchlock.sources.debian.versions import DebVersion

if TYPE_CHECKING:
    from hatchlock.engines.debian_host import HostSystem, InstalledPackage
    from hatchlock.lock.model import Environment, Lock, Package

__all__ = ["HostPackage", "NotThisDebian", "SystemSpec", "changes_for", "downgrades", "system_spec"]

_RULE = "system:1"
_PREFIX = f"{Kind.DEB}:"
_SHOWN = 5


@dataclass(kw_only=True, eq=False)
class NotThisDebian(HatchlockError):
    """An environment needs packages of the host, and the host is not the Debian that they were locked for."""

    code: ClassVar[str] = "not-this-debian"

    packages: tuple[str, ...]
    locked: str
    host: str
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(self.packages[:_SHOWN]) + (", …" if len(self.packages) > _SHOWN else "")
        wants = f"it needs {names} of {self.locked or 'Debian'} on this machine"
        if self.missing:
            return f"{wants}, which has no {' and no '.join(self.missing)}"
        return f"{wants}, which is {self.host or 'no Debian'}"

    def _hint(self) -> str:
        return 'run it in a container: runtime = "container", with a Debian base that has them'


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPackage:
    """A Debian package that an environment needs.

    Attributes:
        name: Its name.
        version: The locked one.
        needs: What it depends on, as the lock has it, without `deb:`.
        sha256: Of its file for this machine.
        named: Whether something other than a Debian package asks for it: then exactly its version has to be there.
    """

    name: str
    version: str
    needs: tuple[str, ...] = ()
    sha256: str
    named: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemSpec:
    """What an environment needs on its host.

    Attributes:
        name: The environment's.
        packages: Sorted by name.
    """

    name: str
    packages: tuple[HostPackage, ...]

    @property
    def address(self) -> Address:
        """`system:NAME`."""
        return Address(kind=ResourceKind.SYSTEM, name=self.name)

    @property
    def key(self) -> str:
        """The digest of all names and versions: that of a host that has what is needed."""
        return key_of(_RULE, (f"{item.name} {item.version} {item.named}" for item in self.packages))

    @property
    def named(self) -> tuple[HostPackage, ...]:
        """The packages that were asked for."""
        return tuple(item for item in self.packages if item.named)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave, through JSON.

        Raises:
            KeyError, TypeError: It is something else.
        """
        packages = (HostPackage(**{**item, "needs": tuple(item["needs"])}) for item in data["packages"])
        return cls(name=data["name"], packages=tuple(packages))


def system_spec(lock: Lock, environment: Environment, platform: str, host: HostSystem) -> SystemSpec | None:
    """Return what an environment needs of its host, or None if it needs nothing.

    Args:
        lock: The lock.
        environment: One of its process environments.
        platform: This machine's.
        host: This machine's system.

    Raises:
        NotThisDebian: The host is no Debian, or one of another suite, or the lock has none of it for this platform.
        FileNotLocked: The lock has no file of a package for this platform, which apt's could be compared with.
    """
    packages = list(lock.packages_of(environment, platform))
    debs = sorted((item for item in packages if item.kind is Kind.DEB), key=lambda item: item.name)
    asked = _asked(environment, packages)
    if not debs and not asked:
        return None
    codenames = sorted({name for item in debs if (name := _codename(item.index))})
    is_other = bool(host.codename) and any(name != host.codename for name in codenames)
    if not debs or not host.is_debian or is_other:
        missing = host.missing if "debian" in host.families else ()
        locked = ", ".join(codenames)
        raise NotThisDebian(packages=tuple(sorted(asked)), locked=locked, host=host.title, missing=missing)
    found = (
        HostPackage(
            name=item.name,
            version=item.version,
            needs=tuple(need.removeprefix(_PREFIX) for need in item.dependencies if need.startswith(_PREFIX)),
            sha256=_sha256(item, platform),
            named=not asked.isdisjoint((item.name, *(name.removeprefix(_PREFIX) for name in item.provides))),
        )
        for item in debs
    )
    return SystemSpec(name=environment.name, packages=tuple(found))


def _sha256(package: Package, platform: str) -> str:
    found = [file.sha256 for file in package.files if file.platform in {"", platform} and file.sha256]
    if not found:
        raise FileNotLocked(package=package.id, platform=platform)
    return found[0]


_MOVING = frozenset({"stable", "oldstable", "oldoldstable", "testing", "unstable", "experimental", "sid"})


def _codename(index: str) -> str:
    """The suite of `debian/bookworm-security`, without what is added to it; "" for names that move, as `stable` does."""
    suite = index.partition("/")[2].partition("-")[0]
    return "" if suite in _MOVING else suite


def _asked(environment: Environment, packages: list[Package]) -> frozenset[str]:
    """Return the names that the manifest, or packages of other kinds, ask Debian for."""
    others = (need for item in packages if item.kind is not Kind.DEB for need in item.dependencies)
    texts = (text.removeprefix(_PREFIX) for text in (*environment.requirements, *others) if text.startswith(_PREFIX))
    return frozenset(declared_deb(text)[0] for text in texts)


def changes_for(spec: SystemSpec, installed: Mapping[str, InstalledPackage]) -> tuple[AptChange, ...]:
    """Return what has to change on a host, sorted by name; nothing if it has what is needed.

    Named packages have to be there in their locked version. What a package that is there depends on is dpkg's affair and
    is there too. What one that has to come depends on may be there in any version that will do, or be provided by another
    package; else it has to come in its locked version, too.

    Args:
        spec: What is needed.
        installed: What dpkg has.
    """
    locked = {item.name: item for item in spec.packages}
    provided: dict[str, list[str]] = {}
    for present in installed.values():
        for name, version in present.provides.items():
            provided.setdefault(name, []).append(version)
    waiting = [item.name for item in spec.named]
    changes: dict[str, AptChange] = {}
    while waiting:
        package = locked[waiting.pop()]
        before = installed[package.name].version if package.name in installed else ""
        if package.name in changes or before == package.version:
            continue
        changes[package.name] = AptChange(name=package.name, before=before, after=package.version)
        waiting += [name for name in _unsatisfied(package, installed, provided) if name in locked]
    return tuple(changes[name] for name in sorted(changes))


def _unsatisfied(
    package: HostPackage, installed: Mapping[str, InstalledPackage], provided: Mapping[str, list[str]]
) -> Iterator[str]:
    for need in package.needs:
        name, bounds = declared_deb(need)
        versions = [installed[name].version] if name in installed else []
        versions += [version for version in provided.get(name, ()) if version]
        unversioned = name in provided and not bounds.bounds
        if not unversioned and not any(bounds.contains(DebVersion.parse(version)) for version in versions):
            yield name


def downgrades(changes: tuple[AptChange, ...]) -> tuple[AptChange, ...]:
    """Return those changes that would bring an older version than there is."""
    return tuple(
        change
        for change in changes
        if change.before and DebVersion.parse(change.after) < DebVersion.parse(change.before)
    )
