"""Channels: whole solutions for any platform, the same every time, and why there is none."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import BadSource
from hatchlock.lock.model import File, Lock, Package
from hatchlock.lock.store import dumps, loads
from hatchlock.net.http import Http, Offline, Refused, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.sources.base import BadAnswer, FileGone, MissingHash, UnknownPackage
from hatchlock.sources.conda.channels import CondaChannel
from hatchlock.sources.conda.explain import CondaUnsolvable
from hatchlock.sources.conda.extra import CondaMissing
from hatchlock.sources.conda.records import CondaRecord, CondaTwoFiles, lock_packages, python_names, python_of
from hatchlock.sources.conda.solve import CondaSource
from hatchlock.sources.python.targets import BadPlatform
from hatchlock.store.blobs import Blobs, WrongHash
from support.conda_channel import CondaPackage, ServedChannel, serving_channel, write_channel, zstd

PLATFORMS = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64", "darwin/arm64": "osx-arm64"}


def _tail(subdir: str) -> str:
    """Builds of the same name on two platforms, and of another on the third."""
    return "am64" if subdir.startswith("osx") else "64"


def _packages() -> list[CondaPackage]:
    packages = [
        CondaPackage(name="pure", noarch="python", depends=["python >=3.10", "numpy"]),
        CondaPackage(name="left", noarch="generic", depends=["libz <2"]),
        CondaPackage(name="right", noarch="generic", depends=["libz >=2"]),
        CondaPackage(name="top", noarch="generic", depends=["mid-a", "mid-b"]),
        CondaPackage(name="mid-a", noarch="generic", depends=["libz >=1.2"]),
        CondaPackage(name="mid-b", noarch="generic", depends=["libz <2"]),
        CondaPackage(name="dangling", noarch="generic", depends=["nowhere >=3"]),
        CondaPackage(name="torch-like", noarch="python", facts={"purls": ["pkg:pypi/Torch.Like@1?x=y"]}),
        CondaPackage(name="old", noarch="generic", old_format=True),
    ]
    for subdir in PLATFORMS.values():
        system = "__osx >=11.0" if subdir.startswith("osx") else "__glibc >=2.17"
        packages += [
            CondaPackage(
                name="python", version=version, build=f"h{_tail(subdir)}_cpython", subdir=subdir, depends=[system]
            )
            for version in ("3.11.9", "3.12.4")
        ]
        packages += [CondaPackage(name="libz", version=version, subdir=subdir) for version in ("1.2", "1.3", "2.0")]
        packages += [
            CondaPackage(
                name="numpy",
                version=version,
                build=f"py{python.replace('.', '')}_0",
                subdir=subdir,
                depends=[f"python {python}.*", "libz >=1.3"],
            )
            for version in ("1.26.4", "2.0.0")
            for python in ("3.11", "3.12")
        ]
        packages += [
            CondaPackage(name="newlibc", subdir=subdir, depends=["__glibc >=2.36"]),
            CondaPackage(name="gpu", subdir=subdir, depends=["__cuda"]),
            CondaPackage(name="fast", build="v3", subdir=subdir, depends=["__archspec 1 x86_64_v3"]),
        ]
    return packages


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_channel(tmp_path_factory.mktemp("channels") / "main", _packages())


@pytest.fixture
def channel(root: Path) -> Iterator[ServedChannel]:
    with serving_channel(root) as served:
        yield served


@contextlib.contextmanager
def opened(cache: Path, *urls: str, environ: dict[str, str] | None = None, **options: Any) -> Iterator[CondaSource]:
    channels = options.pop("channels", [CondaChannel(name=f"c{number}", url=url) for number, url in enumerate(urls)])
    with (
        Http(environ=environ or {}, patience=Patience(repeats=0)) as http,
        CondaSource(http=http, cache_dir=cache, channels=channels, **options) as source,
    ):
        yield source


def solved(
    source: CondaSource, *wanted: str, platform: str = "linux/amd64", glibc: str = "2.28", preferred: Any = None
) -> tuple[CondaRecord, ...]:
    return source.solve(wanted, platform=platform, glibc=glibc, macos="13.0", preferred=preferred)


def files(records: Sequence[CondaRecord]) -> list[str]:
    return [f"{record.subdir}/{record.file}" for record in records]


def test_the_whole_closure_is_chosen_for_each_platform_whatever_this_machine_is(
    tmp_path: Path, channel: ServedChannel
) -> None:
    with opened(tmp_path, channel.url) as source:
        for platform, subdir in PLATFORMS.items():
            records = solved(source, "pure", "python=3.11", platform=platform)
            assert files(records) == [
                f"{subdir}/libz-2.0-0.conda",
                f"{subdir}/numpy-2.0.0-py311_0.conda",
                "noarch/pure-1.0-0.conda",
                f"{subdir}/python-3.11.9-h{_tail(subdir)}_cpython.conda",
            ]
            assert python_of(records) == "3.11.9"


def test_the_same_question_has_the_same_answer_in_whatever_order_and_from_whatever_cache(
    tmp_path: Path, channel: ServedChannel
) -> None:
    wanted = ["pure", "top", "numpy<2", "python=3.12", "old"]
    answers = []
    for number in range(4):
        random.Random(number).shuffle(wanted)
        with opened(tmp_path / f"cache{number % 2}", channel.url) as source:
            answers.append([(item.file, item.sha256, item.depends) for item in solved(source, *wanted)])
    assert answers[0]
    assert all(answer == answers[0] for answer in answers)


def test_what_platforms_offer_is_what_was_asked_for_and_not_what_this_machine_has(
    tmp_path: Path, channel: ServedChannel
) -> None:
    with opened(tmp_path, channel.url) as source:
        assert files(solved(source, "newlibc", glibc="2.36")) == ["linux-64/newlibc-1.0-0.conda"]
        with pytest.raises(
            CondaUnsolvable, match=r"newlibc 1\.0 needs glibc >=2\.36, which the platform does not have"
        ):
            solved(source, "newlibc", glibc="2.35")
        for wanted in ("gpu", "fast"):
            with pytest.raises(CondaUnsolvable, match="which the platform does not have"):
                solved(source, wanted)


def test_a_diamond_is_one_version_that_does_for_both(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source:
        assert "linux-64/libz-1.3-0.conda" in files(solved(source, "top"))


def test_a_conflict_names_the_requirements_and_both_ways(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source, pytest.raises(CondaUnsolvable) as caught:
        solved(source, "left", "right", "pure")
    assert caught.value.requirements == ("conda:left", "conda:pure", "conda:right")
    text = str(caught.value)
    assert text.startswith(
        "conda:left, conda:pure, conda:right cannot be had together on linux/amd64 from the channel c0: "
    )
    assert {"left 1.0 needs libz <2", "right 1.0 needs libz >=2"} <= {
        reason.partition(", which")[0] for reason in caught.value.reasons
    }
    assert "which conflicts with that" in text
    assert not set("└├│\n") & set(text)
    assert caught.value.hint


def test_what_a_package_needs_and_nobody_has_is_named(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source:
        with pytest.raises(CondaUnsolvable, match=r": dangling 1\.0 needs nowhere >=3, of which there is none$"):
            solved(source, "dangling")
        with pytest.raises(CondaUnsolvable, match=r"^conda:numpy>=3 cannot be had .*: there is no numpy >=3$"):
            solved(source, "numpy>=3")
        with pytest.raises(CondaUnsolvable, match="numpy <2, which conflicts with that"):
            solved(source, "numpy<2", "numpy>=2")


def test_a_name_that_no_channel_has_is_unknown(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source, pytest.raises(UnknownPackage, match="'nonesuch', on the index c0"):
        solved(source, "pure", "nonesuch>=1")


def test_bad_requirements_and_platforms_are_refused_before_anybody_is_asked(
    tmp_path: Path, channel: ServedChannel
) -> None:
    with opened(tmp_path, channel.url) as source:
        with pytest.raises(BadSource):
            solved(source, "numpy[build=x]")
        with pytest.raises(BadSource):
            solved(source, "numpy>=1..2")
        with pytest.raises(BadPlatform):
            solved(source, "numpy", platform="linux/s390x")
    assert channel.asked == []


def test_the_first_channel_that_has_a_name_owns_it_even_with_older_versions(
    tmp_path: Path, channel: ServedChannel
) -> None:
    mine = write_channel(tmp_path / "mine", [CondaPackage(name="libz", version="1.1", noarch="generic")])
    with opened(tmp_path / "cache", mine.as_uri(), channel.url) as source:
        records = solved(source, "libz", "old")
        assert [(item.name, item.version, item.channel) for item in records] == [
            ("libz", "1.1", "c0"),
            ("old", "1.0", "c1"),
        ]
        with pytest.raises(CondaUnsolvable):
            solved(source, "numpy")
        assert [item.channel for item in solved(source, "c1::libz")] == ["c1"]
        assert [item.channel for item in solved(source, "mine::libz")] == ["c0"]


def test_what_the_lock_has_is_kept_where_it_will_do(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source:
        kept = {"numpy": ["9.9=gone_0", "1.26.4=py311_0"], "python": "3.11.9=h64_cpython", "libz": "1.3", "absent": "1"}
        assert files(solved(source, "numpy", preferred=kept)) == [
            "linux-64/libz-1.3-0.conda",
            "linux-64/numpy-1.26.4-py311_0.conda",
            "linux-64/python-3.11.9-h64_cpython.conda",
        ]
        assert "linux-64/numpy-2.0.0-py312_0.conda" in files(solved(source, "numpy>=2", "python=3.12", preferred=kept))


def test_builds_of_the_moment_and_of_unknown_time_do_not_exist(tmp_path: Path) -> None:
    def stamp(when: datetime) -> int:
        return int(when.timestamp() * 1000)

    moment = datetime(2026, 6, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    packages = [
        CondaPackage(name="tool", version="1", noarch="generic", timestamp=stamp(moment - timedelta(milliseconds=1))),
        CondaPackage(name="tool", version="2", noarch="generic", timestamp=stamp(moment)),
        CondaPackage(name="tool", version="3", noarch="generic", timestamp=None),
    ]
    root = write_channel(tmp_path / "timed", packages, shards=False)
    without_index_times(root / "noarch" / "repodata.json")
    with opened(tmp_path / "a", root.as_uri()) as source:
        assert [item.version for item in solved(source, "tool")] == ["3"]
    with opened(tmp_path / "b", root.as_uri(), exclude_newer=moment) as source:
        assert [item.version for item in solved(source, "tool", preferred={"tool": ["3=0", "2=0"]})] == ["1"]


def without_index_times(path: Path) -> None:
    document = json.loads(path.read_text())
    for part in ("packages", "packages.conda"):
        for record in document[part].values():
            record.pop("indexed_timestamp", None)
    path.write_text(json.dumps(document))


def test_within_the_time_to_live_nobody_is_asked_and_refresh_asks(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source:
        first = solved(source, "pure")
    asked = len(channel.asked)
    assert asked
    with opened(tmp_path, channel.url) as source:
        assert solved(source, "pure") == first
    assert len(channel.asked) == asked
    with opened(tmp_path, channel.url, refresh=True) as source:
        assert solved(source, "pure") == first
        again = len(channel.asked)
        assert again > asked
        solved(source, "pure")
    assert len(channel.asked) == again


def test_offline_the_cache_of_any_age_answers_and_nobody_is_asked(tmp_path: Path, root: Path) -> None:
    for shards in (True, False):
        place = write_channel(tmp_path / f"site{shards}" / "chan", _packages()[:1] + _packages()[9:], shards=shards)
        with serving_channel(place) as served:
            channels = [CondaChannel(name="c", url=served.url, ttl=0)]
            cache = tmp_path / f"cache{shards}"
            with opened(cache, channels=channels) as source:
                first = solved(source, "pure")
            asked = len(served.asked)
            with opened(cache, channels=channels, offline=True) as source:
                assert solved(source, "pure") == first
            with opened(tmp_path / "empty", channels=channels, offline=True) as source, pytest.raises(Offline):
                solved(source, "pure")
            assert len(served.asked) == asked


def test_a_channel_that_is_away_is_stood_in_for_by_what_it_said_before_which_is_told(
    tmp_path: Path, root: Path
) -> None:
    with serving_channel(root) as served:
        channels = [CondaChannel(name="c", url=served.url, ttl=0)]
        with opened(tmp_path, channels=channels) as source:
            first = solved(source, "pure")
            assert source.stale == {}
    with opened(tmp_path, channels=channels) as source:
        assert solved(source, "pure") == first
        assert source.stale
    with opened(tmp_path / "empty", channels=channels) as source, pytest.raises(Unreachable, match=served.url):
        solved(source, "pure")


def test_a_mirror_answers_for_a_channel_that_does_not(tmp_path: Path, channel: ServedChannel, root: Path) -> None:
    with serving_channel(root) as broken:
        broken.broken = 500
        mirrored = CondaChannel(name="c", url=broken.url, mirrors=(channel.url,))
        with opened(tmp_path, channels=[mirrored]) as source:
            [record] = solved(source, "old")
            assert record.channel == "c"
            [package] = lock_packages({"linux/amd64": [record]})
            source.fetch(package, package.files[0], Blobs(tmp_path / "blobs"))
            assert Blobs(tmp_path / "blobs").has(record.sha256)


def test_a_login_comes_from_netrc_or_the_address_and_shows_nowhere(tmp_path: Path, channel: ServedChannel) -> None:
    channel.login = ("me", "s3cret")
    with opened(tmp_path / "a", channel.url) as source, pytest.raises(Refused) as caught:
        solved(source, "old")
    assert "s3cret" not in str(caught.value)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    with opened(tmp_path / "b", channel.url, environ={"NETRC": str(netrc)}) as source:
        assert files(solved(source, "old")) == ["noarch/old-1.0-0.tar.bz2"]
    with opened(tmp_path / "c", channel.url.replace("//", "//me:s3cret@")) as source:
        [package] = lock_packages({"linux/amd64": solved(source, "old")})
        assert "s3cret" not in source.url_of(package, package.files[0])
        source.fetch(package, package.files[0], Blobs(tmp_path / "blobs"))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path != netrc)
    assert b"s3cret" not in kept


def test_the_users_proxies_do_not_get_between_us_and_rattler(
    tmp_path: Path, channel: ServedChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    with opened(tmp_path, channel.url) as source:
        assert solved(source, "old")


def test_an_address_without_a_channel_is_told_as_that(tmp_path: Path, channel: ServedChannel) -> None:
    for url in (f"{channel.url}/nothing", (tmp_path / "nothing").as_uri()):
        with (
            opened(tmp_path / "cache", url) as source,
            pytest.raises(Unreachable, match="no conda channel is there") as caught,
        ):
            solved(source, "pure")
        assert caught.value.url == url


def test_lists_that_are_damaged_are_a_bad_answer(tmp_path: Path) -> None:
    root = write_channel(tmp_path / "bad", _packages()[:1], shards=False)
    (root / "noarch" / "repodata.json").write_text("{")
    with (
        opened(tmp_path / "cache", root.as_uri()) as source,
        pytest.raises(BadAnswer, match=r"the conda channels \(c0\)"),
    ):
        solved(source, "pure")


def test_a_file_without_a_sha256_cannot_be_locked(tmp_path: Path) -> None:
    root = write_channel(tmp_path / "weak", [CondaPackage(name="tool", noarch="generic")], shards=False)
    path = root / "noarch" / "repodata.json"
    document = json.loads(path.read_text())
    del document["packages.conda"]["tool-1.0-0.conda"]["sha256"]
    path.write_text(json.dumps(document))
    with opened(tmp_path / "cache", root.as_uri()) as source, pytest.raises(MissingHash, match=r"tool-1\.0-0\.conda"):
        solved(source, "tool")


def test_versions_with_an_epoch_or_a_plus_are_fetched_by_their_name(tmp_path: Path, channel: ServedChannel) -> None:
    odd = CondaPackage(name="_odd.tool", version="1!2.0+g1", build="h1+x", noarch="generic")
    channel.root = write_channel(tmp_path / "odd", [odd])
    blobs = Blobs(tmp_path / "blobs")
    for address in (channel.url, channel.root.as_uri()):
        with opened(tmp_path / "cache", address) as source:
            [package] = lock_packages(
                {"linux/amd64": solved(source, "_odd.tool", preferred={"_odd.tool": "1!2.0+g1=h1+x"})}
            )
            assert (package.version, package.files[0].name) == ("1!2.0+g1=h1+x", odd.file_name)
            source.fetch(package, package.files[0], blobs)
            blobs.path(package.files[0].sha256).unlink()


def test_a_file_of_another_name_than_its_package_is_a_bad_answer(tmp_path: Path) -> None:
    root = write_channel(tmp_path / "names", [CondaPackage(name="tool", noarch="generic")], shards=False)
    path = root / "noarch" / "repodata.json"
    document = json.loads(path.read_text())
    document["packages.conda"]["tool-9.9-0.conda"] = document["packages.conda"].pop("tool-1.0-0.conda")
    path.write_text(json.dumps(document))
    with opened(tmp_path / "cache", root.as_uri()) as source, pytest.raises(BadAnswer, match=r"tool-9\.9-0\.conda"):
        solved(source, "tool")


def test_threads_may_ask_at_once(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source, ThreadPoolExecutor(6) as workers:
        asked = [*PLATFORMS] * 4
        found = list(workers.map(lambda platform: solved(source, "pure", platform=platform), asked))
        assert found == [solved(source, "pure", platform=platform) for platform in asked]


def test_shards_on_another_host_are_left_for_the_whole_lists(tmp_path: Path, channel: ServedChannel) -> None:
    channel.root = tmp_path / "led"
    write_channel(channel.root, _packages()[8:9])
    shards = channel.root / "noarch" / "repodata_shards.msgpack.zst"
    # a MessagePack map of three, all that rattler wants of an index of shards
    info = b"\x83\xa6subdir\xa6noarch\xa8base_url\xa0\xafshards_base_url\xd9\x1chttps://shards.example.test/"
    index = b"\x82\xa4info" + info + b"\xa6shards\x81\xa3old\xc4\x20" + bytes(32)
    shards.write_bytes(zstd(index))
    with opened(tmp_path / "cache", channel.url) as source:
        assert files(solved(source, "old")) == ["noarch/old-1.0-0.tar.bz2"]
    assert "/noarch/repodata_shards.msgpack.zst" in channel.asked
    assert "/noarch/repodata.json" in channel.asked


def test_the_lock_has_one_entry_per_build_and_a_file_per_platform(tmp_path: Path, channel: ServedChannel) -> None:
    with opened(tmp_path, channel.url) as source:
        solutions = {platform: solved(source, "pure", platform=platform) for platform in PLATFORMS}
        packages = {package.id: package for package in lock_packages(solutions)}
        assert sorted(packages) == [
            "conda:libz@2.0=0",
            "conda:numpy@2.0.0=py312_0",
            "conda:pure@1.0=0",
            *("conda:python@3.12.4=h64_cpython", "conda:python@3.12.4=ham64_cpython"),
        ]
        numpy = packages["conda:numpy@2.0.0=py312_0"]
        assert sorted(file.platform for file in numpy.files) == sorted(PLATFORMS)
        assert numpy.dependencies == ("conda:libz>=1.3", "conda:python=3.12")
        assert (numpy.index, numpy.licence, numpy.source_class) == ("c0", "MIT", "registry")
        pure = packages["conda:pure@1.0=0"]
        assert [file.platform for file in pure.files] == [""]
        lock = Lock(project="p", platforms=tuple(sorted(PLATFORMS)), packages=tuple(packages.values()))
        assert loads(dumps(lock).encode()) == lock
        for package in packages.values():
            for file in package.files:
                assert source.url_of(package, file).startswith(f"{channel.url}/")
                source.fetch(package, file, Blobs(tmp_path / "blobs"))
    assert {f"/{PLATFORMS[file.platform]}/{file.name}" for file in numpy.files} <= set(channel.asked)


def _record(**changes: Any) -> CondaRecord:
    facts = {
        "name": "tool",
        "version": "1",
        "build": "0",
        "subdir": "linux-64",
        "channel": "a",
        "file": "tool-1-0.conda",
    }
    return CondaRecord(**{**facts, "sha256": "0" * 64, **changes})


@pytest.mark.parametrize("changes", [{"channel": "b"}, {"subdir": "noarch", "channel": "b"}])
def test_one_build_from_two_channels_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(CondaTwoFiles, match=r"a/linux-64/tool-1-0\.conda and b/") as caught:
        lock_packages({"darwin/arm64": [_record()], "linux/amd64": [_record(**changes)]})
    assert "conda:CHANNEL::NAME" in caught.value.hint


def test_edges_are_requirements_without_facts_of_the_platform() -> None:
    depends = ("__glibc >=2.17", "python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "odd[when=x]")
    [package] = lock_packages({"linux/amd64": [_record(depends=depends)]})
    assert package.dependencies == (
        "conda:odd[when=x]",
        "conda:python>=3.11,<3.12.0a0",
        "conda:python_abi =3.11 *_cp311",
    )


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"depends": ["python >=3.10"]}, ("my-tool",)),
        ({"depends": ["python"]}, ("my-tool",)),
        ({"depends": ["python_abi 3.11.*", "python-dateutil"]}, ()),
        ({"noarch": "python"}, ("my-tool",)),
        ({"noarch": "generic", "depends": ["libz"]}, ()),
        ({"noarch": "python", "purls": ["pkg:pypi/Other_Name@1.0", "pkg:conda/x@1"]}, ("other-name",)),
        ({"purls": ["pkg:pypi/b?a=1", "pkg:pypi/a#x"]}, ("a", "b")),
    ],
)
def test_python_names_are_the_channels_word_or_the_same_name(facts: dict[str, Any], names: tuple[str, ...]) -> None:
    defaults: dict[str, Any] = {"name": "my_tool", "depends": [], "noarch": "", "purls": []}
    assert python_names(**{**defaults, **facts}) == names


def test_a_file_that_is_not_what_was_locked_is_not_kept(tmp_path: Path, channel: ServedChannel) -> None:
    channel.root = write_channel(tmp_path / "changing", [CondaPackage(name="tool", noarch="generic")])
    blobs = Blobs(tmp_path / "blobs")
    for address in (channel.url, channel.root.as_uri()):
        with opened(tmp_path / "cache", address) as source:
            [package] = lock_packages({"linux/amd64": solved(source, "tool")})
            [file] = package.files
            path = channel.root / "noarch" / file.name
            good = path.read_bytes()
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            with pytest.raises(WrongHash, match=file.name):
                source.fetch(package, file, blobs)
            path.unlink()
            with pytest.raises(FileGone, match=file.name):
                source.fetch(package, file, blobs)
            assert not blobs.has(file.sha256)
            path.write_bytes(good)
            source.fetch(package, file, blobs)
            assert blobs.path(file.sha256).read_bytes() == good
            blobs.path(file.sha256).unlink()


def test_channels_by_name_are_at_the_usual_place(tmp_path: Path) -> None:
    import rattler

    usual = rattler.Channel("x").base_url.rstrip("/").removesuffix("x")
    package = Package(kind=CondaSource.kind, name="tool", version="1=0", index="conda")
    file = File(name="tool-1-0.conda", sha256="0" * 64, platform="linux/arm64")
    with opened(tmp_path, channels=[]) as source:
        assert source.url_of(package, file) == f"{usual}conda-forge/linux-aarch64/tool-1-0.conda"
    for url in ("bioconda", f"{usual}bioconda/"):
        with opened(tmp_path, channels=[CondaChannel(name="conda", url=url)]) as source:
            assert source.url_of(package, file).startswith(f"{usual}bioconda/linux-aarch64/")


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(CondaMissing) as caught, opened(tmp_path):
        pass
    assert caught.value.hint == "pip install 'hatchlock[conda]'"
