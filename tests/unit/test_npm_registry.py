"""npm's registries as a source, against one on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from hatchlock.net.http import Http, Refused, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.sources.base import BadAnswer, FileGone, MissingHash, UnknownPackage
from hatchlock.sources.claims import ClaimedTwice
from hatchlock.sources.npm.indexes import NpmIndex
from hatchlock.sources.npm.names import BadNpmName
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.npm.registry import NpmFacts, NpmSource
from support.npm_registry import NpmRelease, serving_npm
from support.ports import closed_address

ONE = NpmVersion.parse("1.0.0")


@contextmanager
def asking(url: str, cache: Path, *, environ: Mapping[str, str] | None = None, **options: Any) -> Iterator[NpmSource]:
    variables = {"npm_config_registry": url} | dict(environ or {})
    with (
        Http(environ={}, patience=Patience(repeats=0)) as http,
        NpmSource(http=http, cache_dir=cache, environ=variables, **options) as source,
    ):
        yield source


def thing(*versions: str, **other: Any) -> list[NpmRelease]:
    return [NpmRelease(name="thing", version=version, **other) for version in versions]


def picked(source: NpmSource, wanted: str, **options: Any) -> list[str]:
    return [candidate.spelling for candidate in source.pick("thing", wanted, **options)]


def test_versions_are_sorted_newest_first_and_the_same_twice(tmp_path: Path) -> None:
    with serving_npm(thing("1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0-beta", "0.1.0")) as registry:
        for cache in ("a", "a", "b"):
            with asking(registry.url, tmp_path / cache) as source:
                found = [str(version) for version in source.versions("thing")]
            assert found == ["2.0.0-rc.1", "2.0.0-beta", "1.10.0", "1.9.0", "0.1.0"]
    assert len(registry.asked) == 2


def test_a_candidate_has_the_hash_and_the_name_of_its_file(tmp_path: Path) -> None:
    release = NpmRelease(
        name="@acme/thing",
        manifest={"engines": {"node": ">=18"}, "scripts": {"postinstall": "node ."}},
        deprecated="use the other",
    )
    with serving_npm(release) as registry, asking(registry.url, tmp_path) as source:
        found = source.candidate("@acme/thing", ONE)
        assert source.candidate("@acme/thing", NpmVersion.parse("1.0.1")) is None
        assert source.candidate("@acme/thing", ONE) is found
    assert found is not None
    assert (found.id, found.file.name) == ("npm:@acme/thing@1.0.0", "acme-thing-1.0.0.tgz")
    assert (found.file.sha512, found.file.sha256) == (release.sha512, "")
    assert (found.requires_node, found.deprecated, found.install_script) == (">=18", "use the other", True)
    assert registry.asked == ["/@acme%2Fthing"]


@pytest.mark.parametrize("integrity", ["", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "sha512-broken"])
def test_a_file_without_a_strong_hash_is_refused(tmp_path: Path, integrity: str) -> None:
    with (
        serving_npm(thing("1.0.0", integrity=integrity)) as registry,
        asking(registry.url, tmp_path) as source,
        pytest.raises(MissingHash, match=r"sha512 for thing-1\.0\.0\.tgz"),
    ):
        source.candidate("thing", ONE)


def test_npms_order_of_preference(tmp_path: Path) -> None:
    releases = [
        *thing("1.0.0", "1.1.0"),
        *thing("1.2.0", deprecated="broken"),
        *thing("1.3.0", manifest={"engines": {"node": ">=22"}}),
        *thing("2.0.0", "3.0.0-beta.1"),
    ]
    tags = {"thing": {"latest": "1.1.0", "next": "3.0.0-beta.1"}}
    with serving_npm(releases, tags=tags) as registry, asking(registry.url, tmp_path) as source:
        assert picked(source, "*") == ["1.1.0", "2.0.0", "1.3.0", "1.0.0", "1.2.0"]
        assert picked(source, "^1.0.0", node="20") == ["1.1.0", "1.0.0", "1.2.0", "1.3.0"]
        assert picked(source, "^1.2.0") == ["1.3.0", "1.2.0"]
        assert picked(source, "next") == ["3.0.0-beta.1"]
        assert picked(source, "3.0.0-beta.1") == ["3.0.0-beta.1"]
        assert picked(source, "no-such-tag") == picked(source, "^9") == []
        assert {tag: str(version) for tag, version in source.dist_tags("thing").items()} == tags["thing"]


def test_what_is_too_new_does_not_exist_and_a_tag_falls_back(tmp_path: Path) -> None:
    releases = [
        *thing("1.0.0", "1.1.0", "2.0.0"),
        *thing("1.2.0", uploaded="2026-06-01T00:00:00.000Z"),
        *thing("1.3.0", uploaded=None),
    ]
    limit = datetime(2026, 6, 1, tzinfo=UTC)
    with (
        serving_npm(releases, tags={"thing": {"latest": "1.2.0"}}) as registry,
        asking(registry.url, tmp_path, exclude_newer=limit) as source,
    ):
        assert picked(source, "^1") == ["1.1.0", "1.0.0"]
        assert picked(source, "latest") == ["1.1.0"]
        assert source.candidate("thing", NpmVersion.parse("1.2.0")) is None
        assert source.candidate("thing", NpmVersion.parse("1.3.0")) is None


def test_the_short_form_is_asked_for_unless_times_count(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0", uploaded="2026-02-03T04:05:06.000Z")) as registry:
        with asking(registry.url, tmp_path) as source:
            assert not source.packument("thing").full
            assert source.uploaded("thing", ONE) == "2026-02-03T04:05:06.000Z"
        with asking(registry.url, tmp_path, exclude_newer=datetime(2027, 1, 1, tzinfo=UTC)) as source:
            assert picked(source, "*") == ["1.0.0"]
    assert len(registry.asked) == 2


ABOUT = {
    "license": "MIT",
    "author": {"name": "Anna Example", "email": "anna@example.com"},
    "repository": {"type": "git", "url": "git+https://git.example.com/acme/thing.git"},
    "scripts": {"install": "node-gyp rebuild"},
}
KNOWN = NpmFacts(
    licence="MIT",
    authors="Anna Example",
    publisher="anna",
    repository="https://git.example.com/acme/thing",
    signature="signed",
    install_script=True,
)


@pytest.mark.parametrize(
    "switches",
    [{}, {"version_documents": False}, {"abbreviated": False}, {"version_documents": False, "abbreviated": False}],
)
def test_what_people_want_to_know_is_found_wherever_it_is(tmp_path: Path, switches: dict[str, bool]) -> None:
    releases = thing("1.0.0", manifest=ABOUT, publisher="anna", dist={"signatures": [{"keyid": "k", "sig": "s"}]})
    with serving_npm(releases, **switches) as registry:
        with asking(registry.url, tmp_path) as source:
            assert source.describe("thing", ONE) == KNOWN
        asked = len(registry.asked)
        with asking(registry.url, tmp_path) as source:
            assert source.describe("thing", ONE) == KNOWN
    assert len(registry.asked) == asked


def test_an_attestation_is_more_than_a_signature(tmp_path: Path) -> None:
    dist = {"signatures": [{"keyid": "k", "sig": "s"}], "attestations": {"url": "https://npm.example.com/a"}}
    with serving_npm(thing("1.0.0", dist=dist)) as registry, asking(registry.url, tmp_path) as source:
        assert source.describe("thing", ONE).signature == "attested"


def test_many_can_be_described_at_once(tmp_path: Path) -> None:
    names = [f"thing-{number}" for number in range(80)]
    releases = [NpmRelease(name=name, manifest=ABOUT) for name in names]
    with serving_npm(releases) as registry, asking(registry.url, tmp_path) as source:
        futures = [source.describe_ahead(name, ONE) for name in names]
        assert {future.result(timeout=60).licence for future in futures} == {"MIT"}


def test_unknown_names_and_names_that_are_none(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0")) as registry, asking(registry.url, tmp_path) as source:
        with pytest.raises(UnknownPackage) as caught:
            source.versions("nothing")
        assert "'nothing'" in str(caught.value)
        assert registry.url in str(caught.value)
        for name in ("../thing", "a/b", "@acme", "@../thing", ".thing", "node_modules", "thing?x", "@a/b/c", ""):
            with pytest.raises(BadNpmName):
                source.versions(name)
    assert registry.asked == ["/nothing"]


@pytest.mark.parametrize("body", [b"<html>log in here", b"[]", b'{"name":"thing","versions":{"1.0.0":7}}'])
def test_an_answer_that_is_no_document_is_reported(tmp_path: Path, body: bytes) -> None:
    with (
        serving_npm(raw={"/thing": body}) as registry,
        asking(registry.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="thing"),
    ):
        source.versions("thing")


def test_a_document_of_another_package_is_refused(tmp_path: Path) -> None:
    with (
        serving_npm(raw={"/thing": b'{"name":"evil","versions":{}}'}) as registry,
        asking(registry.url, tmp_path) as source,
        pytest.raises(BadAnswer, match="evil"),
    ):
        source.versions("thing")


def test_a_token_of_npmrc_is_used_and_not_kept_or_shown(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with serving_npm(thing("1.0.0"), token="s3cret-token") as registry:
        host = registry.url.removeprefix("http:")
        with asking(registry.url, tmp_path / "cache", environ={"HOME": str(home)}) as source:
            with pytest.raises(Refused) as caught:
                source.versions("thing")
            assert ".npmrc" in caught.value.hint
        (home / ".npmrc").write_text(f"{host}:_authToken=s3cret-token\n")
        with asking(registry.url, tmp_path / "cache", environ={"HOME": str(home)}) as source:
            found = source.candidate("thing", ONE)
            assert found is not None
            assert source.tarball(found) == registry.releases[0].data
            assert "Authorization" in source.headers(found.url)
            assert source.headers("https://elsewhere.example.com/thing.tgz") == {}
    assert not any(b"s3cret" in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_within_the_ttl_nobody_is_asked_and_then_the_etag_confirms(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0"), etag=True) as registry:
        for options in ({}, {}, {"ttl": 0}, {"refresh": True}):
            with asking(registry.url, tmp_path, **options) as source:
                assert picked(source, "*") == ["1.0.0"]
        assert len(registry.asked) == 3
        registry.releases += thing("2.0.0")
        with asking(registry.url, tmp_path, refresh=True) as source:
            assert picked(source, "*") == ["2.0.0", "1.0.0"]


def test_an_index_may_have_its_own_ttl(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0")) as registry:
        for _ in range(2):
            with asking("", tmp_path, indexes=[NpmIndex(url=registry.url, ttl=0)]) as source:
                source.versions("thing")
    assert len(registry.asked) == 2


def test_offline_answers_from_the_cache_at_any_age_and_says_so(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0", manifest=ABOUT)) as registry, asking(registry.url, tmp_path) as source:
        known = source.describe("thing", ONE)
    with asking(registry.url, tmp_path, offline=True) as source:
        assert source.describe("thing", ONE) == known
        assert source.stale == {}
    with asking(registry.url, tmp_path, offline=True, ttl=0) as source:
        assert picked(source, "*") == ["1.0.0"]
        assert source.stale.keys() == {"thing"}
        with pytest.raises(Unreachable, match="offline"):
            source.versions("other")


def test_an_older_answer_does_when_nobody_can_be_asked_and_goes_on_ageing(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0")) as registry, asking(registry.url, tmp_path) as source:
        source.versions("thing")
    ages = []
    for _ in range(2):
        with asking(registry.url, tmp_path, ttl=0) as source:
            assert picked(source, "*") == ["1.0.0"]
            ages.append(source.stale["thing"])
            with pytest.raises(Unreachable):
                source.versions("other")
    assert 0 < ages[0] < ages[1]


def test_a_mirror_is_asked_when_the_index_cannot_be_reached(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0")) as registry:
        index = NpmIndex(url=closed_address("/"), mirrors=(closed_address("/"), registry.url))
        with asking("", tmp_path, indexes=[index]) as source:
            assert picked(source, "*") == ["1.0.0"]


def test_a_name_comes_from_exactly_one_index(tmp_path: Path) -> None:
    acme, other = NpmRelease(name="@acme/tool"), NpmRelease(name="@acme/tool", version="9.0.0")
    with serving_npm(acme) as private, serving_npm(thing("1.0.0"), other) as public:
        declared = [NpmIndex(name="acme", url=private.url, packages=("@acme/*",))]
        with asking(public.url, tmp_path, indexes=declared) as source:
            found = next(source.pick("@acme/tool", "*"))
            assert (found.spelling, found.index) == ("1.0.0", "acme")
            assert next(source.pick("thing", "*")).index == "npm"
            with pytest.raises(UnknownPackage):
                source.versions("@acme/secret")
    assert public.asked == ["/thing"]


def test_a_name_that_two_indexes_claim_is_refused(tmp_path: Path) -> None:
    indexes = [
        NpmIndex(name="one", url=closed_address("/"), packages=("@acme/*",)),
        NpmIndex(name="two", url=closed_address("/"), packages=("@acme/t*", "tool-*")),
    ]
    with asking(closed_address("/"), tmp_path, indexes=indexes) as source:
        with pytest.raises(ClaimedTwice, match="one, two"):
            source.versions("@acme/tool")
        with pytest.raises(Unreachable):
            source.versions("@acme/other")
    with (
        asking("", tmp_path, indexes=[NpmIndex(name=name, url="http://127.0.0.1:1") for name in ("a", "b")]) as source,
        pytest.raises(ClaimedTwice),
    ):
        source.versions("thing")


def test_a_scope_of_npmrc_has_its_own_registry(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with serving_npm(NpmRelease(name="@acme/tool")) as private, serving_npm(thing("1.0.0")) as public:
        (home / ".npmrc").write_text(f"@acme:registry={private.url}\n")
        with asking(public.url, tmp_path, environ={"HOME": str(home)}) as source:
            assert next(source.pick("@acme/tool", "*")).spelling == "1.0.0"
            assert picked(source, "*") == ["1.0.0"]
    assert private.asked == ["/@acme%2Ftool"]
    assert public.asked == ["/thing"]


def locked(release: NpmRelease, sha512: str = "") -> Package:
    file = File(name="thing-1.0.0.tgz", sha512=sha512 or release.sha512)
    return Package(kind=Kind.NPM, name="thing", version="1.0.0", files=(file,))


def test_the_address_of_a_locked_file_is_found_by_version_and_hash(tmp_path: Path) -> None:
    (release,) = thing("1.0.0")
    with serving_npm(release) as registry, asking(registry.url, tmp_path) as source:
        package = locked(release)
        assert source.fetch_url(package, package.files[0]) == f"{registry.url}thing/-/thing-1.0.0.tgz"
        gone = locked(release, "0" * 128)
        with pytest.raises(FileGone, match=r"thing-1\.0\.0\.tgz"):
            source.fetch_url(gone, gone.files[0])


def test_a_file_that_came_after_the_cached_document_is_found(tmp_path: Path) -> None:
    with serving_npm(thing("0.9.0")) as registry:
        with asking(registry.url, tmp_path) as source:
            source.versions("thing")
        registry.releases += thing("1.0.0")
        package = locked(registry.releases[-1])
        with asking(registry.url, tmp_path) as source:
            assert source.fetch_url(package, package.files[0]).endswith("thing-1.0.0.tgz")


def test_a_tarball_with_other_bytes_is_refused_and_a_right_one_is_kept(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0")) as registry:
        with asking(registry.url, tmp_path) as source:
            found = next(source.pick("thing", "*"))
            registry.raw["/thing/-/thing-1.0.0.tgz"] = b"something else"
            with pytest.raises(BadAnswer, match="sha512"):
                source.tarball(found)
            del registry.raw["/thing/-/thing-1.0.0.tgz"]
            data = source.tarball(found)
        with asking(registry.url, tmp_path, offline=True) as source:
            assert source.tarball(next(source.pick("thing", "*"))) == data


def test_a_damaged_cache_is_fetched_again(tmp_path: Path) -> None:
    with serving_npm(thing("1.0.0")) as registry:
        for _ in range(2):
            with asking(registry.url, tmp_path) as source:
                assert picked(source, "*") == ["1.0.0"]
            for path in [item for item in tmp_path.rglob("*") if item.is_file()]:
                path.write_bytes(b"damaged")
    assert len(registry.asked) == 2
