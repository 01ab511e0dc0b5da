from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hatchlock.lock.model import File
from hatchlock.net.http import Http, Unreachable
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.direct_wheel import BadDirectUrl, named_file
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.sdists import SourceOnly
from support.index import Release, serving

RELEASE = Release(name="my-thing", version="1.0", requires=["anyio>=4"], scripts={"thing": "thing:main"})
DIGEST = hashlib.sha256(RELEASE.data).hexdigest()


@contextmanager
def _source(tmp_path: Path, *, offline: bool = False, refresh: bool = False) -> Iterator[PypiSource]:
    with (
        Http(environ={}, offline=offline) as http,
        PypiSource(http=http, cache_dir=tmp_path, indexes=[], refresh=refresh) as source,
    ):
        yield source


def _url(index_url: str, release: Release = RELEASE) -> str:
    return f"{index_url.removesuffix('simple/')}files/{release.file_name}"


def test_a_wheel_is_taken_by_its_address_and_hash(tmp_path: Path) -> None:
    with serving(RELEASE) as index, _source(tmp_path) as source:
        url = _url(index.url)
        wheel = source.direct_wheel(f"{url}#sha256={DIGEST.upper()}", "My_Thing")
        assert wheel.package.id == "pypi:my-thing@1.0"
        assert (wheel.package.location, wheel.package.source_class) == (url, "url")
        assert wheel.package.files == (File(name=RELEASE.file_name, sha256=DIGEST),)
        assert wheel.package.scripts == {"thing": "thing:main"}
        assert wheel.metadata.requires_dist == ("anyio>=4",)
        assert source.fetch_url(wheel.package, wheel.package.files[0]) == url
    assert index.asked_for("/simple/") == []


def test_without_a_hash_it_is_fetched_once_to_find_it_out(tmp_path: Path) -> None:
    with serving(RELEASE) as index:
        for offline in (False, False, True):
            with _source(tmp_path, offline=offline) as source:
                (file,) = source.direct_wheel(_url(index.url), "my-thing").package.files
                assert (file.sha256, file.size) == (DIGEST, len(RELEASE.data))
        assert len([line for line in index.asked if "bytes=" not in line]) == 1
        index.releases[0] = other = Release(name="my-thing", version="1.0", requires=["trio"])
        with _source(tmp_path, refresh=True) as source:
            (file,) = source.direct_wheel(_url(index.url), "my-thing").package.files
        assert file.sha256 == hashlib.sha256(other.data).hexdigest()


def test_an_address_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with serving() as index, _source(tmp_path) as source, pytest.raises(Unreachable):
        source.direct_wheel(_url(index.url), "my-thing")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/other-1.0-py3-none-any.whl", "it is other, not my-thing"),
        ("https://example.com/my_thing-1.0.whl", "Invalid wheel"),
        ("https://example.com/my_thing-1.0-py3-none-x%2F..%2Fany.whl", "name of a file"),
        ("https://example.com/download", "Invalid wheel"),
        ("https://example.com/", "name of a file"),
        ("file:///tmp/my_thing-1.0-py3-none-any.whl", "no http"),
        ("https://anna:geheim@example.com/my_thing-1.0-py3-none-any.whl", "user name and password"),
    ],
)
def test_what_is_no_wheel_of_that_name_is_refused(url: str, why: str) -> None:
    with pytest.raises(BadDirectUrl, match=why) as caught:
        named_file(url, "my-thing")
    assert "geheim" not in f"{caught.value} {caught.value.hint}"


def test_a_source_distribution_is_refused_as_from_an_index() -> None:
    with pytest.raises(SourceOnly, match=r"https://example\.com/my_thing-1\.0\.tar\.gz"):
        named_file("https://example.com/my_thing-1.0.tar.gz#sha256=00", "my-thing")


def test_a_wheel_with_other_bytes_than_its_hash_is_refused(tmp_path: Path) -> None:
    with serving(RELEASE, ranges=False) as index, _source(tmp_path) as source, pytest.raises(BadAnswer, match="sha256"):
        source.direct_wheel(f"{_url(index.url)}#sha256={'0' * 64}", "my-thing")
