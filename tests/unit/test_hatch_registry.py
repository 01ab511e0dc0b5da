"""Hatch's registry as a source, against one on loopback."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hatchlock.lock.model import File
from hatchlock.net.http import Http, Offline, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.realise.unpack import BadArchive
from hatchlock.sources.base import BadAnswer, UnknownPackage
from hatchlock.sources.claims import ClaimedTwice
from hatchlock.sources.hatch.archive import read_archive, unpack_archive
from hatchlock.sources.hatch.documents import DEFAULT_URL
from hatchlock.sources.hatch.index import IndexPackage, read_index
from hatchlock.sources.hatch.problems import BadHatchMetadata, BadHatchPackage
from hatchlock.sources.hatch.registry import HatchIndex, HatchRegistry
from hatchlock.sources.hatch.trouble import (
    HatchArchiveTooLarge,
    NoHatchVersion,
    SeveralRepositories,
    UnknownRepository,
)
from hatchlock.store.blobs import Blobs, TooLong, WrongHash
from support.archives import Item, make_zip
from support.hatch_registry import HatchPackage, HatchServer, hatch_metadata, serving_hatch
from support.ports import closed_address

BASE = {"hatch": [{"name": "base_pkg", "version_constraint": ">=1.0.0"}]}
CORE = [
    HatchPackage(name="core"),
    HatchPackage(
        name="core",
        version="1.10.0",
        dependencies={
            "hatch": [{"name": "base_pkg", "version_constraint": ">= 1.0.0"}],
            "python": [{"name": "Num_Py", "version_constraint": ">=1.20"}],
        },
    ),
    HatchPackage(
        name="core",
        version="2.0.0",
        dependencies={
            "hatch": [{"name": "base_pkg", "version_constraint": ">=2.0.0"}],
            "python": [{"name": "maboss", "version_constraint": ">=2.5", "package_manager": "conda"}],
        },
    ),
    HatchPackage(
        name="core",
        version="2.1.0",
        dependencies={
            "hatch": [{"name": "base_pkg", "version_constraint": ">=2.0.0"}, {"name": "more_pkg"}],
            "python": [{"name": "maboss", "version_constraint": ">=2.6", "package_manager": "conda"}],
        },
    ),
    HatchPackage(name="core", version="1.9.0", base="1.0.0"),
]
NEEDS = {
    "1.0.0": (),
    "1.9.0": (),
    "1.10.0": ("hatch:base_pkg>=1.0.0", "pypi:num-py>=1.20"),
    "2.0.0": ("conda:maboss>=2.5", "hatch:base_pkg>=2.0.0"),
    "2.1.0": ("conda:maboss>=2.6", "hatch:base_pkg>=2.0.0", "hatch:more_pkg"),
}


@contextmanager
def asking(url: str, cache: Path, **options: Any) -> Iterator[HatchRegistry]:
    indexes = options.pop("indexes", [HatchIndex(url=url, **options.pop("index", {}))])
    with (
        Http(environ={}, patience=Patience(repeats=0)) as http,
        HatchRegistry(http=http, cache_dir=cache, indexes=indexes, **options) as registry,
    ):
        yield registry


@pytest.mark.parametrize("form", ["1.1.0", "1.2.0"])
def test_a_version_needs_what_its_own_chain_of_differences_says(tmp_path: Path, form: str) -> None:
    with serving_hatch(CORE, form=form) as server, asking(server.index_url, tmp_path) as registry:
        found = registry.versions("core")
        assert [item.version for item in found] == ["2.1.0", "2.0.0", "1.10.0", "1.9.0", "1.0.0"]
        assert {item.version: item.dependencies for item in found} == NEEDS
        assert registry.release("core", "1.10").dependencies == NEEDS["1.10.0"]
    assert len(server.asked) == 1


def test_form_1_2_0_has_system_packages_images_and_a_verification(tmp_path: Path) -> None:
    needs = {
        "system": [{"name": "curl", "version_constraint": ">=7.0.0"}],
        "docker": [{"name": "nginx", "version_constraint": ">=1.25.0"}],
    }
    marked = {"verification": {"status": "deprecated", "notes": "use other_pkg"}}
    compatible = {"compatibility_changes": {"python": ">= 3.9"}}
    packages = [
        HatchPackage(name="thing", dependencies=needs, entry=compatible),
        HatchPackage(name="thing", version="1.1", dependencies={}, entry=marked),
    ]
    with serving_hatch(packages) as server, asking(server.index_url, tmp_path) as registry:
        new, old = registry.versions("thing")
    assert old.dependencies == ("deb:curl>=7.0.0", "oci:nginx>=1.25.0")
    assert (new.dependencies, new.requires_python) == ((), ">=3.9")
    assert (old.status, old.note) == ("validated", "")
    assert new.note == "main:thing@1.1 is marked as deprecated by its registry: use other_pkg"
    assert (old.author, old.added) == ("anna-example", "2026-01-01T00:00:00.000001")


def test_a_changed_constraint_keeps_what_was_said_before(tmp_path: Path) -> None:
    conda = {"name": "maboss", "version_constraint": ">=2.5", "package_manager": "conda", "channel": "colomoto"}
    changes = {"python": {"modified": [{"name": "maboss", "version_constraint": ">=2.6"}]}}
    packages = [
        HatchPackage(name="core", dependencies={"python": [conda]}),
        HatchPackage(name="core", version="1.1", entry={"dependency_changes": changes}),
    ]
    with serving_hatch(packages) as server, asking(server.index_url, tmp_path) as registry:
        assert registry.release("core", "1.1").dependencies == ("conda:colomoto::maboss>=2.6",)


def test_a_base_version_that_is_missing_is_an_error_of_its_package_alone(tmp_path: Path) -> None:
    packages = [HatchPackage(name="thing", version="1.1", base="1.0"), HatchPackage(name="other")]
    with serving_hatch(packages) as server, asking(server.index_url, tmp_path) as registry:
        with pytest.raises(BadAnswer, match=r"thing 1\.1 is a difference against 1\.0, which is not there"):
            registry.versions("thing")
        assert registry.release("other", "1.0.0").dependencies == ()


def test_base_versions_in_a_circle_are_an_error(tmp_path: Path) -> None:
    packages = [HatchPackage(name="thing", version="1.0", base="1.1"), HatchPackage(name="thing", version="1.1")]
    with (
        serving_hatch(packages) as server,
        asking(server.index_url, tmp_path) as registry,
        pytest.raises(BadAnswer, match=r"differences in a circle: 1\.0 -> 1\.1 -> 1\.0"),
    ):
        registry.versions("thing")


def read(*versions: dict[str, Any]) -> IndexPackage:
    """Return the one package of a document with these versions."""
    document = {
        "registry_schema_version": "1.2.0",
        "repositories": [{"name": "main", "packages": [{"name": "thing", "versions": versions}]}],
    }
    (package,) = read_index(json.dumps(document).encode(), index="hatch", url="https://hatch.example.com/i.json")[
        "main"
    ]
    return package


def version(number: str, **fields: Any) -> dict[str, Any]:
    return {"version": number, "release_uri": "https://hatch.example.com/a.zip", **fields}


def test_a_long_chain_of_differences_is_followed_once() -> None:
    """With the length to the power of three, a registry of one package could stop everybody who asks it."""
    first = version("1.0", dependency_changes={"system": {"added": [{"name": "git"}]}})
    chain = [version(f"1.{number}", base_version=f"1.{number - 1}") for number in range(1, 3000)]
    began = time.process_time()
    found = read(first, *chain).releases()
    assert time.process_time() - began < 10
    assert (found[0].version, found[0].dependencies) == ("1.2999", ("deb:git",))


@pytest.mark.parametrize("address", ["http://[", "//[::1/x.zip"])
def test_an_address_that_is_none_is_an_error(address: str) -> None:
    with pytest.raises(BadAnswer, match=r"the archive of thing 1\.0 is at no address"):
        read(version("1.0", release_uri=address)).releases()


def test_numbers_too_long_for_anybody_are_an_error() -> None:
    with pytest.raises(BadAnswer, match="is no version"):
        read(version("9" * 5000))
    changes = {"system": {"added": [{"name": "git", "version_constraint": f">={'9' * 5000}"}]}}
    with pytest.raises(BadAnswer, match="thing needs 'git'"):
        read(version("1.0", dependency_changes=changes)).releases()


def test_a_name_in_two_repositories_needs_a_prefix(tmp_path: Path) -> None:
    packages = [HatchPackage(name="thing", repository="ours"), HatchPackage(name="thing", repository="theirs")]
    with serving_hatch(packages) as server, asking(server.index_url, tmp_path) as registry:
        with pytest.raises(
            SeveralRepositories, match=r"thing is in more than one repository .*: ours, theirs"
        ) as caught:
            registry.versions("thing")
        assert caught.value.hint == "say which one: hatch:ours:thing"
        assert registry.versions("thing", "theirs")[0].id == "theirs:thing@1.0.0"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    packages = [HatchPackage(name="thing", repository="ours"), HatchPackage(name="other", repository="theirs")]
    with serving_hatch(packages) as server, asking(server.index_url, tmp_path) as registry:
        with pytest.raises(UnknownPackage, match="'nonexistent_pkg'"):
            registry.versions("nonexistent_pkg")
        with pytest.raises(UnknownPackage, match="repository theirs"):
            registry.versions("thing", "theirs")
        with pytest.raises(UnknownRepository) as unknown:
            registry.versions("thing", "our")
        assert unknown.value.hint == "did you mean 'ours'?"
        with pytest.raises(NoHatchVersion, match=r"thing has no version 1\.0\.2: there are 1\.0\.0"):
            registry.release("thing", "1.0.2")


def test_a_directory_of_that_name_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thing").mkdir()
    monkeypatch.chdir(tmp_path)
    with (
        serving_hatch(HatchPackage(name="other")) as server,
        asking(server.index_url, tmp_path) as registry,
        pytest.raises(UnknownPackage),
    ):
        registry.versions("thing")


def test_within_the_ttl_nobody_is_asked_and_the_age_is_that_of_the_last_fetch(tmp_path: Path) -> None:
    with serving_hatch(CORE) as server:
        with asking(server.index_url, tmp_path) as registry:
            registry.versions("core")
        for _ in range(2):
            with asking(server.index_url, tmp_path) as registry:
                registry.versions("core")
        assert len(server.asked) == 1
        server.failures["*"] = 2
        with asking(server.index_url, tmp_path, index={"ttl": 0.0}) as registry:
            assert registry.versions("core")
            assert list(registry.stale) == ["hatch"]
        # an answer that failed is no fetch: the document is as old as before, and is asked for again
        with asking(server.index_url, tmp_path, index={"ttl": 0.0}) as registry:
            assert registry.versions("core")
            assert list(registry.stale) == ["hatch"]
        assert len(server.asked) == 3


def test_what_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    with serving_hatch(CORE, etag=True) as server:
        for _ in range(2):
            with asking(server.index_url, tmp_path, index={"ttl": 0.0}) as registry:
                assert len(registry.versions("core")) == 5
            assert registry.stale == {}
    assert len(server.asked) == 2


def test_refreshing_asks_and_does_not_make_do_with_what_is_kept(tmp_path: Path) -> None:
    with serving_hatch(CORE) as server:
        for refresh in (False, True):
            with asking(server.index_url, tmp_path, refresh=refresh) as registry:
                registry.versions("core")
        assert len(server.asked) == 2
        server.failures["*"] = 1
        with asking(server.index_url, tmp_path, refresh=True) as registry, pytest.raises(Unreachable):
            registry.versions("core")


def test_offline_takes_what_is_kept_however_old_and_says_so_when_there_is_nothing(tmp_path: Path) -> None:
    with serving_hatch(CORE) as server:
        with asking(server.index_url, tmp_path) as registry:
            registry.versions("core")
        with asking(server.index_url, tmp_path, offline=True, index={"ttl": 0.0}) as registry:
            assert registry.versions("core")
            assert list(registry.stale) == ["hatch"]
        with asking(server.index_url, tmp_path / "other", offline=True) as registry, pytest.raises(Offline):
            registry.versions("core")
    assert len(server.asked) == 1


def test_the_newest_day_that_has_an_index_counts(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
    with (
        serving_hatch(CORE, dates=("2026-02-27", "2026-02-26")) as server,
        asking(server.index_url, tmp_path, now=lambda: now) as registry,
    ):
        assert len(registry.versions("core")) == 5
    days = [path.split("/")[1] for path in server.asked]
    assert days == ["2026-03-01", "2026-02-28", "2026-02-27"]


def test_a_week_without_an_index_is_an_error_that_names_the_address(tmp_path: Path) -> None:
    with (
        serving_hatch(CORE, dates=("2025-01-01",)) as server,
        asking(server.index_url, tmp_path) as registry,
        pytest.raises(Unreachable, match="HTTP 404"),
    ):
        registry.versions("core")
    assert len(server.asked) == 8


def test_hatchs_own_registry_has_a_day_in_its_address() -> None:
    assert HatchIndex().address == DEFAULT_URL
    assert "{date}" in DEFAULT_URL


def test_a_mirror_is_asked_when_the_index_cannot_be_reached(tmp_path: Path) -> None:
    with serving_hatch(CORE) as server:
        index = HatchIndex(url=closed_address("/index.json"), mirrors=(server.index_url,))
        with asking("", tmp_path, indexes=[index]) as registry:
            assert len(registry.versions("core")) == 5


def test_an_index_claims_names_and_no_other_has_them(tmp_path: Path) -> None:
    with serving_hatch(HatchPackage(name="acme_one")) as own, serving_hatch(HatchPackage(name="core")) as general:
        indexes = [
            HatchIndex(name="acme", url=own.index_url, packages=("acme_*",)),
            HatchIndex(url=general.index_url),
        ]
        with asking("", tmp_path, indexes=indexes) as registry:
            assert registry.versions("acme_one")[0].index == "acme"
            assert registry.versions("core")[0].index == "hatch"
            with pytest.raises(UnknownPackage, match="acme_two"):
                registry.versions("acme_two")
        twice = [HatchIndex(name=name, url=own.index_url, packages=("acme_*",)) for name in ("a", "b")]
        with asking("", tmp_path, indexes=twice) as registry, pytest.raises(ClaimedTwice, match="a, b"):
            registry.versions("acme_one")


def test_an_index_can_be_a_file_with_archives_beside_it(tmp_path: Path) -> None:
    package = HatchPackage(name="core", entry={"release_uri": "core.zip"})
    (tmp_path / "index.json").write_text(json.dumps(HatchServer(packages=[package]).document()))
    (tmp_path / "core.zip").write_bytes(package.archive)
    with asking((tmp_path / "index.json").as_uri(), tmp_path / "cache", offline=True) as registry:
        found = registry.archive(registry.release("core", "1.0.0"), tmp_path / "got.zip")
    assert found == File(name="core-v1.0.0.zip", sha256=package.sha256, size=len(package.archive))


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"[]",
        b'{"a": "\\ud800"}',
        b'{"repositories": []}',
        b'{"registry_schema_version": "2.0.0", "repositories": []}',
        b"\xff",
    ],
)
def test_an_answer_that_is_no_index_is_an_error(tmp_path: Path, data: bytes) -> None:
    with serving_hatch(CORE) as server, asking(server.index_url, tmp_path) as registry:
        server.raw["/hatch_packages_registry.json"] = data
        with pytest.raises(BadAnswer):
            registry.versions("core")


def test_a_constraint_of_the_index_that_is_none_is_an_error(tmp_path: Path) -> None:
    needs = {"python": [{"name": "numpy", "version_constraint": "about 1"}]}
    with (
        serving_hatch(HatchPackage(name="core", dependencies=needs)) as server,
        asking(server.index_url, tmp_path) as registry,
        pytest.raises(BadAnswer, match="core needs 'numpy'"),
    ):
        registry.versions("core")


def test_what_is_too_new_does_not_exist(tmp_path: Path) -> None:
    packages = [
        HatchPackage(name="core"),
        HatchPackage(name="core", version="1.1", entry={"added_date": "2026-06-01T00:00:00Z"}),
        HatchPackage(name="core", version="1.2", entry={"added_date": ""}),
    ]
    limit = datetime(2026, 6, 1, tzinfo=UTC)
    with (
        serving_hatch(packages) as server,
        asking(server.index_url, tmp_path, exclude_newer=limit) as registry,
    ):
        assert [item.version for item in registry.versions("core")] == ["1.0.0"]


def test_searching_looks_for_all_words_in_name_description_and_tags(tmp_path: Path) -> None:
    packages = [
        HatchPackage(name="weather_kit", metadata={"description": "Forecasts", "tags": ["Rain"]}),
        HatchPackage(name="weather_kit", version="1.1", metadata={"description": "Forecasts", "tags": ["Rain"]}),
        HatchPackage(name="rain_gauge"),
    ]
    with serving_hatch(packages) as server, asking(server.index_url, tmp_path) as registry:
        assert [item.id for item in registry.search(["rain"])] == ["main:rain_gauge@1.0.0", "main:weather_kit@1.1"]
        assert [item.name for item in registry.search(["RAIN", "forecast"])] == ["weather_kit"]
        assert list(registry.search(["snow"])) == []


# Archives


@pytest.mark.parametrize("directory", ["", "core-v1.0.0"])
def test_an_archive_is_hashed_and_read(tmp_path: Path, directory: str) -> None:
    package = HatchPackage(name="core", dependencies=BASE, directory=directory)
    with serving_hatch(package) as server, asking(server.index_url, tmp_path) as registry:
        release = registry.release("core", "1.0.0")
        file = registry.archive(release, tmp_path / "core.zip")
    assert file == File(name="core-v1.0.0.zip", sha256=package.sha256, size=len(package.archive))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = read_archive(tmp_path / "core.zip", release, scratch=scratch)
    assert found.facts.dependencies == ("hatch:base_pkg>=1.0.0",)
    assert found.document.file == "main:core@1.0.0/hatch_metadata.json"
    assert list(scratch.iterdir()) == []
    unpack_archive(tmp_path / "core.zip", tmp_path / "laid-out")
    assert sorted(path.name for path in (tmp_path / "laid-out").iterdir()) == sorted(package.contents)


def test_a_locked_archive_comes_into_the_store(tmp_path: Path) -> None:
    package = HatchPackage(name="core")
    file = File(name="core-v1.0.0.zip", sha256=package.sha256, size=len(package.archive))
    blobs = Blobs(tmp_path / "blobs")
    with serving_hatch(package) as server, asking(server.index_url, tmp_path) as registry:
        release = registry.release("core", "1.0.0")
        for _ in range(2):
            registry.fetch(release, file, blobs)
    assert blobs.path(package.sha256).read_bytes() == package.archive
    assert len(server.asked_for("archives")) == 1


def test_an_archive_comes_once_and_is_known_offline(tmp_path: Path) -> None:
    package = HatchPackage(name="core")
    blobs = Blobs(tmp_path / "blobs")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving_hatch(package) as server:
        for options in ({}, {}, {"offline": True}):
            with asking(server.index_url, tmp_path / "cache", **options) as registry:
                file = registry.locate(registry.release("core", "1.0.0"), blobs, scratch=scratch)
            assert file == File(name="core-v1.0.0.zip", sha256=package.sha256, size=len(package.archive))
        assert len(server.asked_for("archives")) == 1
        with asking(server.index_url, tmp_path / "cache", refresh=True) as registry:
            registry.locate(registry.release("core", "1.0.0"), blobs, scratch=scratch)
        assert len(server.asked_for("archives")) == 2
        blobs.remove(package.sha256)
        with asking(server.index_url, tmp_path / "cache", offline=True) as registry, pytest.raises(Offline):
            registry.locate(registry.release("core", "1.0.0"), blobs, scratch=scratch)
    assert list(scratch.iterdir()) == []


def test_an_archive_beside_an_index_file_is_read_each_time(tmp_path: Path) -> None:
    document = HatchServer(packages=[HatchPackage(name="core", entry={"release_uri": "core.zip"})]).document()
    (tmp_path / "index.json").write_text(json.dumps(document))
    found = []
    for tags in (["a"], ["b"]):
        (tmp_path / "core.zip").write_bytes(HatchPackage(name="core", metadata={"tags": tags}).archive)
        with asking((tmp_path / "index.json").as_uri(), tmp_path / "cache") as registry:
            found.append(registry.locate(registry.release("core", "1.0.0"), Blobs(tmp_path / "b"), scratch=tmp_path))
    assert found[0] != found[1]


def test_an_archive_that_was_changed_after_it_was_locked_is_refused_and_not_kept(tmp_path: Path) -> None:
    package = HatchPackage(name="core")
    tampered = bytearray(package.archive)
    tampered[40] ^= 1
    file = File(name="core-v1.0.0.zip", sha256=package.sha256, size=len(package.archive))
    blobs = Blobs(tmp_path / "blobs")
    with serving_hatch(package) as server, asking(server.index_url, tmp_path) as registry:
        release = registry.release("core", "1.0.0")
        server.raw["/archives/core-v1.0.0.zip"] = bytes(tampered)
        with pytest.raises(WrongHash, match=r"core-v1\.0\.0\.zip from http"):
            registry.fetch(release, file, blobs)
        server.raw["/archives/core-v1.0.0.zip"] = package.archive + b"more"
        with pytest.raises(TooLong):
            registry.fetch(release, file, blobs)
    assert not blobs.has(package.sha256)
    assert list(blobs.leftovers()) == []


def test_an_archive_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (
        serving_hatch(HatchPackage(name="core", data=b"x" * (3 << 20))) as server,
        asking(server.index_url, tmp_path, largest=1 << 20) as registry,
    ):
        release = registry.release("core", "1.0.0")
        with pytest.raises(HatchArchiveTooLarge, match="larger than 1 MiB"):
            registry.archive(release, tmp_path / "core.zip")
    assert (tmp_path / "core.zip").stat().st_size <= 1 << 20


@pytest.mark.parametrize("uri", ["file:///etc/hostname", "ftp://example.com/core.zip", "http://example.com/core.zip"])
def test_an_index_cannot_lead_to_files_of_this_machine_or_to_plain_http(tmp_path: Path, uri: str) -> None:
    package = HatchPackage(name="core", entry={"release_uri": uri})
    document = json.dumps(HatchServer(packages=[package]).document())
    with serving_hatch() as server:
        server.raw["/hatch_packages_registry.json"] = document.encode()
        with asking(server.index_url, tmp_path) as registry:
            release = registry.release("core", "1.0.0")
        if uri.startswith("http:"):
            (tmp_path / "index.json").write_text(document)
            address = (tmp_path / "index.json").as_uri()
        else:
            address = server.index_url
        with (
            asking(address, tmp_path) as registry,
            pytest.raises(BadAnswer, match="which is no https address"),
        ):
            registry.archive(release, tmp_path / "core.zip")


def needing(**names: str) -> dict[str, list[dict[str, str]]]:
    return {kind: [{"name": name, "version_constraint": ">=1.0"}] for kind, name in names.items()}


def release_and_scratch(tmp_path: Path, package: HatchPackage) -> Any:
    (tmp_path / "core.zip").write_bytes(package.archive)
    with serving_hatch(HatchPackage(name="core")) as server, asking(server.index_url, tmp_path) as registry:
        return registry.release("core", "1.0.0")


@pytest.mark.parametrize(
    ("package", "why"),
    [
        (HatchPackage(name="other"), "its archive is of 'other'"),
        (HatchPackage(name="core", version="1.0.1"), r"its archive is of version 1\.0\.1"),
        (
            HatchPackage(name="core", dependencies=needing(hatch="../core")),
            r"it needs hatch:\.\./core>=1\.0, a directory of",
        ),
        (HatchPackage(name="core", dependencies=needing(hatch="/etc")), "it needs hatch:/etc>=1"),
        (HatchPackage(name="core", dependencies=needing(python="./lib")), r"it needs path:\./lib, a directory of"),
        (HatchPackage(name="core", files={"hatch_metadata.json": None}), "no hatch_metadata.json at its top"),
        (HatchPackage(name="core", directory="a/b"), "no hatch_metadata.json at its top"),
    ],
)
def test_an_archive_has_to_be_what_its_registry_says(tmp_path: Path, package: HatchPackage, why: str) -> None:
    release = release_and_scratch(tmp_path, package)
    with pytest.raises(BadHatchPackage, match=why):
        read_archive(tmp_path / "core.zip", release, scratch=tmp_path)


def test_an_archive_without_the_server_that_it_names_is_refused(tmp_path: Path) -> None:
    release = release_and_scratch(tmp_path, HatchPackage(name="core", files={"server.py": None, "servers.py": ""}))
    with pytest.raises(BadHatchMetadata, match=r"entry_point\.mcp_server: 'server\.py' is not there") as caught:
        read_archive(tmp_path / "core.zip", release, scratch=tmp_path)
    assert caught.value.hint == "did you mean 'servers.py'?"


def test_metadata_2_0_0_without_name_and_version_is_what_the_registry_says(tmp_path: Path) -> None:
    second = {
        "hatch_schema_version": "2.0.0",
        "authors": [{"name": "Anna Example"}],
        "entry_point": {"mcp_server": "server.py", "hatch_mcp_server": "wrapper.py"},
    }
    release = release_and_scratch(
        tmp_path, HatchPackage(name="core", files={"hatch_metadata.json": json.dumps(second)})
    )
    facts = read_archive(tmp_path / "core.zip", release, scratch=tmp_path).facts
    assert (facts.name, facts.version) == ("core", "1.0.0")


@pytest.mark.parametrize(
    "item",
    [
        Item(name="../outside.py"),
        Item(name="/outside.py"),
        Item(name="link", kind="symlink", target="../../outside"),
        Item(name="link", kind="symlink", target="/etc/hostname"),
        Item(name="pipe", kind="fifo"),
    ],
)
def test_an_archive_has_no_way_out(tmp_path: Path, item: Item) -> None:
    good = [Item(name=name, content=str(text).encode()) for name, text in HatchPackage(name="core").contents.items()]
    release = release_and_scratch(tmp_path, HatchPackage(name="core"))
    make_zip(tmp_path / "core.zip", [*good, item])
    scratch = tmp_path / "a" / "b"
    scratch.mkdir(parents=True)
    with pytest.raises(BadArchive):
        read_archive(tmp_path / "core.zip", release, scratch=scratch)
    assert list(scratch.iterdir()) == []
    assert not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize("data", [b"", b"no archive at all", HatchPackage(name="core").archive[:-30]])
def test_a_damaged_archive_is_an_error(tmp_path: Path, data: bytes) -> None:
    release = release_and_scratch(tmp_path, HatchPackage(name="core", data=data))
    with pytest.raises((BadArchive, BadHatchPackage)):
        read_archive(tmp_path / "core.zip", release, scratch=tmp_path)


def test_the_archives_of_the_tests_are_zip_files_of_the_same_bytes(tmp_path: Path) -> None:
    package = HatchPackage(name="core")
    assert package.archive == HatchPackage(name="core").archive
    (tmp_path / "core.zip").write_bytes(package.archive)
    with zipfile.ZipFile(tmp_path / "core.zip") as archive:
        assert json.loads(archive.read("hatch_metadata.json")) == hatch_metadata("core")
