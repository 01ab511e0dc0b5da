"""pylock.toml (PEP 751): what an installer needs, with the address and hash of every file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, File, Package
from hatchlock.lock.toml import table
from hatchlock.resolve.exports.selection import Selected, git_url, hashes
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["pylock_name", "render_pylock"]

_VERSION = "1.0"
_WHEEL = ".whl"


def pylock_name(environment: str) -> str:
    """Return the name that the file has to have beside those of other environments: `pylock.NAME.toml`, NAME without dots."""
    return f"pylock.{environment.replace('.', '-')}.toml"


def render_pylock(
    environment: Environment,
    selected: Sequence[Selected],
    *,
    targets: Mapping[str, PythonTarget],
    urls: Mapping[tuple[str, str], str],
    paths: Mapping[str, str],
) -> str:
    """Return a pylock.toml that installs what the lock has.

    Args:
        environment: Whose it is.
        selected: Its Python packages.
        targets: The platforms of the export.
        urls: Package id and file name -> where the file is fetched, for every file of an index.
        paths: Id of a project in a directory -> that directory, relative to the file.
    """
    head = {
        "lock-version": _VERSION,
        "environments": sorted({_environment_marker(target) for target in targets.values()}),
        "requires-python": f"=={environment.python}.*",
        "created-by": "hatchlock",
    }
    by_name: dict[str, list[Package]] = {}
    for item in selected:
        by_name.setdefault(item.package.name, []).append(item.package)
    blocks = [
        table(
            "[[packages]]",
            {
                **_identity(item.package),
                "marker": item.marker,
                "requires-python": item.package.requires_python,
                "dependencies": list(_dependencies(item.package, by_name)),
                **_where(item, urls, paths),
            },
        )
        for item in selected
    ]
    return "\n".join([table("", head), *blocks])


def _environment_marker(target: PythonTarget) -> str:
    known = target.marker_environment
    return f"sys_platform == '{known['sys_platform']}' and platform_machine == '{known['platform_machine']}'"


def _identity(package: Package) -> dict[str, str]:
    # a source tree may be changed under an installer's hands, so PEP 751 wants no version for it
    stable = package.kind not in {Kind.GIT, Kind.PATH}
    return {"name": package.name} | ({"version": package.version} if stable else {})


def _dependencies(package: Package, by_name: Mapping[str, Sequence[Package]]) -> Iterator[dict[str, str]]:
    wanted = {
        str(canonicalize_name(Requirement(text.removeprefix(f"{Kind.PYPI}:")).name))
        for text in package.dependencies
        if text.startswith(f"{Kind.PYPI}:")
    }
    projects = (item for items in by_name.values() for item in items if item.source)
    wanted |= {item.name for item in projects if item.source in package.dependencies}
    for name in sorted(wanted):
        found = by_name.get(name, ())
        yield from (_identity(item) if len(found) > 1 else {"name": name} for item in found)


def _where(item: Selected, urls: Mapping[tuple[str, str], str], paths: Mapping[str, str]) -> dict[str, Any]:
    package = item.package
    if package.kind is Kind.PATH:
        return {"directory": {"path": paths[package.id]}}
    if package.kind is Kind.GIT:
        part = {"subdirectory": package.subdirectory} if package.subdirectory else {}
        return {"vcs": {"type": "git", "url": git_url(package.location), "commit-id": package.commit, **part}}
    if item.is_direct:
        return {"archive": _file(item.files[0], package.location, named=False)}
    files = {file.name: _file(file, urls[package.id, file.name], named=True) for file in item.files}
    wheels = [said for name, said in files.items() if name.endswith(_WHEEL)]
    source = next((said for name, said in files.items() if not name.endswith(_WHEEL)), None)
    return {**({"sdist": source} if source else {}), **({"wheels": wheels} if wheels else {})}


def _file(file: File, url: str, *, named: bool) -> dict[str, Any]:
    size = {"size": file.size} if file.size else {}
    return ({"name": file.name} if named else {}) | {"url": url, **size, "hashes": hashes(file)}
