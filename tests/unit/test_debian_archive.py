"""Signed archives on loopback: what is believed, what is refused, and what is asked for."""

from __future__ import annotations

import gzip
import lzma
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hatchlock.net.http import Http, Offline, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.sources.base import BadAnswer, MissingHash
from hatchlock.sources.debian.archive import DebianSource, NoSnapshot
from hatchlock.sources.debian.archives import DebArchive, NoArchive
from hatchlock.sources.debian.choice import WantedDeb
from hatchlock.sources.debian.closure import choose_debs
from hatchlock.sources.debian.locking import lock_packages
from hatchlock.sources.debian.release import ExpiredRelease, WrongRelease
from hatchlock.sources.debian.signature import BadKeyring, BadSignature
from support.debian_archive import Deb, DebianArchive, armored, fingerprint, new_key, public_part, serving_debian

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HELLO = Deb(
    name="hello", version="1:2.0-1", fields={"Depends": "libhello (>= 1)", "Homepage": "https://hello.example.com"}
)
DEBS = [
    HELLO,
    replace(HELLO, architecture="arm64"),
    Deb(name="libhello", architecture="all", fields={"Provides": "libgreet (= 3)", "Source": "hello-lib (9.1)"}),
    Deb(name="patched", version="2", suite="bookworm-updates"),
    Deb(name="patched", version="1"),
]
Open = Callable[..., DebianSource]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Makes sources with a cache of the test's own."""
    made: list[Any] = []

    def make(
        archive: DebianArchive, *suites: str, offline: bool = False, refresh: bool = False, **switches: Any
    ) -> DebianSource:
        now = switches.pop("now", NOW)
        ttl = switches.pop("ttl", 600.0)
        archives = [archive_of(archive, suite, **switches) for suite in suites or ("bookworm",)]
        http = Http(environ={}, offline=offline, patience=Patience(repeats=0))
        source = DebianSource(
            http=http,
            cache_dir=tmp_path / "cache",
            archives=archives,
            now=now,
            ttl=ttl,
            offline=offline,
            refresh=refresh,
        )
        made.extend([source, http])
        return source

    yield make
    for item in made:
        item.close()


def archive_of(archive: DebianArchive, suite: str = "bookworm", **switches: Any) -> DebArchive:
    facts: dict[str, Any] = {
        "name": f"debian/{suite}",
        "url": archive.url,
        "suite": suite,
        "keyrings": (("the test's", archive.keyring),),
    }
    return DebArchive(**facts | switches)


