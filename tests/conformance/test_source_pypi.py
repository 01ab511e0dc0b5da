"""What every source must do, for the Python one, against a loopback index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from hatchlock.net.http import Http, Refused, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.sources.base import BadAnswer, FileGone, MissingHash, UnknownPackage
from hatchlock.sources.python.indexes import ClaimedTwice, NoIndex
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.pypi import PypiSource, PythonIndex
from hatchlock.sources.python.simple import IndexFile
from hatchlock.sources.python.targets import PythonTarget, process_target
from support.index import Index, Release, serving
from support.ports import free_port

LINUX = process_target("linux/amd64", "3.11")
MAC = process_target("darwin/arm64", "3.11")
IMPATIENT = Patience(repeats=0)


@contextmanager
def asking(
    url: str,
    cache_dir: Path,
    *,
    mirrors: Sequence[str] = (),
    ttl: float | None = None,
    others: Sequence[PythonIndex] = (),
    http_offline: bool = False,
    **options: Any,
) -> Iterator[PypiSource]:
    index = PythonIndex(name="pypi", url=url, mirrors=tuple(mirrors), ttl=ttl)
    with (
        Http(environ={}, offline=http_offline, patience=IMPATIENT) as http,
        PypiSource(http=http, cache_dir=cache_dir, indexes=[index, *others], **options) as source,
    ):
        yield source


def _wheel(source: PypiSource, target: PythonTarget = LINUX) -> IndexFile:
    candidate = source.candidate("thing", Version("1.0"), target)
    assert candidate is not None
    return candidate.file


def test_candidates_are_sorted_newest_first_and_the_same_twice(tmp_path: Path) -> None:
    releases = [Release(name="thing", version=version) for version in ("1.9", "1.10", "0.1")]
    with serving(*releases) as index:
        for cache in ("a", "a", "b"):
            with asking(index.url, tmp_path / cache) as source:
                assert [str(version) for version in source.versions("thing")] == ["1.10", "1.9", "0.1"]


def test_a_name_is_normalised(tmp_path: Path) -> None:
    with serving(Release(name="my-thing", version="1.0")) as index, asking(index.url, tmp_path) as source:
        assert list(source.versions("My_Thing")) == [Version("1.0")]
    assert index.asked == ["/simple/my-thing/"]


def test_an_unknown_name_is_reported_with_the_index(tmp_path: Path) -> None:
    with serving() as index, asking(index.url, tmp_path) as source, pytest.raises(UnknownPackage) as caught:
        source.versions("nothing")
    assert "nothing" in str(caught.value)
    assert index.url in str(caught.value)


def test_an_unreachable_index_is_reported_without_its_password(tmp_path: Path) -> None:
    url = f"http://anna:geheim@127.0.0.1:{free_port()}/simple/"
    with asking(url, tmp_path) as source, pytest.raises(Unreachable) as caught:
        source.versions("thing")
    assert "127.0.0.1" in str(caught.value)
    assert "geheim" not in f"{caught.value} {caught.value.hint}"


def test_a_mirror_is_asked_when_the_index_is_unreachable(tmp_path: Path) -> None:
    with (
        serving(Release(name="thing", version="1.0")) as index,
        asking(f"http://127.0.0.1:{free_port()}/simple/", tmp_path, mirrors=[index.url]) as source,
    ):
        assert list(source.versions("thing")) == [Version("1.0")]


def test_a_mirror_is_not_asked_for_what_the_index_does_not_have(tmp_path: Path) -> None:
    with (
        serving() as index,
        serving(Release(name="thing", version="1.0")) as mirror,
        asking(index.url, tmp_path, mirrors=[mirror.url]) as source,
        pytest.raises(UnknownPackage),
    ):
        source.versions("thing")
    assert mirror.asked == []


def test_a_mirror_must_have_the_same_digest(tmp_path: Path) -> None:
    locked = Release(name="thing", version="1.0")
    with serving(locked) as index, asking(index.url, tmp_path / "a") as source:
        file = File(name=locked.file_name, sha256=_wheel(source).sha256)
    gone = f"http://127.0.0.1:{free_port()}/simple/"
    with serving(locked) as mirror, asking(gone, tmp_path / "b", mirrors=[mirror.url]) as source:
        assert mirror.url.rpartition("/simple/")[0] in source.fetch_url(_locked(file), file)
    other = Release(name="thing", version="1.0", requires=["something-else"])
    with (
        serving(other) as mirror,
        asking(gone, tmp_path / "c", mirrors=[mirror.url]) as source,
        pytest.raises(FileGone, match=file.sha256),
    ):
        source.fetch_url(_locked(file), file)


def _private(url: str, *packages: str, name: str = "acme") -> PythonIndex:
    return PythonIndex(name=name, url=url, packages=packages)


def test_a_name_is_taken_from_the_index_that_claims_it_and_others_from_the_default_one(tmp_path: Path) -> None:
    public = (Release(name="acme-thing", version="9.0"), Release(name="thing", version="1.0"))
    with (
        serving(*public) as index,
        serving(Release(name="acme-thing", version="1.0")) as own,
        asking(index.url, tmp_path, others=[_private(own.url, "Acme_*")]) as source,
    ):
        assert list(source.versions("acme.thing")) == [Version("1.0")]
        assert list(source.versions("thing")) == [Version("1.0")]
        assert (source.index_name("acme-thing"), source.index_name("thing")) == ("acme", "pypi")
    assert index.asked_for("acme") == []
    assert own.asked == ["/simple/acme-thing/"]


def test_a_claimed_name_is_never_looked_for_elsewhere(tmp_path: Path) -> None:
    with (
        serving(Release(name="acme-thing", version="9.0")) as index,
        serving() as own,
        asking(index.url, tmp_path, others=[_private(own.url, "acme-*")]) as source,
    ):
        with pytest.raises(UnknownPackage) as caught:
            source.versions("acme-thing")
        assert caught.value.index == own.url
        own.failures["/simple/acme-other/"] = 1
        with pytest.raises(Unreachable):
            source.versions("acme-other")
    assert index.asked == []


def test_a_name_claimed_by_two_indexes_is_refused(tmp_path: Path) -> None:
    with serving() as index, serving(Release(name="acme-thing", version="1.0")) as own:
        others = [_private(own.url, "acme-*"), _private(own.url, "*-thing", name="things")]
        with (
            asking(index.url, tmp_path, others=others) as source,
            pytest.raises(ClaimedTwice, match="acme-thing is claimed by the indexes acme and things"),
        ):
            source.versions("acme-thing")
    assert (index.asked, own.asked) == ([], [])


def test_a_locked_file_is_fetched_from_the_index_that_the_lock_names(tmp_path: Path) -> None:
    public = Release(name="acme-thing", version="1.0")
    with serving(public) as index, serving(public) as own:
        file = File(name=public.file_name, sha256=_sha256_of(public))
        locked = Package(kind=Kind.PYPI, name="acme-thing", version="1.0", index="acme", files=(file,))
        with asking(index.url, tmp_path, others=[_private(own.url, "acme-*")]) as source:
            assert source.fetch_url(locked, file).startswith(own.url.rpartition("/simple/")[0])
        with asking(index.url, tmp_path) as source, pytest.raises(NoIndex, match="acme-thing from the index acme"):
            source.fetch_url(locked, file)


def test_credentials_in_the_address_are_used_and_refusal_is_reported(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0"), login=("anna", "geheim")) as index:
        with asking(index.url, tmp_path / "a") as source, pytest.raises(Refused):
            source.versions("thing")
        with asking(index.url.replace("//", "//anna:geheim@"), tmp_path / "b") as source:
            assert source.metadata(_wheel(source)).requires_dist == ()
    assert not any(b"geheim" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_best_wheel_of_each_target_is_taken(tmp_path: Path) -> None:
    tags = (
        "py3-none-any",
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
        "cp312-cp312-macosx_11_0_arm64",
    )
    with (
        serving(*(Release(name="thing", version="1.0", tag=tag) for tag in tags)) as index,
        asking(index.url, tmp_path) as source,
    ):
        assert "manylinux_2_17" in _wheel(source).name
        assert "cp311-macosx" in _wheel(source, MAC).name


@pytest.mark.parametrize(
    ("release", "why"),
    [
        (Release(name="thing", version="1.0", sdist=True), "source only"),
        (Release(name="thing", version="1.0", tag="cp311-cp311-win_amd64"), "no wheel for Python 3.11 on linux/amd64"),
        (Release(name="thing", version="1.0", requires_python=">=3.12"), "needs Python >=3.12"),
        (Release(name="thing", version="1.0", uploaded="2026-06-01T00:00:00Z"), "newer than exclude-newer"),
        (Release(name="thing", version="1.0", uploaded=None), "no upload time"),
    ],
)
def test_what_may_not_be_used_is_no_candidate_and_the_reason_is_told(
    tmp_path: Path, release: Release, why: str
) -> None:
    limit = datetime(2026, 5, 1, tzinfo=UTC)
    with serving(release) as index, asking(index.url, tmp_path, exclude_newer=limit) as source:
        assert source.candidate("thing", Version("1.0"), LINUX) is None
        assert why in source.why_not("thing", Version("1.0"), LINUX)


def test_a_file_without_a_hash_is_refused(tmp_path: Path) -> None:
    with (
        serving(Release(name="thing", version="1.0", hashed=False)) as index,
        asking(index.url, tmp_path) as source,
        pytest.raises(MissingHash, match=r"thing-1\.0"),
    ):
        _wheel(source)


def _metadata(index: Index, cache_dir: Path) -> WheelMetadata:
    with asking(index.url, cache_dir) as source:
        return source.metadata(_wheel(source))


def test_separate_metadata_is_taken_where_it_is_offered(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0", requires=["a"]), separate_metadata=True) as index:
        assert _metadata(index, tmp_path).requires_dist == ("a",)
    assert [line.partition(" ")[0] for line in index.asked] == [
        "/simple/thing/",
        "/files/thing-1.0-py3-none-any.whl.metadata",
    ]


def test_separate_metadata_with_another_hash_is_refused(tmp_path: Path) -> None:
    with (
        serving(Release(name="thing", version="1.0"), separate_metadata=True, wrong_metadata=True) as index,
        pytest.raises(BadAnswer, match="sha256"),
    ):
        _metadata(index, tmp_path)


def test_without_separate_metadata_one_range_is_enough(tmp_path: Path) -> None:
    release = Release(name="thing", version="1.0", requires=["a"], padding=500_000, scripts={"thing": "thing:main"})
    with serving(release) as index:
        metadata = _metadata(index, tmp_path)
    assert (metadata.requires_dist, metadata.scripts) == (("a",), {"thing": "thing:main"})
    (asked,) = index.asked_for("/files/")
    assert "bytes=" in asked


def test_a_long_description_takes_one_more_range(tmp_path: Path) -> None:
    release = Release(name="thing", version="1.0", requires=["a"], padding=500_000, headers=["", "x" * 100_000])
    with serving(release) as index:
        assert _metadata(index, tmp_path).requires_dist == ("a",)
    assert len(index.asked_for("/files/")) == 2


def test_metadata_at_the_beginning_of_a_large_wheel_does_not_cost_the_whole(tmp_path: Path) -> None:
    release = Release(name="thing", version="1.0", requires=["a"], padding=500_000, metadata_first=True)
    with serving(release) as index:
        assert _metadata(index, tmp_path).requires_dist == ("a",)
    _, second = index.asked_for("/files/")
    first, _, last = second.rpartition("=")[2].partition("-")
    assert int(last) - int(first) < 50_000


@pytest.mark.parametrize("switch", [{"ranges": False}, {"range_refusal": 416}, {"range_refusal": 501}])
def test_a_server_without_ranges_gives_the_whole_wheel(tmp_path: Path, switch: dict[str, Any]) -> None:
    with serving(Release(name="thing", version="1.0", requires=["a"]), **switch) as index:
        assert _metadata(index, tmp_path).requires_dist == ("a",)


def test_a_whole_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    with (
        serving(Release(name="thing", version="1.0", requires=["a"]), ranges=False) as index,
        asking(index.url, tmp_path) as source,
    ):
        file = _wheel(source)
        index.releases[0] = Release(name="thing", version="1.0", requires=["b"])
        with pytest.raises(BadAnswer, match="sha256"):
            source.metadata(file)


@pytest.mark.parametrize("body", [b"", b"no zip at all", b"PK\x05\x06" + b"\0" * 18])
def test_a_broken_wheel_is_named(tmp_path: Path, body: bytes) -> None:
    with (
        serving(Release(name="thing", version="1.0", body=body)) as index,
        pytest.raises(BadAnswer, match=r"thing-1\.0-py3-none-any\.whl"),
    ):
        _metadata(index, tmp_path)


def test_scripts_are_read_from_the_wheel_when_metadata_is_separate(tmp_path: Path) -> None:
    release = Release(name="thing", version="1.0", scripts={"thing": "thing:main"})
    with serving(release, separate_metadata=True) as index, asking(index.url, tmp_path) as source:
        file = _wheel(source)
        assert source.metadata(file).scripts is None
        assert source.metadata_with_scripts(file).scripts == {"thing": "thing:main"}


def test_within_the_ttl_nobody_is_asked_again(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0", requires=["a"])) as index:
        first = _metadata(index, tmp_path)
        asked = list(index.asked)
        assert _metadata(index, tmp_path) == first
        assert index.asked == asked


def test_after_the_ttl_or_with_refresh_the_page_is_asked_for_again_and_metadata_is_not(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0")) as index:
        _metadata(index, tmp_path)
        for options in ({"ttl": 0}, {"refresh": True}):
            with asking(index.url, tmp_path, **options) as source:
                source.metadata(_wheel(source))
    assert len(index.asked_for("/simple/")) == 3
    assert len(index.asked_for("/files/")) == 1


def test_a_page_that_did_not_change_is_confirmed_and_counts_as_fetched(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0"), etag=True) as index:
        for refresh in (False, True, False):
            with asking(index.url, tmp_path, refresh=refresh) as source:
                assert list(source.versions("thing")) == [Version("1.0")]
        assert len(index.asked) == 2
        index.releases.append(Release(name="thing", version="2.0"))
        with asking(index.url, tmp_path, refresh=True) as source:
            assert source.versions("thing")[0] == Version("2.0")


def test_offline_answers_from_the_cache_at_any_age(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0", requires=["a"])) as index:
        _metadata(index, tmp_path)
    with asking(index.url, tmp_path, http_offline=True, ttl=0) as source:
        assert source.metadata(_wheel(source)).requires_dist == ("a",)
        with pytest.raises(Unreachable, match="offline"):
            source.versions("other")


@pytest.mark.parametrize("failure", ["gone", 503])
def test_an_old_page_is_used_when_the_index_cannot_be_reached_and_named(tmp_path: Path, failure: object) -> None:
    releases = [Release(name="thing", version="1.0"), Release(name="other", version="1.0")]
    with serving(*releases) as index:
        with asking(index.url, tmp_path) as source:
            source.versions("thing")
        url = index.url
        if failure == 503:
            index.failures["/simple/thing/"] = 2
            _use_stale(url, tmp_path)
            _use_stale(url, tmp_path)
            with asking(url, tmp_path, ttl=0) as source:
                source.versions("thing")
                assert source.stale == {}
    if failure == "gone":
        _use_stale(url, tmp_path)


def _use_stale(url: str, cache_dir: Path) -> None:
    (kept,) = (path for path in cache_dir.rglob("*") if path.is_file())
    before = kept.read_bytes()
    with asking(url, cache_dir, ttl=0) as source:
        assert list(source.versions("thing")) == [Version("1.0")]
        assert list(source.stale) == ["thing"]
        assert 0 < source.stale["thing"] < 60
    assert kept.read_bytes() == before


def test_with_refresh_an_old_page_is_not_good_enough(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0")) as index, asking(index.url, tmp_path) as source:
        source.versions("thing")
    with asking(index.url, tmp_path, refresh=True) as source, pytest.raises(Unreachable):
        source.versions("thing")


def test_a_fresh_page_is_not_called_stale_and_an_old_one_is_offline(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, []),
        ({}, []),
        ({"http_offline": True}, []),
        ({"http_offline": True, "ttl": 0}, ["thing"]),
    ]
    with serving(Release(name="thing", version="1.0")) as index:
        for options, stale in cases:
            with asking(index.url, tmp_path, **options) as source:
                source.versions("thing")
                assert list(source.stale) == stale


def test_what_is_at_hand_costs_no_request(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0")) as index:
        with asking(index.url, tmp_path) as source:
            assert source.page_at_hand("thing") is None
            source.versions("thing")
            assert source.page_at_hand("Thing") is source.page("thing")
        with asking(index.url, tmp_path) as source:
            assert source.page_at_hand("thing") is source.page("thing")
        with asking(index.url, tmp_path, ttl=0) as source:
            assert source.page_at_hand("thing") is None
        with asking(index.url, tmp_path, refresh=True) as source:
            assert source.page_at_hand("thing") is None
    assert index.asked == ["/simple/thing/"]


def test_a_damaged_cache_is_fetched_again(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0", requires=["a"])) as index:
        _metadata(index, tmp_path)
        for path in [item for item in tmp_path.rglob("*") if item.is_file()]:
            path.write_bytes(b"damaged")
        assert _metadata(index, tmp_path).requires_dist == ("a",)


def test_two_indexes_do_not_share_pages(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0")) as one, serving(Release(name="thing", version="2.0")) as two:
        for index, version in ((one, "1.0"), (two, "2.0")):
            with asking(index.url, tmp_path) as source:
                assert list(source.versions("thing")) == [Version(version)]


def test_an_index_that_speaks_html_only_works_the_same(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0", requires=["a"]), as_html=True) as index:
        assert _metadata(index, tmp_path).requires_dist == ("a",)


def test_a_page_that_is_none_is_reported(tmp_path: Path) -> None:
    with (
        serving(raw_pages={"thing": b"<html>log in here"}) as index,
        asking(index.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="thing"),
    ):
        source.versions("thing")


def _locked(file: File) -> Package:
    return Package(kind=Kind.PYPI, name="thing", version="1.0", files=(file,))


def test_the_address_of_a_locked_file_is_found_by_name_and_hash(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0")) as index, asking(index.url, tmp_path) as source:
        found = _wheel(source)
        file = File(name=found.name, sha256=found.sha256)
        assert source.fetch_url(_locked(file), file) == found.url


def test_a_locked_file_whose_hash_changed_is_not_found(tmp_path: Path) -> None:
    file = File(name="thing-1.0-py3-none-any.whl", sha256="0" * 64)
    with (
        serving(Release(name="thing", version="1.0")) as index,
        asking(index.url, tmp_path) as source,
        pytest.raises(FileGone, match=r"thing-1\.0-py3-none-any\.whl"),
    ):
        source.fetch_url(_locked(file), file)


def test_a_file_that_came_after_the_cached_page_is_found(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0", tag="cp310-cp310-win32")) as index:
        with asking(index.url, tmp_path) as source:
            source.versions("thing")
        index.releases.append(Release(name="thing", version="1.0"))
        with asking(index.url, tmp_path / "fresh") as source:
            found = _wheel(source)
        file = File(name=found.name, sha256=found.sha256)
        with asking(index.url, tmp_path) as source:
            assert source.fetch_url(_locked(file), file) == found.url


def _sha256_of(release: Release) -> str:
    return hashlib.sha256(release.data).hexdigest()


def test_versions_are_ordered_by_epoch_and_local_part(tmp_path: Path) -> None:
    versions = ["1.0", "1.0+cpu", "1.0+cpu.2", "1!0.1", "1.0.post1", "1.0.dev1", "1.0rc1"]
    with (
        serving(*(Release(name="thing", version=version) for version in versions)) as index,
        asking(index.url, tmp_path) as source,
    ):
        found = [str(version) for version in source.versions("thing")]
        assert found == ["1!0.1", "1.0.post1", "1.0+cpu.2", "1.0+cpu", "1.0", "1.0rc1", "1.0.dev1"]
        for version in source.versions("thing"):
            candidate = source.candidate("thing", version, LINUX)
            assert candidate is not None
            assert candidate.id == f"pypi:thing@{version}"
            file = File(name=candidate.file.name, sha256=candidate.file.sha256)
            package = Package(kind=Kind.PYPI, name="thing", version=str(version), files=(file,))
            assert source.fetch_url(package, file) == candidate.file.url


def test_a_yanked_version_is_a_candidate_with_its_reason(tmp_path: Path) -> None:
    with (
        serving(Release(name="thing", version="1.0", yanked="it deletes files")) as index,
        asking(index.url, tmp_path) as source,
    ):
        file = _wheel(source)
        assert (file.yanked, file.yanked_reason) == (True, "it deletes files")
        assert not source.has_final("thing", LINUX)


def test_of_two_wheels_of_a_version_the_one_that_is_not_yanked_is_taken(tmp_path: Path) -> None:
    releases = (
        Release(name="thing", version="1.0", tag="cp311-cp311-manylinux_2_17_x86_64", yanked=True),
        Release(name="thing", version="1.0"),
    )
    with serving(*releases) as index, asking(index.url, tmp_path) as source:
        assert _wheel(source).name == "thing-1.0-py3-none-any.whl"


def test_a_file_of_another_project_on_the_page_is_not_taken(tmp_path: Path) -> None:
    with serving(Release(name="thing", version="1.0")) as index:
        page = index.page("thing")
        assert page is not None
        page["files"][0]["filename"] = "other-1.0-py3-none-any.whl"
        index.raw_pages["thing"] = json.dumps(page).encode()
        with asking(index.url, tmp_path) as source:
            assert source.candidate("thing", Version("1.0"), LINUX) is None
