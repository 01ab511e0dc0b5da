"""Archives become files of ours, and nothing else in the world changes."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
import resource
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.realise.unpack import BadArchive, Limits, public_directory, unpack
from support.archives import Item, make_tar, make_zip, tree_of
from support.compressed import xz_of_4_gib, zstd

Make = Callable[[Path, Sequence[Item]], Path]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "thing.archive"


@pytest.fixture
def odd_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz", "zst"])
def test_a_tar_of_each_compression_is_recognised_by_its_content(
    archive: Path, tmp_path: Path, compression: str
) -> None:
    make_tar(archive, [Item("a/b", b"hello"), Item("c", b"x")], compression=compression)
    unpack(archive, tmp_path / "out")
    assert tree_of(tmp_path / "out") == {"a": "/", "a/b": "hello", "c": "x"}


def test_a_zip_is_unpacked_with_its_links_and_modes(archive: Path, tmp_path: Path) -> None:
    items = [Item("d", kind="directory"), Item("a/b", b"x", mode=0o755), Item("l", kind="symlink", target="a/b")]
    assert unpack(make_zip(archive, items), tmp_path / "out") == ("a/b",)
    assert tree_of(tmp_path / "out") == {"a": "/", "a/b": "x", "d": "/", "l": "-> a/b"}
    assert mode(tmp_path / "out" / "a" / "b") == 0o755


@pytest.mark.usefixtures("odd_umask")
def test_modes_are_plain_whatever_the_archive_and_the_umask_say(archive: Path, tmp_path: Path) -> None:
    items = [
        Item("setuid", b"x", mode=0o4711),
        Item("shared", b"x", mode=0o666),
        Item("secret", b"x", mode=0o000),
        Item("closed", kind="directory", mode=0o700),
    ]
    assert unpack(make_tar(archive, items), tmp_path / "deep" / "out") == ("setuid",)
    modes = {path.name: mode(path) for path in (tmp_path / "deep").rglob("*")}
    assert modes == {"out": 0o755, "setuid": 0o755, "shared": 0o644, "secret": 0o644, "closed": 0o755}
    assert mode(tmp_path / "deep") == 0o755


def test_of_two_entries_with_one_name_the_later_counts(archive: Path, tmp_path: Path) -> None:
    items = [
        Item("a", b"first", mode=0o755),
        Item("l", kind="symlink", target="a"),
        Item("./a", b"second"),
        Item("l", b"a file now"),
        Item("b", b"a file"),
        Item("b", kind="symlink", target="a"),
    ]
    assert unpack(make_tar(archive, items), tmp_path / "out") == ()
    assert tree_of(tmp_path / "out") == {"a": "second", "b": "-> a", "l": "a file now"}


def test_a_hard_link_is_a_file_of_its_own(archive: Path, tmp_path: Path) -> None:
    items = [Item("top/a", b"x", mode=0o755), Item("top/b", kind="hardlink", target="top/a"), Item("top/a", b"y")]
    unpack(make_tar(archive, items), tmp_path / "out", strip=1)
    assert tree_of(tmp_path / "out") == {"a": "y", "b": "x"}
    assert (tmp_path / "out" / "b").stat().st_nlink == 1


def test_leading_directories_are_left_out_whatever_their_names(archive: Path, tmp_path: Path) -> None:
    items = [Item("one/a", b"1"), Item("two/b/c", b"2"), Item("lonely", b"3"), Item("./three//d", b"4")]
    unpack(make_tar(archive, items), tmp_path / "out", strip=1)
    assert tree_of(tmp_path / "out") == {"a": "1", "b": "/", "b/c": "2", "d": "4"}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["top/a", "top/b/c"], {"a", "b", "b/c"}),
        (["top/a", "other"], {"top", "top/a", "other"}),
        (["top/a", "next/b"], {"top", "top/a", "next", "next/b"}),
        (["lonely"], {"lonely"}),
    ],
)
def test_the_only_directory_at_the_top_is_left_out_on_demand(
    archive: Path, tmp_path: Path, names: list[str], found: set[str]
) -> None:
    unpack(make_tar(archive, [Item(name) for name in names]), tmp_path / "out", strip=None)
    assert set(tree_of(tmp_path / "out")) == found


def test_links_stay_that_lead_inside_also_to_nowhere_and_round_in_a_circle(archive: Path, tmp_path: Path) -> None:
    items = [
        Item("lib/real", b"x"),
        Item("bin/up", kind="symlink", target="../lib/real"),
        Item("nowhere", kind="symlink", target="lib/missing"),
        Item("round", kind="symlink", target="round"),
        Item("self", kind="symlink", target="."),
    ]
    unpack(make_tar(archive, items), tmp_path / "out")
    assert (tmp_path / "out" / "bin" / "up").read_bytes() == b"x"
    assert (tmp_path / "out" / "self").readlink() == Path()


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize(
    "items",
    [
        [Item("../x", b"1")],
        [Item("a/../../x", b"1")],
        [Item("/tmp/x", b"1")],
        [Item("l", kind="symlink", target="..")],
        [Item("l", kind="symlink", target="/etc")],
        [Item("l", kind="symlink", target="")],
        [Item("a/l", kind="symlink", target="../../outside/f")],
        [Item("a", kind="symlink", target="."), Item("x", kind="symlink", target="a/../outside")],
        [Item("x", kind="symlink", target="a/.."), Item("a", kind="symlink", target=".")],
        [Item("a", kind="symlink", target="../outside"), Item("a/f", b"1")],
        [Item("a/f", b"1"), Item("a", kind="symlink", target="../outside")],
        [Item("a", kind="symlink", target="b"), Item("b", kind="directory"), Item("a/f", b"1")],
        [Item("f", b"1"), Item("f/g", b"1")],
        [Item("f", kind="fifo")],
        [Item("x" * 300, b"1")],
        [Item("x/" * 3000 + "y", b"1")],
    ],
    ids=str,
)
def test_what_leads_out_or_cannot_be_is_refused(tmp_path: Path, make: Make, items: list[Item]) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(b"theirs")
    path = make(tmp_path / "thing.archive", items)
    with pytest.raises(BadArchive, match=r"^demo@1\.0 cannot be unpacked: ") as caught:
        unpack(path, tmp_path / "out", name="demo@1.0")
    assert caught.value.hint
    assert tree_of(tmp_path / "outside") == {"f": "theirs"}
    assert {item.name for item in tmp_path.iterdir()} == {"outside", "out", "thing.archive"}
    assert not [item for item in (tmp_path / "out").rglob("*") if item.is_symlink()]


@pytest.mark.parametrize(
    "item",
    [
        Item("h", kind="hardlink", target="/etc/passwd"),
        Item("h", kind="hardlink", target="../outside"),
        Item("h", kind="hardlink", target="missing"),
        Item("h", kind="hardlink", target="link"),
        Item("d", kind="device"),
    ],
    ids=str,
)
def test_hard_links_to_no_file_of_the_archive_and_devices_are_refused(
    archive: Path, tmp_path: Path, item: Item
) -> None:
    items = [Item("a", b"x"), Item("link", kind="symlink", target="a"), item]
    with pytest.raises(BadArchive):
        unpack(make_tar(archive, items), tmp_path / "out")
    assert tree_of(tmp_path / "out") == {}, "it is decided before anything is written"


def test_links_can_be_left_out(archive: Path, tmp_path: Path) -> None:
    items = [Item("a", b"x"), Item("l", kind="symlink", target="/etc"), Item("h", kind="hardlink", target="/etc/x")]
    unpack(make_tar(archive, items), tmp_path / "out", links=False)
    assert tree_of(tmp_path / "out") == {"a": "x"}


def test_files_can_be_placed_elsewhere(archive: Path, tmp_path: Path) -> None:
    path = make_tar(archive, [Item("p/a", b"x"), Item("p/b", b"y")])
    unpack(path, tmp_path / "out", strip=1, place={"a": "deep/c", "b": ""}.__getitem__)
    assert tree_of(tmp_path / "out") == {"deep": "/", "deep/c": "x"}


def test_a_file_that_is_there_is_not_overwritten(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "victim")
    with pytest.raises(BadArchive, match="a: File exists"):
        unpack(make_tar(archive, [Item("a", b"x")]), tmp_path / "out")
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_bomb_is_refused_before_anything_is_written(archive: Path, tmp_path: Path, make: Make) -> None:
    make(archive, [Item("a", bytes(3_000_000)), Item("b", b"x")])
    assert archive.stat().st_size < 30_000
    with pytest.raises(BadArchive, match="larger than 2000000 bytes"):
        unpack(archive, tmp_path / "out", limits=Limits(size=2_000_000))
    with pytest.raises(BadArchive, match="more than 1 entries"):
        unpack(archive, tmp_path / "out", limits=Limits(entries=1))
    assert tree_of(tmp_path / "out") == {}


def test_hard_links_and_deep_names_do_not_multiply_without_end(archive: Path, tmp_path: Path) -> None:
    links = [Item(f"h{number}", kind="hardlink", target="a") for number in range(20)]
    make_tar(archive, [Item("a", bytes(100_000)), *links])
    with pytest.raises(BadArchive, match="larger than 1000000 bytes together"):
        unpack(archive, tmp_path / "out", limits=Limits(size=1_000_000))
    make_tar(archive, [Item(f"{number}" + "/d" * 1000) for number in range(5)])
    with pytest.raises(BadArchive, match="more than 2000 entries"):
        unpack(archive, tmp_path / "out", limits=Limits(entries=2000))


def test_a_header_as_long_as_memory_is_refused(archive: Path, tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2_000_000
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2_000_000)))
    with pytest.raises(BadArchive, match="a header of 2000384 bytes"):
        unpack(archive, tmp_path / "out")


def test_what_the_reader_of_xz_must_keep_is_bounded(archive: Path, tmp_path: Path) -> None:
    make_tar(archive, [Item("a", b"x")], compression="")
    archive.write_bytes(xz_of_4_gib(archive.read_bytes()))
    with pytest.raises(BadArchive, match="Memory usage limit"):
        unpack(archive, tmp_path / "out")


def test_several_streams_of_xz_are_one(archive: Path, tmp_path: Path) -> None:
    make_tar(archive, [Item("a", b"x" * 3000)], compression="")
    data = archive.read_bytes()
    archive.write_bytes(lzma.compress(data[:700]) + bytes(8) + lzma.compress(data[700:]) + bytes(4))
    unpack(archive, tmp_path / "out")
    assert tree_of(tmp_path / "out") == {"a": "x" * 3000}
    archive.write_bytes(lzma.compress(data) + bytes(3))
    with pytest.raises(BadArchive, match="something else follows it"):
        unpack(archive, tmp_path / "other")


def test_the_map_of_a_sparse_file_does_not_fill_the_memory(archive: Path, tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    numbers = b"9999999\n" + b"0\n" * (2200 << 10)
    info.size = len(numbers)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}
    with gzip.open(archive, "wb", compresslevel=1) as out:
        out.write(info.tobuf(tarfile.PAX_FORMAT) + numbers)
    with pytest.raises(BadArchive, match="headers of more than 4194304 bytes for one file"):
        unpack(archive, tmp_path / "out")


def test_sizes_below_zero_do_not_lead_in_circles(archive: Path, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as written:
        info = tarfile.TarInfo("a")
        info.pax_headers = {"size": "-2048"}
        written.addfile(info)
    archive.write_bytes(stream.getvalue())
    with pytest.raises(BadArchive):
        unpack(archive, tmp_path / "out")


def test_each_cut_and_each_garbled_archive_is_refused_in_words(archive: Path, tmp_path: Path) -> None:
    make_tar(archive, [Item("a", b"x" * 600), Item("b", b"y")], compression="")
    whole = archive.read_bytes()
    garbled = whole[:1536] + b"z" + whole[1537:]  # the header of b
    for damaged in (whole[:100], whole[:700], garbled, b"", b"hello", b"PK\x03\x04 no zip", b"\x1f\x8b no gzip"):
        archive.write_bytes(damaged)
        with pytest.raises(BadArchive):
            unpack(archive, tmp_path / "out")
        assert tree_of(tmp_path / "out").get("b") is None


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_flipped_bits_are_refused_or_harmless(tmp_path: Path, make: Make) -> None:
    items = [Item("a", b"x"), Item("b" * 120, b"y"), Item("l", kind="symlink", target="a")]
    whole = make(tmp_path / "whole", items).read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 200)):
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        (tmp_path / "changed").write_bytes(changed)
        with tempfile.TemporaryDirectory(dir=tmp_path) as out:
            try:
                unpack(tmp_path / "changed", Path(out))
            except BadArchive:
                continue


def test_an_encrypted_zip_is_refused_by_name(archive: Path, tmp_path: Path) -> None:
    data = bytearray(make_zip(archive, [Item("a", b"x")]).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(BadArchive, match="a is encrypted"):
        unpack(archive, tmp_path / "out")


def test_zstd_is_held_to_the_limits_wherever_it_breaks_off(archive: Path, tmp_path: Path) -> None:
    make_tar(archive, [Item("a", bytes(40 << 20))], compression="zst")
    whole = archive.read_bytes()
    assert len(whole) < 10_000
    with pytest.raises(BadArchive, match="larger than 1048576 bytes"):
        unpack(archive, tmp_path / "out", limits=Limits(size=1 << 20))
    for cut in (4, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:cut])
        with pytest.raises(BadArchive, match="damaged"):
            unpack(archive, tmp_path / "out")
    archive.write_bytes(zstd(bytes(2048), window_log=28))
    with pytest.raises(BadArchive, match="too much memory"):
        unpack(archive, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_what_the_system_refuses_is_not_the_archives_fault(archive: Path, tmp_path: Path) -> None:
    make_tar(archive, [Item("a", bytes(10_000))])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            unpack(archive, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "missing", tmp_path / "out")


def test_directories_that_are_wanted_twice_are_made_once(tmp_path: Path) -> None:
    public_directory(tmp_path / "a" / "b")
    public_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


PLAIN = st.sampled_from(["a", "b", "c", "a/b", "b/a", "c/a/b"])
HOSTILE = st.sampled_from(["../a", "a/../../b", "..", ".", "/tmp/hatchlock-was-here"])
TARGETS = st.sampled_from(["a", "b/..", "a/../theirs", ".", "..", "../theirs", "../..", "a/../../theirs", "c/a"])
ITEMS = st.builds(
    Item,
    # mostly plain: an archive is refused as a whole for one bad name
    name=st.one_of(PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, PLAIN, HOSTILE),
    content=st.just(b"ours"),
    kind=st.sampled_from(["symlink", "file", "directory", "hardlink"]),
    mode=st.sampled_from([0o644, 0o4777]),
    target=st.one_of(TARGETS, HOSTILE),
)


@settings(max_examples=200, deadline=None)
@given(items=st.lists(ITEMS, min_size=1, max_size=4), strip=st.sampled_from([0, 0, 1, None]))
def test_no_archive_changes_anything_outside(items: list[Item], strip: int | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        world = Path(scratch).resolve()
        into = world / "a" / "b" / "into"
        into.mkdir(parents=True)
        for outside in (world, world / "a", world / "a" / "b"):
            (outside / "theirs").write_bytes(b"theirs")
        archive = make_tar(world / "archive", items, compression="")
        before = outside_of(into, world)
        with contextlib.suppress(BadArchive):
            unpack(archive, into, strip=strip)
        assert outside_of(into, world) == before
        assert not Path("/tmp/hatchlock-was-here").exists()
        for path in into.rglob("*"):
            assert os.path.realpath(path).startswith(f"{into}"), path


def outside_of(into: Path, world: Path) -> dict[str, str]:
    found = {path: text for path, text in tree_of(world).items() if not f"{world / path}/".startswith(f"{into}/")}
    return {path: text for path, text in found.items() if path != "archive"}
