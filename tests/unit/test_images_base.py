"""What a base image is, is read from its layers."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from hatchlock.images.base import BadLayer, BaseFacts, base_facts, base_files
from support.compressed import SKIPPED, zstd
from support.layers import make_layer

STATUS = b"""\
Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u10

Package: python3.11-minimal
Status: install ok installed
Version: 3.11.2-6+deb12u6

Package: gone
Status: deinstall ok config-files
Version: 1
"""
DEBIAN: dict[str, bytes | str | None] = {
    "./": None,
    "./bin": "usr/bin",
    "./usr/bin": None,
    "./usr/bin/python3.11": b"\x7fELF",
    "./usr/bin/python3": "python3.11",
    "./usr/lib/x86_64-linux-gnu/libc.so.6": b"..GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n",
    "./var/lib/dpkg/status": STATUS,
    "./etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
}


def facts(tmp_path: Path, *layers: dict[str, bytes | str | None]) -> BaseFacts:
    return base_facts(paths(tmp_path, *layers))


def paths(tmp_path: Path, *layers: dict[str, bytes | str | None]) -> list[Path]:
    made = []
    for number, files in enumerate(layers):
        made.append(tmp_path / f"layer{number}")
        made[-1].write_bytes(make_layer(files, packed=number % 2 == 0))
    return made


def test_a_debian_base_tells_interpreter_libc_packages_and_symlinks(tmp_path: Path) -> None:
    assert facts(tmp_path, DEBIAN) == BaseFacts(
        python="3.11.2",
        python_path="/usr/bin/python3.11",
        libc="glibc 2.36",
        symlinks={"bin": "usr/bin"},
        packages=("deb:libc6@2.36-9+deb12u10", "deb:python3.11-minimal@3.11.2-6+deb12u6"),
    )


def test_an_interpreter_of_its_own_in_usr_local_goes_before_the_distributions(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        DEBIAN,
        {
            "usr/local/bin/python3.12": b"\x7fELF",
            "usr/local/bin/python3": "python3.12",
            "usr/local/include/python3.12/patchlevel.h": b'#define PY_VERSION      "3.12.7"\n',
        },
    )
    assert (found.python, found.python_path) == ("3.12.7", "/usr/local/bin/python3.12")


def test_an_interpreter_without_a_package_tells_its_version_from_its_own_bytes(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        {
            "opt/py/bin/python3.13": b"\x7fELF..\x003.12.1\x003.13.4\x00",
            "usr/bin/python3": "/opt/py/bin/../bin/python3.13",
            "opt/py/lib/libpython3.13.so.1.0": b"..\x003.13.4\x00..",
        },
    )
    assert (found.python, found.python_path) == ("3.13.4", "/opt/py/bin/python3.13")


def test_an_alpine_base_is_musl(tmp_path: Path) -> None:
    found = facts(
        tmp_path, {"lib/ld-musl-x86_64.so.1": b"", "lib/apk/db/installed": b"C:Q1\nP:musl\nV:1.2.5-r9\nA:x86_64\n\n"}
    )
    assert (found.libc, found.python, found.packages) == ("musl 1.2", "", ())


def test_slim_images_keep_one_file_for_each_package(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        {
            "var/lib/dpkg/status.d/tzdata": b"Package: tzdata\nVersion: 2024a\n",
            "var/lib/dpkg/status.d/tzdata.md5sums": b"Package: wrong\nVersion: 1\n",
        },
    )
    assert found.packages == ("deb:tzdata@2024a",)


def test_a_whiteout_takes_a_file_away_and_an_opaque_directory_all_below_it(tmp_path: Path) -> None:
    assert facts(tmp_path, DEBIAN, {"usr/bin/.wh.python3": b""}).python_path == ""
    assert facts(tmp_path, DEBIAN, {"usr/bin/.wh..wh..opq": b""}).python_path == ""
    assert facts(tmp_path, DEBIAN, {"var/lib/.wh.dpkg": b""}).packages == ()


def test_a_whiteout_leaves_what_its_own_layer_brings(tmp_path: Path) -> None:
    found = facts(
        tmp_path, DEBIAN, {"usr/bin/python3.12": b"", "usr/bin/python3": "python3.12", "usr/bin/.wh..wh..opq": b""}
    )
    assert found.python_path == "/usr/bin/python3.12"


def test_a_file_in_the_place_of_a_directory_takes_its_content_away(tmp_path: Path) -> None:
    assert facts(tmp_path, DEBIAN, {"usr/bin": "elsewhere"}).python_path == ""


def test_a_hard_link_is_the_file_that_it_links(tmp_path: Path) -> None:
    found = facts(
        tmp_path,
        DEBIAN,
        {"usr/lib/x86_64-linux-gnu/libc-copy": b"", "lib64/libc.so.6": "=usr/lib/x86_64-linux-gnu/libc.so.6"},
    )
    assert found.libc == "glibc 2.36"


def test_symlinks_in_a_circle_are_no_interpreter(tmp_path: Path) -> None:
    assert facts(tmp_path, {"usr/bin/python3": "python3.11", "usr/bin/python3.11": "python3"}).python_path == ""


def test_files_come_from_the_highest_layer_that_has_them(tmp_path: Path) -> None:
    layers = paths(tmp_path, DEBIAN, {"etc/passwd": b"new\n"}, {"etc/other": b"x"})
    assert base_files(layers, ["etc/passwd", "etc/group"]) == {"etc/passwd": b"new\n"}


def test_files_that_a_higher_layer_took_away_are_not_there(tmp_path: Path) -> None:
    for hidden in ("etc/.wh.passwd", "etc/.wh..wh..opq", ".wh.etc", ".wh..wh..opq"):
        assert base_files(paths(tmp_path, DEBIAN, {hidden: b""}), ["etc/passwd"]) == {}


PLAIN = make_layer(DEBIAN, packed=False)


@pytest.mark.parametrize("data", [zstd(PLAIN), SKIPPED + zstd(PLAIN[:5000]) + zstd(PLAIN[5000:]) + SKIPPED])
def test_a_layer_in_zstd_is_read_as_any_other(tmp_path: Path, data: bytes) -> None:
    (layer,) = paths(tmp_path, DEBIAN)
    expected = base_facts([layer])
    layer.write_bytes(data)
    assert base_facts([layer]) == expected
    assert base_files([layer], ["etc/passwd"]) == {"etc/passwd": DEBIAN["./etc/passwd"]}


@pytest.mark.parametrize(
    "data",
    [
        *(b"\x28\xb5\x2f\xfd....", b"\x50\x2a\x4d\x18", zstd(PLAIN)[:-20], zstd(b"x" * 9999)),
        *(zstd(PLAIN, window_log=28), b"not a tar at all", make_layer(DEBIAN)[:-200]),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "abc").write_bytes(data)
    with pytest.raises(BadLayer, match="layer abc cannot be read"):
        base_facts([tmp_path / "abc"])


def _headed(name: str, size: int, kind: bytes = tarfile.REGTYPE, *, pax: dict[str, str] | None = None) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.pax_headers = kind, size, pax or {}
    return info.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_headed("etc/passwd", 300 << 20), "has more than 256 MiB"),
        (_headed("etc/passwd", 0, pax={"size": "-2048"}), "has more than 256 MiB"),
        (_headed("x", 2 << 30, tarfile.XHDTYPE), "it has a header of 2147483648 bytes"),
        (_headed("x" * 5000, 0), "it has a name of more than 4096 characters"),
        (_headed("etc/passwd", 0, pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), "cannot be read"),
    ],
)
def test_a_layer_takes_no_more_memory_than_it_may(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "abc").write_bytes(gzip.compress(data + bytes(1 << 12)))
    with pytest.raises(BadLayer, match=why):
        base_files([tmp_path / "abc"], ["etc/passwd"])


@pytest.mark.parametrize("content", [b'#define PY_VERSION "\xff\xfe"\n', b'#define PY_VERSION "3.\x1b[31m"\n'])
def test_a_version_that_is_none_is_not_believed(tmp_path: Path, content: bytes) -> None:
    files = {**DEBIAN, "./usr/include/python3.11/patchlevel.h": content}
    assert facts(tmp_path, files).python == "3.11.2"
