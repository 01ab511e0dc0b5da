"""dpkg's records of the layer: its packages in the status, and the lists of what belongs to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hatchlock.realise.debs.contents import UnpackedDeb
from hatchlock.realise.debs.database import INFO, STATUS, STATUS_PARTS, Database, Installed
from hatchlock.realise.debs.package_file import Field
from hatchlock.realise.debs.placing import Taken
from hatchlock.realise.debs.triggers import interest_records
from hatchlock.realise.tree import Entry

__all__ = ["old_records", "records"]

_INSTALLED = "install ok installed"
# The order in which dpkg writes fields; those that it does not know come behind these, in their own order.
_ORDER = (
    *("package", "essential", "protected", "status", "priority", "section", "installed-size", "origin", "maintainer"),
    *("bugs", "architecture", "multi-arch", "source", "version", "config-version", "replaces", "provides", "depends"),
    *("pre-depends", "recommends", "suggests", "breaks", "conflicts", "enhances", "conffiles", "filename", "size"),
    *("md5sum", "description"),
)
_RANK = {name: number for number, name in enumerate(_ORDER)}
_INFO_FILE = re.compile(rf"{INFO}/(?P<name>[^/:]+?)(?P<architecture>:[^/.]+)?\.(?P<part>[^/.]+)")


def records(debs: Sequence[UnpackedDeb], database: Database, taken: Taken, files: Mapping[str, bytes]) -> list[Entry]:
    """Return the records after the layer: dpkg's own, or where the base has none a file for each package.

    Args:
        debs: The packages of the layer.
        database: The records of the base.
        taken: Who has what.
        files: The content of the base's records.

    Raises:
        OSError: A file cannot be read.
    """
    if database.in_parts:
        return [entry for deb in debs for entry in _part(deb, database)]
    found = [Entry(path=STATUS, content=_status(debs, database))]
    for deb in debs:
        found += _info(deb, taken)
    found += interest_records(debs, files)
    found += [
        Entry(path=path, content=_without(files[path], lost)) for path, lost in sorted(taken.lost_of_base.items())
    ]
    return found


def old_records(debs: Sequence[UnpackedDeb], paths: Iterable[str]) -> Iterator[str]:
    """Yield those of a base's paths that are dpkg's records of other versions of these packages."""
    names = {deb.name: deb.architecture for deb in debs}
    for path in paths:
        match = _INFO_FILE.fullmatch(path) if path.startswith(INFO) else None
        if match and match["name"] in names and match["architecture"] in {None, f":{names[match['name']]}"}:
            yield path


def _status(debs: Sequence[UnpackedDeb], database: Database) -> bytes:
    replaced = {id(item) for deb in debs if (item := database.installed(deb.name, deb.architecture))}
    kept = [(item.name, item.architecture, item.stanza) for item in database.packages if id(item) not in replaced]
    new = [(deb.name, deb.architecture, _stanza(deb, status=_INSTALLED)) for deb in debs]
    return "".join(f"{stanza}\n\n" for _, _, stanza in sorted((*kept, *new))).encode(errors="surrogateescape")


def _stanza(deb: UnpackedDeb, *, status: str) -> str:
    conffiles = "".join(f"\n /{path} {md5}" for path, md5 in _conffile_sums(deb))
    own = [field for field in deb.control.fields if field[0].lower() not in {"status", "conffiles"}]
    added: list[Field] = [("Status", status)] if status else []
    added += [("Conffiles", conffiles)] if conffiles else []
    fields = sorted([*own, *added], key=lambda field: _RANK.get(field[0].lower(), len(_RANK)))
    return "\n".join(f"{name}:{'' if value.startswith(chr(10)) or not value else ' '}{value}" for name, value in fields)


def _conffile_sums(deb: UnpackedDeb) -> Iterator[tuple[str, str]]:
    files = {item.path: item for item in deb.paths if item.kind == "file"}
    for path in deb.conffiles:
        if path in files:
            yield path, files[path].md5()


def _info(deb: UnpackedDeb, taken: Taken) -> Iterator[Entry]:
    head = f"{INFO}/{deb.name}"
    if deb.control.field("Multi-Arch") == "same":
        head = f"{head}:{deb.architecture}"
    lost = taken.lost.get(deb.name, frozenset())
    listed = ["/.", *(f"/{item.path}" for item in deb.paths if item.path not in lost)]
    yield Entry(path=f"{head}.list", content="".join(f"{line}\n" for line in listed).encode(errors="surrogateescape"))
    for name, content in sorted(deb.control.members.items()):
        yield Entry(path=f"{head}.{name}", mode=deb.control.modes[name], content=content)
    if "md5sums" not in deb.control.members:
        yield Entry(path=f"{head}.md5sums", content=_sums(deb))


def _sums(deb: UnpackedDeb) -> bytes:
    """As dpkg makes them for packages that bring none: configuration files are left out."""
    left_out = set(deb.conffiles)
    files = (item for item in deb.paths if item.kind == "file" and item.path not in left_out)
    return "".join(f"{item.md5()}  {item.path}\n" for item in files).encode(errors="surrogateescape")


def _without(content: bytes, lost: frozenset[str]) -> bytes:
    lines = content.decode(errors="surrogateescape").splitlines()
    return "".join(f"{line}\n" for line in lines if line.strip("/") not in lost).encode(errors="surrogateescape")


def _part(deb: UnpackedDeb, database: Database) -> Iterator[Entry]:
    known: Installed | None = database.installed(deb.name, deb.architecture)
    path = known.where if known else f"{STATUS_PARTS}/{deb.name}"
    yield Entry(path=path, content=f"{_stanza(deb, status='')}\n".encode(errors="surrogateescape"))
    yield Entry(path=f"{path}.md5sums", content=deb.control.members.get("md5sums") or _sums(deb))
