"""Files of Debian packages: every form that dpkg reads, and nothing else."""

from __future__ import annotations

import hashlib
import io
import os
import random
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.realise.debs.contents import DebFile, UnpackedDeb, unpacked_deb
from hatchlock.realise.debs.package_file import control_of_head, head_size
from hatchlock.realise.unpack import BadArchive, Limits
from support.compressed import zstd
from support.debian_archive import Deb, Link

HELLO = Deb(
    name="hello",
    version="1:2.0-1",
    files={"usr/bin/hello": "#!/bin/sh\n", "usr/share/x/empty": None, "usr/bin/hi": Link("hello")},
    modes={"usr/bin/hello": 0o755, "usr/share/x/empty": 0o1777},
    control={"postinst": "#!/bin/sh\n", "conffiles": "/etc/hello.conf\nremove-on-upgrade /etc/gone.conf\n"},
)


def member(name: str, data: bytes) -> bytes:
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)


def deb(*members: tuple[str, bytes]) -> bytes:
    return b"!<arch>\n" + b"".join(member(name, data) for name, data in members)


def tar(*items: tuple[str, dict[str, object], bytes], form: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=form) as archive:  # type: ignore[call-overload]
        for name, facts, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in facts.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


CONTROL = tar(("./control", {}, b"Package: x\nVersion: 1\nArchitecture: all\n"))
WIDE = Limits()
BINARY = ("debian-binary", b"2.0\n")


def unpack(directory: Path, data: bytes, name: str = "x", version: str = "1", limits: Limits = WIDE) -> UnpackedDeb:
    path = directory / "x.deb"
    path.write_bytes(data)
    into = directory / f"into-{len(list(directory.iterdir()))}"
    file = DebFile(name=name, version=version, file_name="x.deb", path=path)
    return unpacked_deb(file, into, limits=limits)


def refusal(directory: Path, data: bytes, limits: Limits = WIDE) -> str:
    with pytest.raises(BadArchive) as caught:
        unpack(directory, data, limits=limits)
    assert str(caught.value).startswith("x.deb cannot be unpacked")
    return str(caught.value)


@pytest.fixture
def odd_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("odd_umask")
@pytest.mark.parametrize("compression", ["xz", "gz", "zst", ""])
def test_what_a_package_has_comes_as_it_is_packed(tmp_path: Path, compression: str) -> None:
    made = replace(HELLO, compression=compression)
    found = unpack(tmp_path, made.data, "hello", "1:2.0-1")
    assert [(item.path, item.kind, stat.S_IMODE(item.mode), item.target) for item in found.paths] == [
        ("usr", "directory", 0o755, ""),
        ("usr/bin", "directory", 0o755, ""),
        ("usr/bin/hello", "file", 0o755, ""),
        ("usr/bin/hi", "symlink", 0o777, "hello"),
        ("usr/share", "directory", 0o755, ""),
        ("usr/share/x", "directory", 0o755, ""),
        ("usr/share/x/empty", "directory", 0o1777, ""),
    ]
    assert found.control.members["postinst"] == b"#!/bin/sh\n"
    assert found.control.field("multi-arch") == ""
    assert found.control.field("Version") == "1:2.0-1"
    assert found.conffiles == ("etc/hello.conf",)


def test_unknown_members_are_passed_over_and_bzip2_is_read(tmp_path: Path) -> None:
    data = tar(("./a", {}, b"hello"), form="w:bz2")
    made = deb(BINARY, ("_extra", b"odd"), ("control.tar", CONTROL), ("_more", b""), ("data.tar.bz2", data), ("z", b""))
    found = unpack(tmp_path, made)
    assert [item.path for item in found.paths] == ["a"]


def test_bits_that_raise_rights_are_dropped_and_hard_links_are_files(tmp_path: Path) -> None:
    data = tar(
        ("./su", {"mode": 0o6755}, b"x"),
        ("./spool", {"mode": 0o3777, "type": tarfile.DIRTYPE}, b""),
        ("./other", {"type": tarfile.LNKTYPE, "linkname": "./su"}, b""),
    )
    found = {
        item.path: item for item in unpack(tmp_path, deb(BINARY, ("control.tar", CONTROL), ("data.tar", data))).paths
    }
    assert {path: item.mode for path, item in found.items()} == {"su": 0o755, "spool": 0o1777, "other": 0o755}
    assert found["other"].same_as(found["su"])
    assert not found["other"].same_as(found["spool"])


def test_of_two_entries_with_one_name_the_later_one_counts(tmp_path: Path) -> None:
    data = tar(("./a", {}, b"old"), ("./a", {}, b"new!"))
    (item,) = unpack(tmp_path, deb(BINARY, ("control.tar", CONTROL), ("data.tar", data))).paths
    assert item.md5() == hashlib.md5(b"new!").hexdigest()


def with_data(*items: tuple[str, dict[str, object], bytes]) -> bytes:
    return deb(BINARY, ("control.tar", CONTROL), ("data.tar", tar(*items)))


