"""Dependencies of Hatch packages, as the lock writes requirements."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from hatchlock.address import Kind
from hatchlock.manifest.wrong import Wrong
from hatchlock.paths import joined_path
from hatchlock.sources.hatch.declared import PACKAGE_NAME, HatchReference, is_path

__all__ = ["NAMES", "hatch_text", "image_text", "local_text", "python_text", "system_text"]

NAMES = "write NAME, REPOSITORY:NAME, or ../DIRECTORY"
"""How another Hatch package can be named."""
_WORD = re.compile(r"[a-z0-9_]+")
_NAMED = re.compile(rf"(?:(?P<repository>[A-Za-z0-9_.-]+):)?(?P<name>{PACKAGE_NAME})")


def hatch_text(name: str, constraint: str, *, qualified: bool) -> str:
    r"""Return the requirement of another Hatch package.

    A bare name is always a registry's, whatever directory may lie there. What begins with `./`, `../` or `/`, or has a `/`
    in it, is a directory.

    Args:
        name: `base_pkg`, `repository:base_pkg`, `../base_pkg`; `\` counts as `/`.
        constraint: A clause of PEP 440, or "".
        qualified: Whether names are of the form `namespace/name` as well (metadata 2.0.0).

    Raises:
        Wrong: It is no name.
    """
    text = name.replace("\\", "/")
    if not is_path(text):
        match = _NAMED.fullmatch(text)
        if match and (_WORD.fullmatch(match["name"]) or qualified):
            repository = match["repository"] or ""
            reference = HatchReference(name=match["name"], repository=repository, specifier=SpecifierSet(constraint))
            return f"{Kind.HATCH}:{reference}"
        if "/" not in text or ":" in text:
            raise Wrong(f"{name!r} is no name of a Hatch package", NAMES)
    return local_text(text, constraint)


def local_text(path: str, constraint: str) -> str:
    """Return the requirement of a Hatch package in a directory, relative to the package that needs it."""
    placed = joined_path(".", path.replace("\\", "/"))
    return f"{Kind.HATCH}:{HatchReference(path=placed, specifier=SpecifierSet(constraint))}"


def python_text(name: str, constraint: str, *, manager: str, channel: str = "", extras: Iterable[str] = ()) -> str:
    """Return the requirement of a Python package: of an index, of a conda channel, or of a directory.

    Args:
        name: As the metadata has it.
        constraint: A clause of PEP 440, or "".
        manager: "pip" or "conda".
        channel: The conda channel, or "".
        extras: Of a package of an index.
    """
    text = name.replace("\\", "/")
    if manager == "conda":
        return f"{Kind.CONDA}:{channel}::{text}{constraint}" if channel else f"{Kind.CONDA}:{text}{constraint}"
    if "/" in text or is_path(text):
        return f"{Kind.PATH}:{joined_path('.', text)}"
    wanted = ",".join(sorted({canonicalize_name(extra) for extra in extras}))
    return f"{Kind.PYPI}:{canonicalize_name(text)}{f'[{wanted}]' if wanted else ''}{constraint}"


def system_text(name: str, constraint: str) -> str:
    """Return the requirement of a Debian package."""
    return f"{Kind.DEB}:{name}{constraint}"


def image_text(name: str, constraint: str = "", *, tag: str = "", digest: str = "") -> str:
    """Return the requirement of a container image: by versions before metadata 2.0.0, by digest since then."""
    return f"{Kind.OCI}:{name}{f':{tag}' if tag else ''}{f'@{digest.lower()}' if digest else constraint}"
