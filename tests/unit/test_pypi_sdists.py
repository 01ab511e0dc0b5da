from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.version import Version

from hatchlock.net.http import Http
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.pypi import PypiSource, PythonIndex
from hatchlock.sources.python.sdists import SourceOnly, read_sdist
from hatchlock.sources.python.simple import IndexFile
from hatchlock.sources.python.targets import process_target
from support.index import Release, serving

LINUX = process_target("linux/amd64", "3.11")
STATIC = "Metadata-Version: 2.2\nName: thing\nVersion: 1.0\nRequires-Dist: anyio>=4\nRequires-Python: >=3.10\n"


def _sdist(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _release(info: str, *, folder: str = "thing-1.0") -> Release:
    members = {f"{folder}/setup.py": b"raise SystemExit", f"{folder}/PKG-INFO": info.encode()}
    return Release(name="thing", version="1.0", sdist=True, body=_sdist(members))


@contextmanager
def _source(tmp_path: Path, *releases: Release) -> Iterator[PypiSource]:
    with (
        serving(*releases) as index,
        Http(environ={}) as http,
        PypiSource(http=http, cache_dir=tmp_path, indexes=[PythonIndex(name="pypi", url=index.url)]) as source,
    ):
        yield source


def _error(tmp_path: Path, *releases: Release) -> SourceOnly | None:
    with _source(tmp_path, *releases) as source:
        assert source.candidate("thing", Version("1.0"), LINUX) is None
        return source.source_only("thing", Version("1.0"), "other 2.0")


def test_a_package_without_wheels_is_refused_with_its_requirer_and_what_allow_build_would_do(tmp_path: Path) -> None:
    error = _error(tmp_path, _release(STATIC))
    assert str(error) == ("thing 1.0, which other 2.0 requires, is published as source only (it would need anyio>=4)")
    assert error is not None
    assert 'allow-build = ["thing"] would build it in a sandbox without network' in error.hint


@pytest.mark.parametrize(
    "info",
    [
        STATIC.replace("2.2", "2.1"),
        STATIC + "Dynamic: Requires-Dist\n",
        STATIC + "Dynamic: requires-python\n",
        STATIC.replace("2.2", "two"),
        STATIC.replace("Name: thing\n", ""),
    ],
)
def test_what_a_build_may_change_is_not_told(tmp_path: Path, info: str) -> None:
    error = _error(tmp_path, _release(info))
    assert error is not None
    assert error.needs == ()


def test_other_dynamic_fields_do_not_matter(tmp_path: Path) -> None:
    error = _error(tmp_path, _release(STATIC + "Dynamic: License\n"))
    assert error is not None
    assert error.needs == ("anyio>=4",)


def test_only_the_archives_own_metadata_counts(tmp_path: Path) -> None:
    error = _error(tmp_path, _release(STATIC, folder="thing-1.0/vendored/other-1.0"))
    assert error is not None
    assert error.needs == ()


def test_a_broken_archive_is_still_explained(tmp_path: Path) -> None:
    error = _error(tmp_path, Release(name="thing", version="1.0", sdist=True, body=b"no archive"))
    assert error is not None
    assert error.needs == ()


def test_where_there_is_a_wheel_for_another_platform_it_is_not_source_only(tmp_path: Path) -> None:
    assert _error(tmp_path, _release(STATIC), Release(name="thing", version="1.0", tag="cp311-cp311-win32")) is None


def test_an_archive_that_unpacks_to_too_much_is_not_read_to_its_end(tmp_path: Path) -> None:
    info = tarfile.TarInfo("thing-1.0/zeros")
    info.size = 1 << 40
    body = gzip.compress(info.tobuf() + b"\0" * 1024)
    with serving(Release(name="thing", version="1.0", sdist=True, body=body)) as index, Http(environ={}) as http:
        url = f"{index.url.removesuffix('simple/')}files/thing-1.0.tar.gz"
        with pytest.raises(BadAnswer, match=r"thing-1\.0\.tar\.gz"):
            read_sdist(http, IndexFile(name="thing-1.0.tar.gz", url=url, sha256=""), scratch=tmp_path)


def test_other_bytes_than_the_index_says_are_refused(tmp_path: Path) -> None:
    with serving(_release(STATIC)) as index, Http(environ={}) as http:
        url = f"{index.url.removesuffix('simple/')}files/thing-1.0.tar.gz"
        with pytest.raises(BadAnswer, match="sha256"):
            read_sdist(http, IndexFile(name="thing-1.0.tar.gz", url=url, sha256="0" * 64), scratch=tmp_path)
