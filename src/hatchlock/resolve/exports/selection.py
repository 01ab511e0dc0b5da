"""What of a locked environment goes into an export for Python's tools."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.sources.python.targets import PythonTarget
from hatchlock.sources.python.wheel_tags import choose_wheel

__all__ = ["Selected", "git_url", "hashes", "platform_marker", "select"]

_SCP = re.compile(r"(?P<login>[^/@:]+@[^/@:]+):/?(?P<path>.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """A package of an export.

    Attributes:
        package: The package.
        files: Those that some platform of the export installs, sorted; of a project from git or a directory none.
        marker: PEP 508, true where it is needed; "" if that is everywhere.
    """

    package: Package
    files: tuple[File, ...]
    marker: str

    @property
    def is_direct(self) -> bool:
        """Whether it is named by its own address, and no index has it."""
        return bool(self.package.location)


def select(lock: Lock, environment: Environment, targets: Mapping[str, PythonTarget]) -> tuple[Selected, ...]:
    """Return the Python packages of an environment, sorted by name and version.

    Args:
        lock: The lock.
        environment: One of its environments.
        targets: The platforms of the export, and what wheels each takes; among a package's files in the lock may be
            some for other environments, and those do not count.
    """
    where: dict[str, list[str]] = {}
    for platform in sorted(targets):
        for package_id in environment.on(platform):
            where.setdefault(package_id, []).append(platform)
    chosen = (item for item in lock.packages if item.id in where and item.namespace is Kind.PYPI)
    return tuple(
        Selected(
            package=package,
            files=_files(package, [targets[platform] for platform in where[package.id]]),
            marker=platform_marker(where[package.id], targets),
        )
        for package in sorted(chosen, key=lambda package: (package.name, package.version, package.kind))
    )


def _files(package: Package, targets: Iterable[PythonTarget]) -> tuple[File, ...]:
    if package.kind in {Kind.GIT, Kind.PATH}:
        return ()
    chosen = [choose_wheel(package.files, target) for target in targets]
    # a manifest changed since the lock was made may rule out what is locked: then let the installer choose
    return tuple(sorted({file for file in chosen if file})) if all(chosen) else package.files


def platform_marker(platforms: Iterable[str], targets: Mapping[str, PythonTarget]) -> str:
    """Return the marker that tells some platforms of an export from its others; "" if they are all.

    It names the system alone where that is enough, and is right for no other platforms than those of the export.
    """
    wanted = set(platforms)
    if wanted >= set(targets):
        return ""
    parts: list[str] = []
    for system in sorted({_variable(target, "sys_platform") for target in targets.values()}):
        members = {name for name, target in targets.items() if _variable(target, "sys_platform") == system}
        named = f"sys_platform == '{system}'"
        if members <= wanted:
            parts.append(named)
            continue
        machines = sorted({_variable(targets[name], "platform_machine") for name in members & wanted})
        parts += [f"{named} and platform_machine == '{machine}'" for machine in machines]
    return " or ".join(parts)


def _variable(target: PythonTarget, name: str) -> str:
    return target.marker_environment[name]


def hashes(file: File) -> dict[str, str]:
    """Return a file's hash by the name of its algorithm."""
    return {"sha512": file.sha512} if file.sha512 else {"sha256": file.sha256}


def git_url(location: str) -> str:
    """Return a repository's address as a URL: pip and PEP 751 know no `git@host:path`."""
    scp = _SCP.fullmatch(location)
    return f"ssh://{scp['login']}/{scp['path']}" if scp else location
