"""A project's page on a simple index (PEP 503, 592, 629, 658, 691, 700, 714, 740), decoded only as far as somebody asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urljoin

from packaging.version import InvalidVersion, Version

from hatchlock.net.credentials import without_userinfo
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.page_text import Place, outline
from hatchlock.sources.python.versions import Versions

__all__ = ["ACCEPT", "SDIST_SUFFIXES", "IndexFile", "ProjectPage", "is_file_name"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_API_MAJOR = "1"
SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz")
"""How the names of source distributions end; the first is what PEP 625 left."""
_WHEEL_DASHES = 4
# the name becomes that of a file here: no directory in it, nothing that a terminal or a shell would take amiss
_FILE_NAME = re.compile(r"\w[\w.!+-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_Run = tuple[int, int]
"""Where files that follow each other begin and end in the text, commas between them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexFile:
    """A file on an index.

    Attributes:
        name: Its file name.
        url: Where it is; absolute, without userinfo.
        sha256: 64 hex digits, or "" if the index gives none.
        size: Bytes, or 0 if the index gives none.
        requires_python: A PEP 440 specifier as the index gives it, or "".
        uploaded: RFC 3339, or "" if the index does not say.
        yanked: PEP 592.
        yanked_reason: Why, if the index says so.
        core_metadata: The sha256 of its separate metadata file (PEP 658), "?" if there is one whose hash is not given,
            "" if there is none.
        signature: "attested" if the index offers attestations for it (PEP 740), "signed" if it offers an OpenPGP
            signature (PEP 503), else "unsigned". Nothing was verified.
    """

    name: str
    url: str
    sha256: str
    size: int = 0
    requires_python: str = ""
    uploaded: str = ""
    yanked: bool = False
    yanked_reason: str = ""
    core_metadata: str = ""
    signature: str = "unsigned"

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is a source distribution."""
        return self.name.endswith(".whl")


def is_file_name(name: str) -> bool:
    """Return whether a name can be that of a file here as it is."""
    return bool(_FILE_NAME.fullmatch(name))


class ProjectPage:
    """The files of a project, by version.

    Args:
        url: Where the page came from: file addresses may be relative to it.
        text: JSON objects of files (PEP 691), with anything between them.
        runs: Version, normalised -> where its files are in the text; newest first. From the cache as `1-2,5-9`.
        offset: Where the text begins in `text`.
    """

    def __init__(self, url: str, text: bytes, runs: Mapping[str, Sequence[_Run] | bytes], *, offset: int = 0) -> None:
        self.url = url
        self.versions = Versions(runs)
        self._text = text
        self._runs = runs
        self._offset = offset
        self._files: dict[Version, tuple[IndexFile, ...]] = {}

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Self:
        """Read the answer of a PEP 691 index.

        Args:
            data: The body.
            url: Where it came from.

        Raises:
            BadAnswer: It is not such a page.
        """
        found = outline(data)
        if found:
            _check_api(found.api, url)
            return cls(url, data, _by_version(found.places))
        try:
            page = json.loads(data)
            api = str(page["meta"]["api-version"])
            files = [(str(file["filename"]), file) for file in page["files"] if is_file_name(file["filename"])]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadAnswer(what=url, why=f"it is no page of a simple index ({error!r})") from error
        _check_api(api, url)
        return cls(url, *_encoded(files))

    @classmethod
    def from_html(cls, data: bytes, url: str) -> Self:
        """Read the answer of a PEP 503 index; see `from_json`."""
        from hatchlock.sources.python.simple_html import read_html  # noqa: PLC0415  rarely needed

        api, files = read_html(data.decode(errors="replace"))
        _check_api(api, url)
        return cls(url, *_encoded([(file["filename"], file) for file in files if is_file_name(file["filename"])]))

    @classmethod
    def from_cache(cls, body: bytes) -> Self:
        """Read what `to_cache` wrote.

        Raises:
            ValueError: It is something else.
        """
        end = body.index(b"\n\n")
        url, *lines = body[:end].decode().split("\n")
        pairs = (line.partition("\t") for line in lines)
        return cls(url, body, {version: runs.encode() for version, _, runs in pairs}, offset=end + 2)

    def to_cache(self) -> bytes:
        """Return the page as its address, lines of `version TAB places`, an empty line, and the text."""
        lines = (
            f"{version}\t{','.join(f'{start}-{end}' for start, end in self._places(version))}" for version in self._runs
        )
        return "\n".join([self.url, *lines, "", ""]).encode() + self._text[self._offset :]

    def files(self, version: Version) -> tuple[IndexFile, ...]:
        """Return the files of a version, sorted by name; () if there is no such version.

        Raises:
            BadAnswer: What the page says of them cannot be understood.
        """
        if version not in self._files:
            known = self.versions.spelling(version)
            try:
                rows = self._rows(known) if known else ()
                found = [_file(row, self.url) for row in rows if _version_of(row["filename"])]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadAnswer(what=self.url, why=f"it is no page of a simple index ({error!r})") from error
            self._files[version] = tuple(sorted(found, key=lambda file: file.name))
        return self._files[version]

    def _rows(self, version: str) -> Iterator[dict[str, Any]]:
        for start, end in self._places(version):
            yield from json.loads(b"[" + self._text[self._offset + start : self._offset + end] + b"]")

    def _places(self, version: str) -> Iterator[_Run]:
        runs = self._runs[version]
        if not isinstance(runs, bytes):
            yield from runs
            return
        for run in runs.split(b","):
            start, _, end = run.partition(b"-")
            yield int(start), int(end)


def _check_api(version: str, url: str) -> None:
    if version.partition(".")[0] != _API_MAJOR:
        raise BadAnswer(what=url, why=f"it speaks version {version} of the simple index API; 1 is understood")


def _encoded(files: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[bytes, Mapping[str, list[_Run]]]:
    """Return files that had to be decoded as those are that had not: as text, and where each is in it."""
    pieces: list[bytes] = []
    places: list[Place] = []
    position = 0
    for name, file in files:
        piece = json.dumps(file).encode()
        places.append((name, position, position + len(piece)))
        pieces.append(piece)
        position += len(piece) + 1
    return b",".join(pieces), _by_version(places)


def _by_version(places: Iterable[Place]) -> Mapping[str, list[_Run]]:
    groups: dict[str, list[_Run]] = {}
    version, stem = "", "\0"
    first = last = 0
    for name, start, end in places:
        # most files are of the same version as the one before: this loop is what a large page costs
        if not name.startswith(stem):
            if version:
                groups.setdefault(version, []).append((first, last))
            first, version = start, _version_of(name)
            stem = name[: name.find("-", name.find("-") + 1) + 1] if version and name.endswith(".whl") else "\0"
        last = end
    if version:
        groups.setdefault(version, []).append((first, last))
    found: dict[Version, list[_Run]] = {}
    for spelling, runs in groups.items():
        try:
            found.setdefault(Version(spelling), []).extend(runs)
        except InvalidVersion:
            continue
    return {str(version): found[version] for version in sorted(found, reverse=True)}


def _file(file: Mapping[str, Any], page_url: str) -> IndexFile:
    url, yanked = file["url"], file.get("yanked")
    # PEP 714: core-metadata is the name, data-dist-info-metadata the one that old indexes use
    metadata = file.get("core-metadata", file.get("dist-info-metadata"))
    return IndexFile(
        name=str(file["filename"]),
        url=_absolute(url, page_url),
        sha256=_sha256(file["hashes"].get("sha256")),
        size=size if isinstance(size := file.get("size"), int) else 0,
        requires_python=str(file.get("requires-python") or ""),
        uploaded=str(file.get("upload-time") or ""),
        yanked=bool(yanked),
        yanked_reason=yanked if isinstance(yanked, str) else "",
        core_metadata=metadata.get("sha256", "?") if isinstance(metadata, dict) else "?" if metadata else "",
        signature="attested" if file.get("provenance") else "signed" if file.get("gpg-sig") else "unsigned",
    )


def _absolute(url: str, page_url: str) -> str:
    address = url if url.startswith("https://") else urljoin(page_url, url)
    return without_userinfo(address) if "@" in address else address


def _sha256(text: Any) -> str:
    return text.lower() if isinstance(text, str) and _SHA256.fullmatch(text) else ""


def _version_of(name: str) -> str:
    """Return the version that a file's name gives (PEP 427, 625), or "" if it is no file of a package."""
    if name.endswith(".whl"):
        _, version, *rest = [*name.split("-", 3), ""]
        # a build tag begins with a digit, else the name is none (PEP 427)
        well_formed = (dashes := name.count("-")) == _WHEEL_DASHES or (dashes > _WHEEL_DASHES and rest[0][:1].isdigit())
        return version.replace("_", "-") if well_formed else ""
    for suffix in SDIST_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix).rpartition("-")[2]
    return ""
