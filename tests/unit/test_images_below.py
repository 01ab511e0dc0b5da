"""A base as what lies below layers: read once, kept, and as its file system would show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from hatchlock.images.base import BadLayer
from hatchlock.images.below import read_below
from hatchlock.realise.base_tree import BasePath, BaseTree
from support.layers import make_layer

Files = Mapping[str, bytes | str | None]

FILE = BasePath(kind="file")
DIRECTORY = BasePath(kind="directory")
ETC = re.compile(r"etc/[^/]+")


def layers(directory: Path, *contents: Files) -> list[Path]:
    made = []
    for number, files in enumerate(contents):
        made.append(directory / f"layer{number}")
        made[-1].write_bytes(make_layer(files, packed=number % 2 == 0))
    return made


def below(directory: Path, *contents: Files, pattern: re.Pattern[str] = ETC) -> BaseTree:
    """Read it twice, so that each test tries what was kept too."""
    paths = layers(directory, *contents)
    first = read_below(paths, pattern, cache=directory / "cache", key="sha256:1")
    assert read_below([], pattern, cache=directory / "cache", key="sha256:1") == first
    return first


def test_a_base_is_its_paths_and_the_files_that_were_asked_for(tmp_path: Path) -> None:
    tree = below(
        tmp_path,
        {
            "./": None,
            "./etc/": None,
            "./etc/passwd": b"root\n",
            "./etc/empty": b"",
            "./etc/mtab": "../proc/mounts",
            "./lib": "usr/lib",
            "./usr/lib/": None,
            "./usr/lib/libc.so.6": b"\x7fELF\x00",
            "./usr/lib/\udcff": b"",
        },
    )
    assert tree.paths == {
        "etc": DIRECTORY,
        "etc/passwd": FILE,
        "etc/empty": FILE,
        "etc/mtab": BasePath(kind="symlink", target="../proc/mounts"),
        "lib": BasePath(kind="symlink", target="usr/lib"),
        "usr/lib": DIRECTORY,
        "usr/lib/libc.so.6": FILE,
        "usr/lib/\udcff": FILE,
    }
    assert tree.files == {"etc/passwd": b"root\n", "etc/empty": b""}
    assert tree.resolve("lib/libc.so.6") == "usr/lib/libc.so.6"


def test_upper_layers_replace_and_take_away(tmp_path: Path) -> None:
    tree = below(
        tmp_path,
        {"etc/a": b"1", "etc/b": b"1", "etc/c": "a", "srv/x/y": b"", "opt/x/y": b""},
        {"etc/a": b"2", "etc/.wh.b": b"", "etc/c": b"3", "srv/.wh..wh..opq": b"", "opt/x": b""},
    )
    assert tree.paths == {"etc/a": FILE, "etc/c": FILE, "opt/x": FILE}
    assert tree.files == {"etc/a": b"2", "etc/c": b"3"}


def test_a_directory_that_a_layer_only_implies_takes_the_place_of_a_symlink(tmp_path: Path) -> None:
    tree = below(tmp_path, {"lib": "usr/lib", "usr/lib/a": b""}, {"lib/b/c": b""})
    assert tree.paths == {"lib": DIRECTORY, "lib/b/c": FILE, "usr/lib/a": FILE}
    assert tree.resolve("lib/b/c") == "lib/b/c"


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"etc/a": b"same", "etc/b": "=etc/a"}, id="both asked for"),
        pytest.param({"usr/a": b"same", "etc/a": "=usr/a", "etc/b": "=./usr/a"}, id="their file not asked for"),
        pytest.param({"etc/a": b"same", "etc/b": "=etc/a", "usr/b": "=etc/a"}, id="one of them not asked for"),
    ],
)
def test_hard_links_have_the_content_of_their_file(tmp_path: Path, files: Files) -> None:
    tree = below(tmp_path, files)
    assert tree.files == {"etc/a": b"same", "etc/b": b"same"}
    assert tree.paths == dict.fromkeys(files, FILE)


def test_what_was_kept_for_another_base_or_other_files_is_not_taken(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    paths = layers(tmp_path, {"etc/a": b"1", "usr/a": b"2"})
    assert read_below(paths, ETC, cache=cache, key="sha256:1").files == {"etc/a": b"1"}
    assert read_below(paths, re.compile("usr/a"), cache=cache, key="sha256:1").files == {"usr/a": b"2"}
    assert read_below(paths, re.compile("USR/A"), cache=cache, key="sha256:1").files == {}
    assert read_below(paths, re.compile("USR/A", re.IGNORECASE), cache=cache, key="sha256:1").files == {"usr/a": b"2"}
    assert read_below([], ETC, cache=cache, key="sha256:2") == BaseTree(paths={})


def test_a_damaged_layer_is_told_and_nothing_kept_of_it(tmp_path: Path) -> None:
    (path,) = layers(tmp_path, {"etc/a": b"1" * 5000})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadLayer):
        read_below([path], ETC, cache=tmp_path / "cache", key="sha256:1")
    assert not (tmp_path / "cache").exists()
