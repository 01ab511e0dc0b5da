"""Whether packages are where their requirements say: a lock that somebody edited leads nowhere else. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hatchlock.address import BadSource, Kind
from hatchlock.lock.model import Lock, Package
from hatchlock.resolve.reason import Reason
from hatchlock.resolve.requirements import parse
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.mcp_registry.declared import declared_mcp
from hatchlock.sources.oci_tags import image_text
from hatchlock.sources.projects.git_reference import GitReference, is_commit
from hatchlock.sources.projects.path_reference import PathReference
from hatchlock.sources.url import url_references

__all__ = ["source_reasons"]


def source_reasons(lock: Lock) -> Iterator[Reason]:
    """Yield every package whose place or hash is not the one that its requirement names."""
    for package in lock.packages:
        try:
            what = _contradiction(package)
        except (BadSource, ValueError) as error:
            what = str(error)
        if what:
            yield Reason(address=package.id, what=what)


def _contradiction(package: Package) -> str:
    if package.ecosystem and package.kind not in {Kind.PATH, Kind.GIT}:
        return f"cannot be a project ({package.ecosystem})"
    if package.kind in _UNNAMED:
        if package.source:
            return f"cannot come from {package.source}"
        return _UNNAMED[package.kind](package)
    if not package.source:
        places = (package.location, package.commit, package.tree_hash, package.subdirectory)
        return "names a place, and no requirement names that" if any(places) else ""
    kind, _, spec = package.source.partition(":")
    check = _NAMED.get(kind)
    return check(package, spec) if check else f"cannot come from {package.source}"


def _path(package: Package, spec: str) -> str:
    wanted = PathReference.parse(spec).path
    return _differs("directory", package.location, wanted) if package.kind is Kind.PATH else "is no directory"


def _hatch(package: Package, spec: str) -> str:
    wanted = declared_hatch(spec).path
    return _differs("directory", package.location, wanted) if package.kind is Kind.HATCH else "is no Hatch package"


def _pool(package: Package) -> str:
    """The directory becomes a part of an address: it stays below the archive."""
    # an archive that is flat has no pool, and may have all its files at its top
    is_below = not package.location or not {"", ".", ".."} & set(package.location.split("/"))
    return "" if is_below else f"is at {package.location}, which is not below its archive"


def _image(package: Package) -> str:
    return _differs("image", package.location, image_text(package.name, package.version))


def _entry(package: Package, spec: str) -> str:
    wanted = declared_mcp(spec)
    if package.kind is not Kind.MCP or package.name != wanted.name:
        return f"is not the entry {wanted.name}"
    return _differs("version", package.version, wanted.version) if wanted.version else ""


def _git(package: Package, spec: str) -> str:
    reference = GitReference.parse(spec)
    if package.kind is not Kind.GIT:
        return "is no repository"
    return (
        _differs("repository", package.location, reference.url)
        or _differs("subdirectory", package.subdirectory, reference.subdirectory)
        or (_differs("commit", package.commit, reference.ref) if is_commit(reference.ref) else "")
    )


def _url(package: Package, spec: str) -> str:
    if package.kind is not Kind.URL:
        return "is nothing that an address gives"
    references = url_references(spec)
    for file in package.files:
        wanted = references.get(file.platform)
        if wanted is None:
            return f"has a file for {file.platform or 'every platform'}, which its source has not"
        if wanted.sha256 and wanted.sha256 != file.sha256:
            return _differs("sha256", file.sha256, wanted.sha256)
    return ""


def _wheel(package: Package, spec: str) -> str:
    if package.kind is not Kind.PYPI:
        return "is no wheel"
    url, _, fragment = parse(spec).url.partition("#")
    sha256 = next((item.partition("=")[2] for item in fragment.split("&") if item.startswith("sha256=")), "")
    return _differs("address", package.location, url) or (
        _differs("sha256", package.files[0].sha256, sha256.lower()) if sha256 else ""
    )


def _differs(what: str, found: str, wanted: str) -> str:
    return "" if found == wanted else f"has the {what} {found}, and {wanted} is required"


_UNNAMED: Mapping[Kind, Callable[[Package], str]] = {Kind.DEB: _pool, Kind.OCI: _image}
"""Kinds whose place follows from what they are."""
_NAMED: Mapping[str, Callable[[Package, str], str]] = {
    Kind.GIT: _git,
    Kind.PATH: _path,
    Kind.URL: _url,
    Kind.HATCH: _hatch,
    Kind.MCP: _entry,
    Kind.PYPI: _wheel,
}
"""Kind of what names a package -> its check, of the package and what stands behind the kind."""
