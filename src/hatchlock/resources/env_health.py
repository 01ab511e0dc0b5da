"""Is an environment of the process runtime still what was built? Reads only."""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.resources.base import Artefact
from hatchlock.resources.env_receipt import receipt_damage
from hatchlock.resources.env_shared import shared_trees
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.blobs import Blobs, WrongHash
from hatchlock.store.contents import compare_contents
from hatchlock.store.receipts import finished

__all__ = ["Contents", "contents_of", "damages", "size_of"]

_RUN = re.compile(r"[-_.]+")
_INFO = ".dist-info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What reading the files of an environment again gave.

    Attributes:
        files: How many were compared.
        altered: Paths of those that are others or gone, below it, sorted; whole ones of what it shares.
        added: Of those that were not installed, sorted.
        damaged: What else is wrong, one clause each.
        unknown: What of it cannot be compared, and why, as a clause; "" if everything was.
    """

    files: int
    altered: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def differences(self) -> tuple[str, ...]:
        """What is not as it was installed, one clause each."""
        altered = (f"its file {path} is not what was installed" for path in self.altered)
        added = (f"its file {path} was not installed, but added" for path in self.added)
        return (*self.damaged, *altered, *added)


def damages(spec: EnvSpec, tree: Path) -> Iterator[str]:
    """Yield what is wrong with a finished environment, one clause each. Costs some stats for each package.

    Args:
        spec: What it should be.
        tree: Where it is; its receipt is there.
    """
    if damage := receipt_damage(spec, tree):
        yield damage
    if spec.python:
        yield from _interpreter_damages(spec, tree)
    if spec.conda and not finished(Path(spec.conda.root)):
        yield f"what conda has for it, {spec.conda.root}, is gone"
    if spec.node and not Path(spec.node.path).exists():
        yield f"its Node {spec.node.path} is gone"
    missing = [artefact.package for artefact in _missing(spec, tree)]
    yield from (f"{package} is not in it any more" for package in missing)


def _interpreter_damages(spec: EnvSpec, tree: Path) -> Iterator[str]:
    python = tree / "bin" / "python"
    if not Path(spec.python).exists():
        yield f"its interpreter {spec.python} is gone"
    elif not os.path.lexists(python):
        yield "its bin/python is gone"
    elif os.path.realpath(python) != os.path.realpath(spec.python):
        yield f"its bin/python is {os.path.realpath(python)}, not {spec.python}"


def _missing(spec: EnvSpec, tree: Path) -> Iterator[Artefact]:
    installed = set(_information(tree))
    for wheel in spec.wheels:
        if _normal("-".join(wheel.name.split("-")[:2])) not in installed:
            yield wheel
    for module in spec.modules:
        if not (tree / module.path / "package.json").is_file():
            yield module.artefact
    directories = [(item.path, item.artefact) for item in spec.projects]
    directories += [(item.path, item.artefact) for item in spec.programs]
    yield from (artefact for path, artefact in directories if not (tree / path).is_dir())


def _information(tree: Path) -> dict[str, Path]:
    """Name and version, normalised -> the directory that says what belongs to them."""
    found = tree.glob(f"lib/python*/site-packages/*{_INFO}")
    return {_normal(path.name.removesuffix(_INFO)): path for path in sorted(found)}


def _normal(text: str) -> str:
    return _RUN.sub("-", text).lower()


def contents_of(spec: EnvSpec, tree: Path, blobs: Blobs) -> Contents:
    """Compare every file of a finished environment, and of what it shares with others, with what was written down of it.

    The files of wheels are compared with the wheels as well, as far as the store has these: whoever changes a file may change a
    list of hashes too. Of what an earlier version has built there is no list but those of Python packages themselves.

    Args:
        spec: What the environment should be.
        tree: Where it is.
        blobs: The store's.

    Raises:
        OSError: A list is there and cannot be read.
    """
    parts = {"": compare_contents(tree)} | {f"{root}/": compare_contents(root) for root in shared_trees(spec)}
    listed = {place: found for place, found in parts.items() if found}
    files = sum(found.files for found in listed.values())
    altered = {place + path for place, found in listed.items() for path in found.altered}
    if "" not in listed:
        recorded, others = _altered_files(tree)
        files += recorded
        altered.update(others)
    damaged = []
    try:
        members, others = _altered_members(spec, tree, blobs)
        files = max(files, members)
        altered.update(others)
    except WrongHash as error:
        damaged.append(str(error))
    return Contents(
        files=files,
        altered=tuple(sorted(altered)),
        added=tuple(sorted(place + path for place, found in listed.items() for path in found.added)),
        damaged=tuple(damaged),
        unknown=_unlisted([place for place in parts if place not in listed], files),
    )


def _unlisted(places: Sequence[str], files: int) -> str:
    why = "built before hatchlock wrote down what is in one"
    if "" in places:
        return f"only {files} files of Python packages could be compared: it was {why}"
    return "; ".join(f"{place.rstrip('/')} cannot be compared: it was {why}" for place in places)


def _altered_files(tree: Path) -> tuple[int, tuple[str, ...]]:
    """Compare the files of Python packages with their RECORDs (the installation's own list of hashes).

    Returns:
        How many files have a hash, and the paths, below the environment and sorted, of those that are others or gone.
    """
    checked = 0
    wrong = []
    for information in _information(tree).values():
        for path, expected in _recorded(information):
            checked += 1
            if _hash(path) != expected:
                wrong.append(os.path.relpath(path, tree))
    return checked, tuple(sorted(wrong))


def _recorded(information: Path) -> Iterator[tuple[Path, str]]:
    record = information / "RECORD"
    if not record.is_file():
        yield record, "sha256="
        return
    with record.open(encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            if len(row) > 1 and row[1].startswith("sha256="):
                yield information.parent / row[0], row[1]


def _hash(path: Path) -> str:
    try:
        return _hash_of(path.read_bytes())
    except OSError:
        return ""


def _hash_of(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _altered_members(spec: EnvSpec, tree: Path, blobs: Blobs) -> tuple[int, tuple[str, ...]]:
    """Compare the files of Python packages with the wheels that they came from, as far as the store has these.

    A wheel is checked before it is believed. What an installation writes by itself, commands and what goes elsewhere than the
    import path, is not looked at.

    Raises:
        WrongHash: A blob of the store is damaged; it is removed.
    """
    (site, *_) = (*tree.glob("lib/python*/site-packages"), tree)
    compared = 0
    wrong = []
    for wheel in spec.wheels:
        if not blobs.has(wheel.digest):
            continue
        blobs.verify(wheel.digest)
        with zipfile.ZipFile(blobs.path(wheel.digest)) as archive:
            for member in archive.infolist():
                place = member.filename.partition("/")[0]
                if member.is_dir() or place.endswith(".data") or member.filename.endswith(f"{_INFO}/RECORD"):
                    continue
                compared += 1
                path = site / member.filename
                if _hash(path) != _hash_of(archive.read(member)):
                    wrong.append(os.path.relpath(path, tree))
    return compared, tuple(sorted(wrong))


def size_of(tree: Path) -> int:
    """Return the bytes of all files below a directory, each file once however many names it has; links are not followed."""
    sizes: dict[tuple[int, int], int] = {}
    for directory, _, names in os.walk(tree):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # whoever builds or deletes it has just deleted that
                facts = os.lstat(f"{directory}/{name}")
                sizes[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(sizes.values())
