"""The dynamic linker's cache and the links by soname, against ldconfig itself."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from hatchlock.realise.debs.elf import library
from hatchlock.realise.debs.library_cache import BadCache, CachedLibrary, read_cache, written_cache
from hatchlock.realise.tree import Entry, FileOnDisk
from support.deb_layers import base_of, base_on_disk, content_of, lay_over, layer_of
from support.debian_archive import Deb, Link
from support.elf import AARCH64, X86_64, make_library
from support.unavailable import unavailable

CACHE = "etc/ld.so.cache"
LIB = "usr/lib/x86_64-linux-gnu"
SETTINGS = {
    "etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf # all\n",
    "etc/ld.so.conf.d/b.conf": b"# Multiarch support\n/usr/local/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n",
    "etc/ld.so.conf.d/a.conf": b"/usr/local/lib\n",
}
X86, ARM = 0x303, 0xA03


@pytest.fixture(scope="session")
def ldconfig() -> str:
    return shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin") or unavailable("there is no ldconfig")


def listed(ldconfig: str, cache: Path) -> list[tuple[str, str]]:
    said = subprocess.run([ldconfig, "-p", "-C", cache], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^\t(.+) => (.+)$", said, re.MULTILINE)


LIBRARIES = (
    CachedLibrary(name="libb.so.10", path="/lib/libb.so.10", flags=X86),
    CachedLibrary(name="libb.so.9", path="/opt/libb.so.9", flags=X86),
    CachedLibrary(name="libb.so.9", path="/lib/libb.so.9", flags=X86),
    CachedLibrary(name="liba.so.1", path="/lib/v3/liba.so.1", flags=X86, subdirectory="x86-64-v3"),
    CachedLibrary(name="liba.so.1", path="/lib/liba.so.1", flags=ARM),
    CachedLibrary(name="liba.so.1", path="/lib/liba.so.1", flags=X86),
    CachedLibrary(name="liba-x.so", path="/lib/liba-x.so", flags=X86),
)


def test_what_is_written_is_read_again_and_by_ldconfig(tmp_path: Path, ldconfig: str) -> None:
    given = list(LIBRARIES)
    random.Random(3).shuffle(given)
    # of equal names the earlier directory counts
    given.sort(key=lambda item: not item.path.startswith("/opt"))
    data = written_cache(given)
    names = [(item.name, item.path) for item in read_cache(data)]
    (tmp_path / "cache").write_bytes(data)
    found = listed(ldconfig, tmp_path / "cache")
    assert [(name.split(" ")[0], path) for name, path in found] == names
    assert names[:3] == [(item.name, item.path) for item in LIBRARIES[:3]]
    assert set(read_cache(data)) == set(LIBRARIES)
    assert ("liba.so.1 (libc6,AArch64)", "/lib/liba.so.1") in found
    assert any('hwcap: "x86-64-v3"' in name for name, _ in found)


def test_the_cache_of_this_machine_is_written_as_ldconfig_did(tmp_path: Path, ldconfig: str) -> None:
    own = Path("/etc/ld.so.cache")
    if not own.exists():
        unavailable("this machine has no ld.so.cache")
    (tmp_path / "cache").write_bytes(written_cache(read_cache(own.read_bytes())))
    assert listed(ldconfig, tmp_path / "cache") == listed(ldconfig, own)


def test_the_older_form_may_stand_in_front() -> None:
    data = written_cache(LIBRARIES)
    head = b"ld.so-1.7.0\0" + struct.pack("<I", 1) + bytes(12)
    assert read_cache(head + bytes(-len(head) % 8) + data) == read_cache(data)


def test_damaged_caches_are_refused() -> None:
    data = written_cache(LIBRARIES)
    for broken in (b"", b"hello" * 50, data[:90], data[:48] + b"\xff" * 200):
        with pytest.raises(BadCache):
            read_cache(broken)


def test_libraries_are_told_from_other_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    contents = {
        make_library("liba.so.1"): (X86_64, "liba.so.1"),
        make_library("", AARCH64): (AARCH64, ""),
        b"/* GNU ld script */": None,
        make_library("liba.so.1")[:150]: None,
        b"\x7fELF" + b"\xff" * 200: None,
    }
    for content, expected in contents.items():
        path.write_bytes(b"before it" + content + b"behind it")
        found = library(FileOnDisk(path=path, size=len(content), offset=9))
        assert (found and (found.machine, found.soname)) == expected


# layers


def same_as_ldconfig(tmp_path: Path, ldconfig: str, root: Path, *debs: Deb) -> None:
    """Lay the layer over a base, and let ldconfig do its own work there: it has to come to the same."""
    subprocess.run([ldconfig, "-r", root], check=True, capture_output=True)
    layer = layer_of(tmp_path, base_on_disk(root), *debs)
    lay_over(root, list(layer.values()))
    ours = listed(ldconfig, root / CACHE), links(root)
    subprocess.run([ldconfig, "-r", root], check=True, capture_output=True)
    assert ours == (listed(ldconfig, root / CACHE), links(root))


def links(root: Path) -> dict[str, str]:
    return {str(path): str(path.readlink()) for path in root.rglob("*") if path.is_symlink()}


def planted(root: Path, files: dict[str, bytes | Link | None]) -> Path:
    lay_over(
        root,
        [
            Entry(path=path, kind="directory")
            if content is None
            else Entry(path=path, kind="symlink", target=content.target)
            if isinstance(content, Link)
            else Entry(path=path, content=content)
            for path, content in files.items()
        ],
    )
    return root


BASE: dict[str, bytes | Link | None] = {
    **SETTINGS,
    "usr/lib": None,
    "lib": Link("usr/lib"),
    f"{LIB}/libc.so.6": make_library("libc.so.6"),
    f"{LIB}/libold.so.1.0": make_library("libold.so.1"),
    f"{LIB}/libold.so.1": Link("libold.so.1.0"),
    "usr/local/lib/libmine.so.3": make_library("libmine.so.3"),
    "var/lib/dpkg/status": b"",
}
OWNED = b"Package: libx\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
CASES: dict[str, dict[str, bytes | str | Link | None]] = {
    "with its link": {f"{LIB}/libz.so.1.2.13": make_library("libz.so.1"), f"{LIB}/libz.so.1": Link("libz.so.1.2.13")},
    "without its link": {f"{LIB}/libz.so.1.2.13": make_library("libz.so.1")},
    "the newest of several": {
        f"{LIB}/libz.so.1.9": make_library("libz.so.1"),
        f"{LIB}/libz.so.1.10": make_library("libz.so.1"),
    },
    "for compilers": {
        "lib/x86_64-linux-gnu/libz.so.1": make_library("libz.so.1"),
        f"{LIB}/libz.so": Link("libz.so.1"),
        f"{LIB}/libold.so": Link("libold.so.1.0"),
        f"{LIB}/libc.so": "/* GNU ld script */",
    },
    "a name of its own": {
        f"{LIB}/libplain.so": make_library(""),
        f"{LIB}/libimp.so": Link("libother.so.9"),
        f"{LIB}/libother.so.9": make_library("libother.so.9"),
    },
    "a directory of its own": {
        "etc/ld.so.conf.d/own.conf": "/opt/own/lib\n",
        "opt/own/lib/libown.so.2.0": make_library("libown.so.2"),
        "opt/own/lib/libmine.so.3": make_library("libmine.so.3"),
    },
    "in a directory that nobody searches": {"opt/other/libhidden.so.1": make_library("libhidden.so.1")},
    "for some processors": {
        f"{LIB}/glibc-hwcaps/x86-64-v3/libz.so.1.2": make_library("libz.so.1"),
        f"{LIB}/libz.so.1.2": make_library("libz.so.1"),
    },
    "newer than that of the base": {f"{LIB}/libold.so.1.1": make_library("libold.so.1")},
    "no library": {f"{LIB}/libtext.so.1": "text", f"{LIB}/other.so": make_library("other.so")},
}


@pytest.mark.parametrize("what", CASES)
def test_links_and_cache_are_as_ldconfig_makes_them(tmp_path: Path, ldconfig: str, what: str) -> None:
    root = planted(tmp_path / "root", BASE)
    same_as_ldconfig(tmp_path, ldconfig, root, Deb(name="libx", files=CASES[what]))


def test_a_file_may_take_the_place_of_a_link(tmp_path: Path, ldconfig: str) -> None:
    record = f"/{LIB}/libold.so.1\n/{LIB}/libold.so.1.0\n".encode()
    known = {"var/lib/dpkg/status": OWNED, "var/lib/dpkg/info/libx.list": record}
    root = planted(tmp_path / "root", {**BASE, **known})
    files: dict[str, bytes | str | Link | None] = {
        f"{LIB}/libold.so.1": make_library("libold.so.1"),
        f"{LIB}/libold.so": Link("libold.so.1"),
    }
    same_as_ldconfig(tmp_path, ldconfig, root, Deb(name="libx", version="2", files=files))


def test_a_library_that_goes_away_leaves_the_cache(tmp_path: Path, ldconfig: str) -> None:
    old = Deb(name="libx", files={f"{LIB}/libgone.so.1": make_library("libgone.so.1"), f"{LIB}/libkept.so.1": ""})
    new = Deb(name="libx", version="2", files={f"{LIB}/libkept.so.1": make_library("libkept.so.1")})
    record = "/.\n" + "".join(f"/{path}\n" for path in old.files)
    root = planted(
        tmp_path / "root",
        {
            **BASE,
            f"{LIB}/libgone.so.1": make_library("libgone.so.1"),
            f"{LIB}/libkept.so.1": make_library("libkept.so.1"),
            "var/lib/dpkg/status": OWNED,
            "var/lib/dpkg/info/libx.list": record.encode(),
        },
    )
    same_as_ldconfig(tmp_path, ldconfig, root, new)
    assert not any("libgone" in name for name, _ in listed(ldconfig, root / CACHE))


def test_no_cache_is_made_where_no_library_comes(tmp_path: Path) -> None:
    assert CACHE not in layer_of(tmp_path, base_of(SETTINGS), Deb(name="one", files={"opt/x": ""}))


def test_libraries_of_arm64_are_marked_so(tmp_path: Path) -> None:
    deb = Deb(name="libx", architecture="arm64", files={"usr/lib/libz.so.1": make_library("libz.so.1", AARCH64)})
    layer = layer_of(tmp_path, base_of(SETTINGS), deb)
    found = read_cache(content_of(layer[CACHE]))
    assert found == (CachedLibrary(name="libz.so.1", path="/usr/lib/libz.so.1", flags=ARM),)


# what strangers write


@pytest.mark.parametrize("soname", ["../../../etc/cron.d/x", "a/b.so", ".wh.libc.so.6", "..", "x" * 300])
def test_no_soname_leads_out_of_its_directory_or_takes_something_away(tmp_path: Path, soname: str) -> None:
    deb = Deb(name="liba", files={f"{LIB}/liba.so.1": make_library(soname), f"{LIB}/libb.so.1": make_library("")})
    layer = layer_of(tmp_path, base_of(SETTINGS), deb)
    assert [item.name for item in read_cache(content_of(layer[CACHE]))] == ["libb.so.1"]
    assert [path for path, entry in layer.items() if entry.kind == "symlink"] == []


@pytest.mark.parametrize("offset", [40, 1 << 62, (1 << 64) - 1])
@pytest.mark.parametrize("field", [32, 64 + 8, 64 + 56 + 8])
def test_headers_that_point_out_of_the_file_make_no_library(tmp_path: Path, offset: int, field: int) -> None:
    data = bytearray(make_library("liba.so.1"))
    struct.pack_into("<Q", data, field, offset)
    (tmp_path / "x").write_bytes(data)
    found = library(FileOnDisk(path=tmp_path / "x", size=len(data)))
    assert found is None or "liba" not in found.soname


def test_settings_that_include_each_other_come_to_an_end(tmp_path: Path) -> None:
    settings = {
        "etc/ld.so.conf": b"include ld.so.conf.d/*\n",
        "etc/ld.so.conf.d/a": b"include ../etc/ld.so.conf\ninclude ld.so.conf.d/*\ninclude /etc/ld.so.conf\n/opt/a\n",
        "etc/ld.so.conf.d/b": b"include ld.so.conf.d/a\n/opt/b\n",
    }
    deb = Deb(name="liba", files={"opt/b/liba.so.1": make_library("liba.so.1")})
    layer = layer_of(tmp_path, base_of(settings), deb)
    assert [item.path for item in read_cache(content_of(layer[CACHE]))] == ["/opt/b/liba.so.1"]


def test_a_name_with_digits_that_are_no_numbers_is_a_name(tmp_path: Path) -> None:
    files = {f"{LIB}/liba.so.²": make_library("liba.so"), f"{LIB}/liba.so.1": make_library("liba.so")}
    layer = layer_of(tmp_path, base_of(SETTINGS), Deb(name="liba", files=files))
    assert layer[f"{LIB}/liba.so"].target == "liba.so.1"


def test_a_cache_whose_entries_share_one_long_text_is_none() -> None:
    count, text = 1000, b"x" * 500_000 + b"\0"
    start = 48 + 24 * count
    head = struct.pack("<20sIIB3xI12x", b"glibc-ld.so.cache1.1", count, len(text), 2, 0)
    rows = struct.pack("<iIIIQ", X86, start, start, 0, 0) * count
    with pytest.raises(BadCache, match="too long"):
        read_cache(head + rows + text)
    with pytest.raises(BadCache, match="100000 libraries"):
        read_cache(struct.pack("<20sIIB3xI12x", b"glibc-ld.so.cache1.1", 100_000, 0, 2, 0))
