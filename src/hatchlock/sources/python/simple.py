"""A project's page on a simple index (PEP 503, 592, 629, 658, 691, 700, 714), read only as far as somebody asks.

Pages can hold 15,000 files. So the files stay as the decoder gave them, or in the cache's form as undecoded lines, one
for each version, until a version is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import urljoin

from packaging.version import InvalidVersion, Version

from hatchlock.sources.base import BadAnswer

__all__ = ["ACCEPT", "IndexFile", "ProjectPage"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_API_MAJOR = "1"
_SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz")
_WHEEL_PARTS = (5, 6)
# the name becomes that of a file here: no directory in it, nothing that a terminal or a shell would take amiss
_FILE_NAME = re.compile(r"\w[\w.!+-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# name, url, sha256, size, requires-python, upload-time, yanked, core-metadata
_Row = Sequence[Any]


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
        core_metadata: The sha256 of its separate metadata file (PEP 658), "?" if there is one whose hash is not given,
            "" if there is none.
    """

    name: str
    url: str
    sha256: str
    size: int
    requires_python: str
    uploaded: str
    yanked: bool
    core_metadata: str

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel; else it is a source distribution."""
        return self.name.endswith(".whl")


class ProjectPage:
    """The files of a project, grouped by version.

    Args:
        groups: Version as the file names write it -> its files, as rows or as an undecoded JSON list of rows.
    """

    def __init__(self, groups: Mapping[str, list[_Row] | bytes]) -> None:
        self._groups = groups
        self._files: dict[Version, tuple[IndexFile, ...]] = {}

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Self:
        """Read the answer of a PEP 691 index.

        Args:
            data: The body.
            url: Where it came from: file addresses may be relative to it.

        Raises:
            BadAnswer: It is not such a page.
        """
        try:
            page = json.loads(data)
            api = str(page["meta"]["api-version"])
            files = [_row(file, url) for file in page["files"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadAnswer(what=url, why=f"it is no page of a simple index ({error!r})") from error
        _check_api(api, url)
        return cls(_grouped(files))

    @classmethod
    def from_html(cls, data: bytes, url: str) -> Self:
        """Read the answer of a PEP 503 index; see `from_json`."""
        from hatchlock.sources.python.simple_html import read_html  # noqa: PLC0415  rarely needed

        api, files = read_html(data.decode(errors="replace"))
        _check_api(api, url)
        return cls(_grouped([_row(file, url) for file in files]))

    @classmethod
    def from_cache(cls, body: bytes) -> Self:
        """Read what `to_cache` wrote."""
        pairs = (line.partition(b"\t") for line in body.splitlines())
        return cls({version.decode(): rows for version, _, rows in pairs})

    def to_cache(self) -> bytes:
        """Return the page as lines of `version TAB json`."""
        lines = (
            version.encode() + b"\t" + (rows if isinstance(rows, bytes) else json.dumps(rows).encode())
            for version, rows in self._groups.items()
        )
        return b"\n".join(lines)

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """Every version with a wheel or source distribution, newest first (PEP 440); unreadable ones are left out."""
        return tuple(sorted(self._spellings, reverse=True))

    def files(self, version: Version) -> tuple[IndexFile, ...]:
        """Return the files of a version, sorted by name; () if there is no such version."""
        if version not in self._files:
            rows = [row for spelling in self._spellings.get(version, ()) for row in self._rows(spelling)]
            self._files[version] = tuple(_file(row) for row in sorted(rows, key=lambda row: row[0]))
        return self._files[version]

    @cached_property
    def _spellings(self) -> Mapping[Version, list[str]]:
        found: dict[Version, list[str]] = {}
        for spelling in self._groups:
            try:
                found.setdefault(Version(spelling), []).append(spelling)
            except InvalidVersion:
                continue
        return found

    def _rows(self, spelling: str) -> list[_Row]:
        rows = self._groups[spelling]
        return json.loads(rows) if isinstance(rows, bytes) else rows


def _check_api(version: str, url: str) -> None:
    if version.partition(".")[0] != _API_MAJOR:
        raise BadAnswer(what=url, why=f"it speaks version {version} of the simple index API; 1 is understood")


def _row(file: Mapping[str, Any], page_url: str) -> _Row:
    url = file["url"]
    # PEP 714: core-metadata is the name, data-dist-info-metadata the one that old indexes use
    metadata = file.get("core-metadata", file.get("dist-info-metadata"))
    return (
        file["filename"],
        url if url.startswith("https://") else urljoin(page_url, url),
        _sha256(file["hashes"].get("sha256")),
        size if isinstance(size := file.get("size"), int) else 0,
        file.get("requires-python") or "",
        file.get("upload-time") or "",
        bool(file.get("yanked")),
        metadata.get("sha256", "?") if isinstance(metadata, dict) else "?" if metadata else "",
    )


def _sha256(text: Any) -> str:
    return text.lower() if isinstance(text, str) and _SHA256.fullmatch(text) else ""


def _file(row: _Row) -> IndexFile:
    name, url, sha256, size, requires_python, uploaded, yanked, core_metadata = row
    return IndexFile(
        name=name,
        url=url,
        sha256=sha256,
        size=size,
        requires_python=requires_python,
        uploaded=uploaded,
        yanked=yanked,
        core_metadata=core_metadata,
    )


def _grouped(rows: Iterable[_Row]) -> Mapping[str, list[_Row]]:
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        version = _version_of(row[0])
        if version:
            groups.setdefault(version, []).append(row)
    return groups


def _version_of(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        return ""
    if name.endswith(".whl"):
        parts = name[:-4].split("-")
        return parts[1].replace("_", "-") if len(parts) in _WHEEL_PARTS else ""
    for suffix in _SDIST_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix).rpartition("-")[2]
    return ""
