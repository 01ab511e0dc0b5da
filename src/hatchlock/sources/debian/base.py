"""What a Debian system says of itself: its packages, its sources of packages, and the keys that it trusts."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import read_optional
from hatchlock.images.base import files_matching
from hatchlock.net.cache import Cache
from hatchlock.sources.debian.apt_sources import AptSource, apt_sources
from hatchlock.sources.debian.control import paragraphs
from hatchlock.sources.debian.package import INSTALLED_PIN, DebPackage

__all__ = ["DebianBase", "NotDebian", "debian_base", "host_base"]

_FORM = "debian-base-1"
_STATUS = "var/lib/dpkg/status"
_PLACES = (
    *("etc/os-release", "usr/lib/os-release", "etc/apt/sources.list", "etc/apt/trusted.gpg", _STATUS),
    *("var/lib/dpkg/status.d/*", "etc/apt/sources.list.d/*", "etc/apt/trusted.gpg.d/*", "etc/apt/keyrings/*"),
    "usr/share/keyrings/*",
)
_WANTED = re.compile("|".join(re.escape(place).replace(r"\*", "[^/]+") for place in _PLACES))
_KEYRINGS = "usr/share/keyrings/"
# What apt trusts for sources that name no keyring, and the distributions' own, by their habit.
_TRUSTED = re.compile(
    r"etc/apt/(trusted\.gpg(\.d/[^/]+\.(gpg|asc))?|keyrings/[^/]+)"
    r"|usr/share/keyrings/[^/]+-archive-keyring\.(gpg|pgp)"
)
# The facts of a package that the closure needs; the rest of a status file is most of its size.
_KEPT = (
    *("package", "version", "architecture", "source", "pre-depends", "depends", "conflicts", "breaks", "provides"),
    *("multi-arch", "essential", "protected", "important", "priority"),
)


@dataclass(kw_only=True, eq=False)
class NotDebian(HatchlockError):
    """A base that Debian packages cannot be put into.

    Attributes:
        found: What it is, by its os-release: `Alpine Linux v3.20`; "" if it does not say.
    """

    code: ClassVar[str] = "not-debian"

    found: str

    def __str__(self) -> str:
        return f"deb: needs a base of the Debian family, and this one is {self.found or 'of no known system'}"

    def _hint(self) -> str:
        return 'choose a base that is made of Debian or Ubuntu (`base = "oci:…"`), or leave out the deb: dependencies'


@dataclass(frozen=True, kw_only=True, slots=True)
class DebianBase:
    """A system that packages are put on.

    Attributes:
        architecture: As dpkg calls it: "amd64".
        os_release: What /etc/os-release says.
        status: Its installed packages.
        sources: The suites that its apt is set up with.
        keyrings: Path (`/usr/share/keyrings/…`) -> content of each file of keys that a source names, that apt trusts for
            those which name none, or that is the distribution's own.
    """

    architecture: str
    os_release: Mapping[str, str]
    status: tuple[DebPackage, ...] = field(repr=False)
    sources: tuple[AptSource, ...]
    keyrings: Mapping[str, bytes] = field(repr=False)


def debian_base(layers: Sequence[Path], *, cache: Path, key: str) -> DebianBase:
    """Read the facts of a base image.

    Args:
        layers: Files with the layers' bytes, lowest first.
        cache: A directory where what was read is kept.
        key: Names the image's content: the digests of its layers.

    Raises:
        NotDebian: It has no packages of dpkg, or is of another family.
        BadAptSource: Its sources of packages are malformed.
        BadLayer: A layer cannot be read.
        OSError: A layer cannot be read, or the cache not be written.
    """
    kept = Cache(cache)
    known = kept.load(f"{_FORM} {key}")
    if known:
        return _base_of(_unpacked(known.body))
    files = _reduced(files_matching(layers, _WANTED))
    found = _base_of(files)
    kept.save(f"{_FORM} {key}", _packed(files))
    return found


def host_base(root: Path = Path("/")) -> DebianBase:
    """Read the facts of this machine.

    Args:
        root: Where its files are.

    Raises:
        NotDebian: It has no packages of dpkg, or is of another family.
        BadAptSource: Its sources of packages are malformed.
        PermissionProblem: A file cannot be read.
    """
    paths = sorted(path for place in _PLACES for path in root.glob(place) if path.is_file())
    files = {str(path.relative_to(root)): read_optional(path) or b"" for path in paths}
    return _base_of(_reduced(files))


def _base_of(files: Mapping[str, bytes]) -> DebianBase:
    release = _os_release(files.get("etc/os-release") or files.get("usr/lib/os-release") or b"")
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    installed = tuple(_installed(files))
    if "debian" not in family or not installed:
        raise NotDebian(found=release.get("PRETTY_NAME") or release.get("NAME") or release.get("ID", ""))
    counted = Counter(item.architecture for item in installed if item.architecture != "all")
    architecture = counted.most_common(1)[0][0] if counted else ""
    sources = apt_sources(files)
    named = {path.lstrip("/") for source in sources for path in source.keyrings}
    return DebianBase(
        architecture=architecture,
        os_release=release,
        # what a machine has for others in addition serves nothing that is installed here
        status=tuple(item for item in installed if item.architecture in {architecture, "all"}),
        sources=sources,
        keyrings={f"/{path}": content for path, content in files.items() if path in named or _TRUSTED.fullmatch(path)},
    )


def _os_release(data: bytes) -> dict[str, str]:
    found = {}
    for line in data.decode(errors="replace").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            found[name] = _unquoted(value)
    return found


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:  # quotes or a backslash without an end
        return value


def _installed(files: Mapping[str, bytes]) -> Iterator[DebPackage]:
    for path, content in sorted(files.items()):
        if not path.startswith(_STATUS):
            continue
        for fields in paragraphs(content.decode(errors="replace")):
            if _is_there(fields) and "package" in fields and "version" in fields:
                yield DebPackage.of(fields, pin=INSTALLED_PIN)


def _reduced(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files without what nobody asks: most of dpkg's status, and keys that are trusted by nobody."""
    found = {
        path: _reduced_status(content) if path.startswith(_STATUS) else content
        for path, content in sorted(files.items())
        if not path.endswith(".md5sums")
    }
    named = {path.lstrip("/") for source in apt_sources(found) for path in source.keyrings}
    return {
        path: content
        for path, content in found.items()
        if not path.startswith(_KEYRINGS) or path in named or _TRUSTED.fullmatch(path)
    }


def _reduced_status(content: bytes) -> bytes:
    there = [fields for fields in paragraphs(content.decode(errors="replace")) if _is_there(fields)]
    return "\n".join(
        "".join(f"{name}: {fields[name]}\n" for name in _KEPT if name in fields) for fields in there
    ).encode()


def _is_there(fields: Mapping[str, str]) -> bool:
    # the slimmest images have one file for each package, and no status in it
    return fields.get("status", "install ok installed").endswith(" installed")


def _packed(files: Mapping[str, bytes]) -> bytes:
    return json.dumps({path: base64.b64encode(content).decode() for path, content in files.items()}).encode()


def _unpacked(body: bytes) -> dict[str, bytes]:
    return {path: base64.b64decode(content) for path, content in json.loads(body).items()}