BROKEN = {
    "no archive": b"hello",
    "another format": deb(("debian-binary", b"3.0\n"), ("control.tar", CONTROL), ("data.tar", tar())),
    "another archive": deb(("x", b"2.0\n"), ("control.tar", CONTROL), ("data.tar", tar())),
    "no data": deb(BINARY, ("control.tar", CONTROL)),
    "no control": deb(BINARY, ("data.tar", tar())),
    "no version": deb(BINARY, ("control.tar", tar(("control", {}, b"Package: x\n"))), ("data.tar", tar())),
    "a way out of the control information": deb(
        BINARY, ("control.tar", tar(("../control", {}, b""))), ("data.tar", tar())
    ),
    "cut off": with_data(("a", {}, b"x" * 9999))[:-3000],
    "a way out": with_data(("../a", {}, b"")),
    "a name for two lines": with_data(("a\nb", {}, b"")),
    "a device": with_data(("a", {"type": tarfile.CHRTYPE}, b"")),
    "a pipe": with_data(("a", {"type": tarfile.FIFOTYPE}, b"")),
    "a hard link to nothing": with_data(("a", {"type": tarfile.LNKTYPE, "linkname": "b"}, b"")),
    "a link to nothing": with_data(("a", {"type": tarfile.SYMTYPE, "linkname": ""}, b"")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_proper_package_is_refused(tmp_path: Path, what: str) -> None:
    refusal(tmp_path, BROKEN[what])


def test_zstd_that_is_damaged_or_cut_off_is_told(tmp_path: Path) -> None:
    data = zstd(tar(("a", {}, b"x" * 9999)))
    garbled, cut = data[:-1] + bytes([data[-1] ^ 1]), data[:-20]
    for part in (garbled, cut):
        assert "damaged" in refusal(tmp_path, deb(BINARY, ("control.tar", CONTROL), ("data.tar.zst", part)))
    for part in (zstd(CONTROL)[:-6], zstd(bytes(65 << 20)), zstd(CONTROL, window_log=28)):
        refusal(tmp_path, deb(BINARY, ("control.tar.zst", part), ("data.tar.zst", data)))
    large = deb(BINARY, ("control.tar", CONTROL), ("data.tar.zst", zstd(tar(("a", {}, bytes(1 << 20))))))
    assert len(large) < 20_000
    assert "larger than" in refusal(tmp_path, large, Limits(size=1 << 20))


def test_another_package_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="it is x 1, and not x 2"):
        unpack(tmp_path, with_data(), version="2")


def test_more_than_the_limits_is_refused(tmp_path: Path) -> None:
    assert "larger than" in refusal(tmp_path, with_data(("a", {}, b"x" * 20_000)), Limits(size=15_000))
    assert "entries" in refusal(tmp_path, with_data(("a", {}, b""), ("b", {}, b"")), Limits(entries=1))


def test_damage_anywhere_is_our_error_or_none(tmp_path: Path) -> None:
    chance = random.Random(5)
    data = HELLO.data
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        if chance.random() < 0.3:
            del changed[chance.randrange(len(changed)) :]
        try:
            unpack(tmp_path, bytes(changed), "hello", "1:2.0-1")
        except BadArchive:
            continue


def test_the_beginning_of_a_file_tells_what_the_package_says(tmp_path: Path) -> None:
    data = HELLO.data
    size = head_size(data[:512])
    assert size < len(data)
    assert control_of_head(data[:size]).field("Package") == "hello"
    with pytest.raises(BadArchive):
        control_of_head(data[: size - 8])
    with pytest.raises(BadArchive):
        head_size(b"<html>not found</html>" * 40)


@pytest.mark.parametrize("name", ["usr/.wh.bin", ".wh..wh..opq", b"caf\xe9".decode(errors="surrogateescape")])
def test_a_name_that_no_image_can_have_is_refused(tmp_path: Path, name: str) -> None:
    data = deb(BINARY, ("control.tar", CONTROL), ("data.tar", tar((name, {}, b""))))
    with pytest.raises(BadArchive, match="cannot be a name in an image"):
        unpack(tmp_path, data)


@pytest.mark.parametrize("name", ["list", "a b", "x\ny", "é"])
def test_control_information_has_no_files_that_would_be_others_of_dpkgs(tmp_path: Path, name: str) -> None:
    control = tar(("control", {}, b"Package: x\nVersion: 1\nArchitecture: all\n"), (name, {}, b"/etc/shadow\n"))
    with pytest.raises(BadArchive, match="its control information has a file"):
        unpack(tmp_path, deb(BINARY, ("control.tar", control), ("data.tar", tar())))


def test_an_architecture_is_a_word(tmp_path: Path) -> None:
    control = tar(("control", {}, b"Package: x\nVersion: 1\nArchitecture: ../../x\n"))
    with pytest.raises(BadArchive, match="is no architecture"):
        unpack(tmp_path, deb(BINARY, ("control.tar", control), ("data.tar", tar())))


def test_a_field_cannot_begin_another_packages_paragraph(tmp_path: Path) -> None:
    text = b"Package: x\nVersion: 1\nArchitecture: all\nDescription: a\n \n Package: openssl\n\t\n b\n"
    found = unpack(tmp_path, deb(BINARY, ("control.tar", tar(("control", {}, text))), ("data.tar", tar())))
    assert dict(found.control.fields)["Description"] == "a\n Package: openssl\n b"


def test_control_information_that_says_it_is_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    head = f"{'control.tar':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{9_999_999_999:<10}`\n".encode()
    with pytest.raises(BadArchive, match="has 9999999999 bytes"):
        unpack(tmp_path, b"!<arch>\n" + member(*BINARY) + head)