def test_a_universe_has_all_suites_and_what_is_for_all_architectures(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        source = opened(archive, "bookworm", "bookworm-updates")
        universe = source.universe("amd64")
        assert [(str(item.version), item.suite) for item in universe.named("patched")] == [
            ("1", "debian/bookworm"),
            ("2", "debian/bookworm-updates"),
        ]
        assert [item.name for item in universe.providing("libgreet")] == ["libhello"]
        assert universe.named("libhello")[0].source == ("hello-lib", "9.1")
        assert universe.named("nothing") == ()
        assert universe.rank("hello") < universe.rank("libhello") < universe.rank("unknown")
        assert universe.releases == ("debian/bookworm", "debian/bookworm-updates")
        assert [item.architecture for item in source.universe("arm64").named("hello")] == ["arm64"]


def test_what_a_suite_says_of_itself_is_told(opened: Open) -> None:
    with serving_debian(DEBS, suite_names={"bookworm": "oldstable"}) as archive:
        (facts,) = opened(archive).releases()
        assert (facts.name, facts.suite, facts.codename, facts.components) == (
            "debian/bookworm",
            "bookworm",
            "bookworm",
            ("main",),
        )
        assert (facts.date, facts.snapshot, facts.keys) == ("2026-01-01T00:00:00Z", "", (fingerprint(archive.key),))
        assert len(facts.sha256) == 64
        # a suite may be asked for by either of its names
        assert opened(archive, "bookworm", refresh=True).releases()[0].codename == "bookworm"


def test_nothing_is_asked_again_while_it_is_fresh_and_no_list_is_read_twice(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        opened(archive).universe("amd64")
        asked = len(archive.asked)
        assert opened(archive).universe("amd64").named("hello")
        assert len(archive.asked) == asked
        opened(archive, refresh=True).universe("amd64")
        assert archive.asked[asked:] == ["/debian/dists/bookworm/InRelease"]


@pytest.mark.parametrize("forms", [("xz", "gz"), ("gz",)])
@pytest.mark.parametrize("by_hash", [True, False])
def test_lists_come_in_the_smallest_form_and_by_their_hash_if_there_is_that(
    opened: Open, forms: tuple[str, ...], by_hash: bool
) -> None:
    with serving_debian(DEBS, forms=forms, by_hash=by_hash) as archive:
        assert opened(archive).universe("amd64").named("hello")
        (path,) = archive.asked_for("binary-amd64")
        assert ("/by-hash/SHA256/" in path) == by_hash
        assert by_hash or path.endswith(f"Packages.{forms[0]}")


def test_a_changed_release_is_refused_and_not_kept(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        archive.raw["dists/bookworm/InRelease"] = archive.in_release("bookworm").replace(
            b"Origin: Example", b"Origin: Evil  "
        )
        with pytest.raises(BadSignature, match="was changed after it was signed") as caught:
            opened(archive).universe("amd64")
        assert "Stack" not in str(caught.value)
        archive.raw.clear()
        assert opened(archive).universe("amd64").named("hello")


def test_what_stands_around_the_signed_part_is_not_read(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        signed = archive.in_release("bookworm")
        archive.raw["dists/bookworm/InRelease"] = b"Codename: evil\n\n" + signed + b"\nCodename: evil\n"
        assert opened(archive).releases()[0].codename == "bookworm"


@pytest.mark.parametrize("content", [b"", b"<html>log in here</html>", b"Origin: Example\nDate: now\n"])
def test_what_is_not_signed_at_all_is_refused(opened: Open, content: bytes) -> None:
    with serving_debian(DEBS, raw={"dists/bookworm/InRelease": content}) as archive, pytest.raises(BadSignature):
        opened(archive).releases()


def test_an_unknown_key_is_named(opened: Open) -> None:
    with serving_debian(DEBS, signer=new_key("stranger")) as archive:
        with pytest.raises(BadSignature, match=r"the keyring does not have the key [0-9a-f]{40}") as caught:
            opened(archive).releases()
        assert "`keyring` below [indexes.debian]" in caught.value.hint
        both = (("one", archive.keyring), ("two", public_part(new_key("stranger"))))
        assert opened(archive, keyrings=both).releases()[0].keys == (fingerprint(new_key("stranger")),)


def test_a_source_that_names_its_signers_takes_no_other_one(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        assert opened(archive, fingerprints=(f"{fingerprint(archive.key).upper()}!",)).releases()
        with pytest.raises(BadSignature, match="signed by other keys"):
            opened(archive, fingerprints=("0" * 40,)).releases()


def test_armored_keys_serve_and_what_is_no_key_is_named(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        assert opened(archive, keyrings=(("armored", armored(archive.key)),)).releases()
        with pytest.raises(BadKeyring, match="the keyring nonsense cannot be used"):
            opened(archive, keyrings=(("nonsense", b"nonsense"),)).releases()


def test_an_expired_release_is_refused_unless_its_age_does_not_matter(opened: Open) -> None:
    with serving_debian(DEBS, valid_until="Thu, 08 Jan 2026 00:00:00 UTC") as archive:
        assert opened(archive).releases()
        late = {"now": datetime(2026, 1, 9, tzinfo=UTC)}
        with pytest.raises(ExpiredRelease, match="valid until 2026-01-08 00:00 UTC") as caught:
            opened(archive, **late).releases()
        assert "snapshot" in caught.value.hint
        # it was asked again before it was refused: there may have been a newer one
        assert len(archive.asked) == 2
        assert opened(archive, checks_age=False, **late).releases()


def test_another_suite_is_refused_though_its_signature_is_right(opened: Open) -> None:
    switches = {"codenames": {"bookworm": "bullseye"}, "suite_names": {"bookworm": "oldoldstable"}}
    said = "Release of bullseye or oldoldstable, not of bookworm"
    with serving_debian(DEBS, **switches) as archive, pytest.raises(WrongRelease, match=said):
        opened(archive).releases()


@pytest.mark.parametrize("change", ["other", "longer", "same size"])
def test_a_list_that_is_not_what_the_release_says_is_refused(opened: Open, change: str) -> None:
    with serving_debian(DEBS) as archive:
        path = "main/binary-amd64/Packages.xz"
        true = archive.indexes("bookworm")[path]
        wrong = {
            "other": lzma.compress(b"Package: evil\nVersion: 1\n"),
            "longer": true + b"\0" * 4,
            "same size": b"\1" * len(true),
        }
        archive.raw[f"dists/bookworm/{path}"] = wrong[change]
        with pytest.raises(BadAnswer, match="size and SHA-256 that the signed Release lists"):
            opened(archive).universe("amd64")
        assert not list(opened(archive)._compiled.rglob("*.sqlite"))


def test_a_list_that_unpacks_to_something_else_is_refused(opened: Open) -> None:
    with serving_debian(DEBS, forms=("gz",)) as archive:
        path = "main/binary-amd64/Packages.gz"
        listed = archive.indexes
        larger = gzip.compress(b"Package: evil\nVersion: 1\n" * 9, mtime=0)
        archive.indexes = lambda suite: listed(suite) | {path: larger}  # type: ignore[method-assign]
        with pytest.raises(BadAnswer, match="size and SHA-256"):
            opened(archive).universe("amd64")


@pytest.mark.parametrize("form", ["xz", "gz"])
def test_no_more_is_read_or_unpacked_than_the_release_lists(opened: Open, form: str) -> None:
    much = b"\0" * (1 << 26)
    path = f"main/binary-amd64/Packages.{form}"
    with serving_debian(DEBS, forms=(form,)) as archive:
        bomb = lzma.compress(much) if form == "xz" else gzip.compress(much)
        listed = archive.indexes("bookworm")
        archive.indexes = lambda _: listed | {path: bomb}  # type: ignore[method-assign,assignment]
        assert peak_of_refusal(opened(archive)) < len(much) / 4
        archive.indexes = lambda _: listed  # type: ignore[method-assign,assignment]
        archive.raw[f"dists/bookworm/{path}"] = much
        assert peak_of_refusal(opened(archive, refresh=True)) < len(much) / 4


def peak_of_refusal(source: DebianSource) -> int:
    """Return how many bytes were needed at most to refuse a list."""
    tracemalloc.start()
    try:
        with pytest.raises(BadAnswer, match="size and SHA-256"):
            source.universe("amd64")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_release_that_is_older_than_the_lists_is_asked_for_again(opened: Open) -> None:
    with serving_debian(DEBS, by_hash=False) as archive:
        opened(archive).releases()
        archive.replace("patched", version="1.1")
        assert str(opened(archive).universe("amd64").named("patched")[0].version) == "1.1"
        assert len(archive.asked_for("InRelease")) == 2


def test_offline_takes_what_is_kept_and_tells_its_age(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        with pytest.raises(Offline):
            opened(archive, offline=True).releases()
        opened(archive).releases()
        with pytest.raises(Offline):
            opened(archive, offline=True).universe("amd64")
        opened(archive).universe("amd64")
        asked = len(archive.asked)
        source = opened(archive, offline=True, ttl=0.0)
        assert source.universe("amd64").named("hello")
        assert list(source.stale) == ["debian/bookworm"]
        assert len(archive.asked) == asked


def test_an_archive_that_does_not_answer_is_served_from_the_cache_but_not_when_asked_to_refresh(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        opened(archive).universe("amd64")
    source = opened(archive, ttl=0.0)
    assert source.universe("amd64").named("hello")
    assert list(source.stale) == ["debian/bookworm"]
    with pytest.raises(Unreachable):
        opened(archive, refresh=True).releases()


def test_a_damaged_compiled_list_is_made_anew(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        source = opened(archive)
        source.universe("amd64")
        (file,) = source._compiled.rglob("*.sqlite")
        file.write_bytes(b"nonsense")
        assert opened(archive).universe("amd64").named("hello")


def test_a_snapshot_is_found_by_the_address_that_the_release_gives(opened: Open) -> None:
    with serving_debian(DEBS, aliases=("snapshot/debian/20260101T000000Z",)) as archive:
        archive.fields["Snapshots"] = f"{archive.root}/snapshot/@PATH@/@SNAPSHOTID@/"
        archive.valid_until = "Thu, 08 Jan 2026 00:00:00 UTC"
        source = opened(archive, snapshot="20260101T000000Z")
        assert source.universe("amd64").named("hello")
        assert source.releases()[0].snapshot == "20260101T000000Z"
        assert archive.asked_for("/snapshot/")[0] == "/snapshot/debian/20260101T000000Z/dists/bookworm/InRelease"
        # its age does not matter, and it is not asked for twice
        late = opened(
            archive,
            snapshot="20260101T000000Z",
            now=datetime(2027, 1, 1, tzinfo=UTC),
            ttl=0.0,
            url=f"{archive.root}/snapshot/debian/@SNAPSHOTID@",
        )
        asked = len(archive.asked)
        assert late.universe("amd64").named("hello")
        assert len(archive.asked) == asked


def test_a_snapshot_that_nobody_can_find_is_refused(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        with pytest.raises(NoSnapshot) as caught:
            opened(archive, snapshot="20260101T000000Z").releases()
        assert "@SNAPSHOTID@" in caught.value.hint
        with pytest.raises(NoSnapshot, match="needs the id of a snapshot"):
            opened(archive, url=f"{archive.root}/@SNAPSHOTID@").releases()


def test_a_missing_architecture_or_component_is_said(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        with pytest.raises(NoArchive, match="none of debian/bookworm is for s390x"):
            opened(archive).universe("s390x")
        with pytest.raises(NoArchive, match="no component 'mian': it has main"):
            opened(archive, components=("mian",)).universe("amd64")


def test_indexes_of_their_own_for_all_architectures_are_read_too(opened: Open) -> None:
    with serving_debian(DEBS, architectures=("amd64", "all")) as archive:
        archive.fields["No-Support-for-Architecture-all"] = ""
        assert opened(archive).universe("amd64").named("libhello")
        assert len(archive.asked_for("binary-all")) == 1


def test_suites_that_are_not_automatic_have_a_lower_priority(opened: Open) -> None:
    with serving_debian(DEBS, fields={"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"}) as archive:
        assert opened(archive).universe("amd64").named("hello")[0].pin == 100


def test_what_was_chosen_is_locked_with_a_file_for_each_platform(opened: Open) -> None:
    with serving_debian(DEBS) as archive:
        source = opened(archive)
        choices = {
            f"linux/{architecture}": choose_debs(
                [WantedDeb(name="hello")], source.universe(architecture), (), architecture=architecture, preferred={}
            )
            for architecture in ("arm64", "amd64")
        }
        hello, library = lock_packages(choices)
        assert (hello.id, hello.index, hello.location) == ("deb:hello@1:2.0-1", "debian/bookworm", "pool/main/h/hello")
        assert [(file.name, file.platform, file.sha256) for file in hello.files] == [
            ("hello_2.0-1_amd64.deb", "linux/amd64", HELLO.sha256),
            ("hello_2.0-1_arm64.deb", "linux/arm64", replace(HELLO, architecture="arm64").sha256),
        ]
        assert hello.dependencies == ("deb:libhello>=1",)
        assert (hello.authors, hello.repository, hello.signature) == (
            "The Example Team",
            "https://hello.example.com",
            "signed",
        )
        (shared,) = library.files
        assert (shared.name, shared.platform, shared.size) == ("libhello_1.0-1_all.deb", "", len(DEBS[2].data))
        assert source.url_of(library, shared) == f"{archive.url}/pool/main/h/hello-lib/libhello_1.0-1_all.deb"
        with pytest.raises(NoArchive, match="debian/gone, which is not among the sources"):
            source.url_of(replace(library, index="debian/gone"), shared)
        (only,) = [item for item in lock_packages({"linux/amd64": choices["linux/amd64"]}) if item.name == "hello"]
        assert [file.platform for file in only.files] == ["linux/amd64"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"filename": "../../etc/passwd.deb", "sha256": "0" * 64}, BadAnswer),
        ({"filename": "/pool/x.deb", "sha256": "0" * 64}, BadAnswer),
        ({"filename": "pool/x.exe", "sha256": "0" * 64}, BadAnswer),
        ({"filename": "pool/x.deb"}, MissingHash),
    ],
)
def test_files_without_a_hash_or_a_place_in_the_pool_are_refused(
    opened: Open, fields: dict[str, str], error: type[Exception]
) -> None:
    with serving_debian(DEBS) as archive:
        choice = choose_debs(
            [WantedDeb(name="libhello")], opened(archive).universe("amd64"), (), architecture="amd64", preferred={}
        )
        bad = replace(choice.packages[0], fields={"package": "libhello", **fields})
        with pytest.raises(error):
            lock_packages({"linux/amd64": replace(choice, packages=(bad,))})
