"""What conda packages would put where, decided upon before anything is written."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.commands import is_command_name
from hatchlock.realise.unpack import BadArchive, Limits

__all__ = [
    "CondaClobber",
    "CondaContent",
    "CondaInstallFailed",
    "CondaMember",
    "check_contents",
    "check_limits",
    "read_content",
]

_ENDINGS = (".conda", ".tar.bz2")
_PYTHON = "python"
_DOCUMENT_AT_MOST = 128 << 20
_LIMITS = Limits()
_SITE_PACKAGES = "site-packages/"
_PYTHON_SCRIPTS = "python-scripts/"


@dataclass(kw_only=True, eq=False)
class CondaClobber(HatchlockError):
    """Two packages of an environment bring one file, with different content."""

    code: ClassVar[str] = "conda-clobber"

    path: str
    packages: tuple[str, str]

    def __str__(self) -> str:
        return f"{' and '.join(self.packages)} both bring {self.path}, and differ in it"

    def _hint(self) -> str:
        return "leave one of them out, or put them into environments of their own"


@dataclass(kw_only=True, eq=False)
class CondaInstallFailed(HatchlockError):
    """rattler could not install verified packages."""

    code: ClassVar[str] = "conda-install"

    prefix: str
    why: str

    def __str__(self) -> str:
        return f"conda packages cannot be installed in {self.prefix}: {self.why}"

    def _hint(self) -> str:
        return "if the directory's name is too long, set HATCHLOCK_HOME to a shorter one; else choose other versions of them"


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaMember:
    """An entry of a package's archive.

    Attributes:
        name: Its path there; a directory's ends in a slash.
        is_file: Whether it is a plain file.
        target: Of a link, symbolic or hard, where it leads; None of everything else.
        size: A file's bytes.
    """

    name: str
    is_file: bool
    target: str | None = None
    size: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaContent:
    """What is in a package, as far as it matters where it goes.

    Attributes:
        archive: The package's file name.
        name: The package's name.
        version: Its version.
        for_python: Whether its files go where the environment's Python has them (`noarch: python`).
        site_packages: Of Python itself: where such files go; "" of everything else.
        files: Path in the package -> what tells its content from others.
        links: Path in the package -> target, of those files that are symlinks.
        commands: Name -> `module:function`, by which it wants to be started beside its files.
    """

    archive: str
    name: str
    version: str
    for_python: bool
    site_packages: str
    files: Mapping[str, str]
    links: Mapping[str, str]
    commands: Mapping[str, str]


def read_content(archive: str, documents: Mapping[str, bytes | None], members: Iterable[CondaMember]) -> CondaContent:
    """Return what a package says of itself.

    Args:
        archive: Its file name.
        documents: `info/index.json`, `info/paths.json`, `info/link.json`; what it does not have is None.
        members: Everything in the archive.

    Raises:
        BadArchive: It is no package, is another one than its file name says, or something in it leads out of its directory.
    """
    index, paths, link = (_json(archive, documents, name) for name in ("index", "paths", "link"))
    stem = next((archive.removesuffix(ending) for ending in _ENDINGS if archive.endswith(ending)), None)
    facts = [str(index.get(key)) for key in ("name", "version", "build")]
    if stem is None or stem != "-".join(facts) or "/" in stem:
        raise BadArchive(archive=archive, why=f"it says that it is {'-'.join(facts)}")
    links = _links(archive, members)
    noarch = link.get("noarch") or {}
    content = CondaContent(
        archive=archive,
        name=facts[0],
        version=facts[1],
        for_python=index.get("noarch") == _PYTHON,
        site_packages=_site_packages(archive, index) if facts[0] == _PYTHON else "",
        files={_path(archive, item["_path"]): _identity(item, links) for item in paths.get("paths", ())},
        links=links,
        commands={
            name.strip(): target.strip()
            for name, _, target in (str(text).partition("=") for text in noarch.get("entry_points", ()))
        },
    )
    for command in content.commands:
        if not is_command_name(command):
            raise BadArchive(archive=archive, why=f"{command!r} cannot be the name of a command")
    return content


def check_contents(contents: Sequence[CondaContent]) -> None:
    """Make sure that packages can be installed together.

    Raises:
        CondaClobber: Two of them bring one file, and differ in it.
        BadArchive: One would write through a link, or has a file where another one has a directory.
    """
    site_packages = next((content.site_packages for content in contents if content.site_packages), "")
    owners: dict[str, tuple[str, str]] = {}
    links: set[str] = set()
    for content in contents:
        for path, identity in (
            *content.files.items(),
            *((f"bin/{name}", target) for name, target in content.commands.items()),
        ):
            placed = _placed(path, site_packages) if content.for_python else path
            owner, known = owners.setdefault(placed, (content.archive, identity))
            if owner != content.archive and known != identity:
                raise CondaClobber(path=placed, packages=(owner, content.archive))
            links |= {placed} if path in content.links else set()
    _check_directories({placed: archive for placed, (archive, _) in owners.items()}, links)


def _check_directories(owners: Mapping[str, str], links: Collection[str]) -> None:
    """Nothing may be below a file or a link."""
    checked: set[str] = set()
    for path, archive in owners.items():
        parent = path.rpartition("/")[0]
        while parent and parent not in checked:
            if parent in links:
                raise BadArchive(archive=archive, why=f"{path} would be written through the link {parent}")
            if parent in owners:
                raise BadArchive(archive=archive, why=f"{path} needs a directory where {parent} is a file")
            checked.add(parent)
            parent = parent.rpartition("/")[0]


def _json(archive: str, documents: Mapping[str, bytes | None], name: str) -> Mapping[str, Any]:
    data = documents.get(f"info/{name}.json")
    if data is None and name == "link":
        return {}
    try:
        document = json.loads(data or b"")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BadArchive(archive=archive, why=f"its info/{name}.json is missing or damaged")
    return document


def check_limits(archive: str, member: CondaMember, number: int, size: int) -> None:
    """Refuse a package that becomes what no archive may become: a few bytes can stand for very many.

    Args:
        archive: Its file name.
        member: The last that was read of its list.
        number: How many there were, with that.
        size: Bytes of all of them.

    Raises:
        BadArchive: It is too much.
    """
    if number > _LIMITS.entries or size > _LIMITS.size:
        raise BadArchive(archive=archive, why=f"it becomes more than {_LIMITS.entries} files or {_LIMITS.size} bytes")
    if member.name.startswith("info/") and member.name.endswith(".json") and member.size > _DOCUMENT_AT_MOST:
        raise BadArchive(archive=archive, why=f"its {member.name} has {member.size} bytes")


def _links(archive: str, members: Iterable[CondaMember]) -> dict[str, str]:
    links: dict[str, str] = {}
    names: dict[str, str] = {}
    for member in members:
        path = _path(archive, posixpath.normpath(member.name) if ".." not in member.name else member.name)
        if member.target is not None:
            if member.target.startswith("/") or _leads_out(posixpath.join(posixpath.dirname(path), member.target)):
                why = f"{path} is a link to {member.target!r}, which leads out of its directory"
                raise BadArchive(archive=archive, why=why)
            links[path] = member.target
        elif not member.is_file:
            if not member.name.endswith("/"):
                raise BadArchive(archive=archive, why=f"{path} is neither a file nor a directory nor a link")
            continue
        names[path] = archive
    _check_directories(names, links)
    return links


def _path(archive: str, path: object) -> str:
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise BadArchive(archive=archive, why=f"{path!r} leads out of its directory")
    return path


def _leads_out(path: str) -> bool:
    return posixpath.normpath(path).split("/")[0] == ".."


def _identity(item: Mapping[str, Any], links: Mapping[str, str]) -> str:
    path = str(item["_path"])
    return f"-> {links[path]}" if path in links else str(item.get("sha256") or path)


def _site_packages(archive: str, index: Mapping[str, Any]) -> str:
    given = index.get("python_site_packages_path")
    minor = ".".join(str(index.get("version")).split(".")[:2])
    return _path(archive, given or f"lib/python{minor}/site-packages")


def _placed(path: str, site_packages: str) -> str:
    if path.startswith(_SITE_PACKAGES):
        return f"{site_packages}/{path.removeprefix(_SITE_PACKAGES)}"
    if path.startswith(_PYTHON_SCRIPTS):
        return f"bin/{path.removeprefix(_PYTHON_SCRIPTS)}"
    return path
