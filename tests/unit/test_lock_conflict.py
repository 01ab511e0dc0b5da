from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.launch import Sandbox, SecretReference
from hatchlock.lock.conflict import conflict_sides
from hatchlock.lock.images import Image, ImagePlatform, Layer
from hatchlock.lock.model import LOCK_MINOR, Archive, Environment, File, Lock, Package, Server
from hatchlock.lock.store import BadLock, NewerLock, dumps, loads, loads_sides
from support.merges import commit, git, merge_file, repository

LINES = [f"line {number}\n" for number in range(20)]
BASE = "".join(LINES).encode()
OURS = BASE.replace(b"line 3\n", b"ours 3\nours 3b\n").replace(b"line 15\n", b"")
THEIRS = BASE.replace(b"line 3\n", b"theirs 3\n").replace(b"line 15\n", b"theirs 15\n")
STYLES = ["--no-diff3", "--diff3", "--zdiff3"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("label", ["HEAD", "feature/=======", ">>>>>>> deep", "<<<<<<<", "with blanks | and pipes"])
def test_both_sides_come_out_of_what_git_leaves(tmp_path: Path, style: str, newline: bytes, label: str) -> None:
    base, ours, theirs = (data.replace(b"\n", newline) for data in (BASE, OURS, THEIRS))
    merged, in_conflict = merge_file(tmp_path, base, ours, theirs, style, *(["-L", label] * 3))
    assert in_conflict
    assert merged.count(b"<<<<<<< ") >= 2
    assert conflict_sides(merged) == (ours, theirs)


@pytest.mark.parametrize("style", STYLES)
def test_a_conflict_at_the_end_of_a_file_without_a_line_end(tmp_path: Path, style: str) -> None:
    merged, _ = merge_file(tmp_path, b"a\nb", b"a\nc", b"a\nd", style)
    sides = conflict_sides(merged)
    assert sides is not None
    assert [side.rstrip() for side in sides] == [b"a\nc", b"a\nd"]


def test_what_only_one_side_changed_is_on_both(tmp_path: Path) -> None:
    ours, theirs = OURS, THEIRS.replace(b"line 9\n", b"theirs 9\n")
    merged, _ = merge_file(tmp_path, BASE, ours, theirs)
    assert conflict_sides(merged) == (ours.replace(b"line 9\n", b"theirs 9\n"), theirs)


@pytest.mark.parametrize("style", ["diff3", "zdiff3", "merge"])
def test_conflicts_inside_what_both_began_with_are_passed_over(tmp_path: Path, style: str) -> None:
    """A criss-cross merge: the two common ancestors are in conflict themselves, and git shows that inside the conflict."""
    here = repository(tmp_path / "r")
    git(here, "config", "merge.conflictStyle", style)
    commit(here, "f", b"1\nx\n2\n")
    git(here, "checkout", "-q", "-b", "other")
    commit(here, "f", b"1\nother\n2\n")
    git(here, "checkout", "-q", "main")
    commit(here, "f", b"1\nmain\n2\n")
    git(here, "branch", "first", "main")
    git(here, "merge", "-q", "other", statuses=(1,))
    commit(here, "f", b"1\nmain and other\n2\n")
    git(here, "checkout", "-q", "other")
    git(here, "merge", "-q", "first", statuses=(1,))
    commit(here, "f", b"1\nother and main\n2\n")
    git(here, "merge", "-q", "main", statuses=(1,))
    merged = (here / "f").read_bytes()
    assert (merged.count(b"<<<<<<<") > 1) == (style != "merge"), "git has shown the nested conflict"
    assert conflict_sides(merged) == (b"1\nother and main\n2\n", b"1\nmain and other\n2\n")


def test_nested_conflicts_with_markers_as_long_as_the_outer_ones() -> None:
    data = b"<<<<<<< a\n1\n||||||| b\n<<<<<<< x\n2\n=======\n3\n>>>>>>> y\n=======\n4\n>>>>>>> c\n"
    assert conflict_sides(data) == (b"1\n", b"4\n")


@pytest.mark.parametrize(
    "data", [b"", BASE, b"=\n======\n<<<<<<\n", b'a = "<<<<<<< x"\n', b"<<<<<<<x\n", b"<<<<<<<< x\n"]
)
def test_a_file_without_markers_has_no_sides(data: bytes) -> None:
    assert conflict_sides(data) is None


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a\n<<<<<<< x\nb\n", 2, "the conflict that begins here has no end"),
        ("a\n<<<<<<< x\nb\n=======\nc\n", 2, "the conflict that begins here has no end"),
        ("a\n<<<<<<< x\nb\n||||||| y\nc\n", 2, "the conflict that begins here has no end"),
        ("a\n=======\nb\n>>>>>>> x\n", 2, "'=======' stands where '<<<<<<<' should"),
        ("a\n>>>>>>> x\n", 2, "'>>>>>>>' stands where '<<<<<<<' should"),
        ("<<<<<<< x\n<<<<<<< y\n", 2, "'<<<<<<<' stands where '|||||||' or '=======' should"),
        ("<<<<<<< x\n>>>>>>> y\n", 2, "'>>>>>>>' stands where '|||||||' or '=======' should"),
        ("<<<<<<< x\n=======\n=======\n>>>>>>> y\n", 3, "'=======' stands where '>>>>>>>' should"),
        ("<<<<<<< x\n||||||| b\n>>>>>>> y\n", 3, "'>>>>>>>' stands where '=======' should"),
    ],
)
def test_markers_that_do_not_fit_together_are_refused_with_their_line(text: str, line: int, why: str) -> None:
    with pytest.raises(BadLock) as caught:
        conflict_sides(text.encode(), file="hatch.lock")
    assert str(caught.value.place) == f"hatch.lock:{line}"
    assert why in str(caught.value)
    assert "git checkout --merge hatch.lock" in caught.value.hint


def package(name: str, version: str) -> Package:
    digest = sha256_bytes(f"{name} {version}".encode())
    file = File(name=f"{name}-{version}-py3-none-any.whl", sha256=digest, size=7)
    return Package(kind=Kind.PYPI, name=name, version=version, index="pypi", files=(file,))


def lock(**versions: str) -> Lock:
    packages = tuple(package(name, version) for name, version in sorted(versions.items()))
    environment = Environment(
        name="e", private=False, runtime="process", python="3.11", packages=tuple(item.id for item in packages)
    )
    return Lock(project="p", platforms=("linux/amd64",), packages=packages, environments=(environment,))


def merged_lock(scratch: Path, base: Lock, ours: Lock, theirs: Lock) -> bytes:
    texts = [dumps(item).encode() for item in (base, ours, theirs)]
    data, in_conflict = merge_file(scratch, texts[0], texts[1], texts[2], "--diff3")
    assert in_conflict
    return data


def test_both_sides_of_a_lock_are_read_and_name_only_what_they_have(tmp_path: Path) -> None:
    data = merged_lock(tmp_path, lock(aa="1", bb="1"), lock(aa="2", bb="1"), lock(aa="1", bb="2"))
    with pytest.raises(BadLock, match="it has git conflict markers") as caught:
        loads(data)
    assert caught.value.hint == "run `hatchlock lock`: it takes both sides as preferred pins"
    ours, theirs = loads_sides(data)
    # git merged the packages, each changed by one side alone, and left the list of the environment to us
    assert [item.id for item in ours.packages] == ["pypi:aa@2", "pypi:bb@2"]
    assert ours.environments[0].packages == ("pypi:aa@2",)
    assert theirs.environments[0].packages == ("pypi:bb@2",)


def test_a_lock_without_markers_has_one_side() -> None:
    assert loads_sides(dumps(lock(a="1")).encode()) == (lock(a="1"),)


def test_names_that_a_side_does_not_have_go_from_platforms_and_trees_too() -> None:
    full = lock(a="1")
    environment = replace(
        full.environments[0],
        platform_packages={"linux/amd64": ("pypi:a@1", "pypi:gone@1")},
        tree={"node_modules/gone": "npm:gone@1"},
    )
    text = dumps(replace(full, environments=(environment,)))
    found = loads_sides(f"{text}<<<<<<< a\n=======\n>>>>>>> b\n".encode())[0].environments[0]
    assert found.platform_packages == {"linux/amd64": ("pypi:a@1",)}
    assert found.tree == {}


def test_a_side_that_cannot_be_read_is_left_out_and_said() -> None:
    text = dumps(lock(a="1"))
    warnings: list[str] = []
    sides = loads_sides(f"{text}<<<<<<< a\nversion =\n=======\n>>>>>>> b\n".encode(), warn=warnings.append)
    assert sides == (lock(a="1"),)
    assert len(warnings) == 1
    assert warnings[0].startswith("our side of the conflict in hatch.lock is left out: ")


def test_a_side_of_a_newer_format_is_not_passed_over() -> None:
    text = dumps(lock(a="1")).replace("version = 1\n", "<<<<<<< a\nversion = 2\n=======\nversion = 1\n>>>>>>> b\n", 1)
    with pytest.raises(NewerLock):
        loads_sides(text.encode())


def test_what_is_no_lock_and_has_no_markers_is_refused() -> None:
    with pytest.raises(BadLock):
        loads_sides(b"version = ")


DIGEST = "sha256:" + "a" * 64
EVERY_TABLE = Lock(
    project="p",
    platforms=("linux/amd64",),
    packages=(package("a", "1"),),
    images=(
        Image(
            reference="r",
            digest=DIGEST,
            platforms={
                "linux/amd64": ImagePlatform(
                    digest=DIGEST,
                    config=DIGEST,
                    config_size=1,
                    layers=(Layer(digest=DIGEST, size=1, diff_id=DIGEST),),
                )
            },
        ),
    ),
    environments=(
        Environment(
            name="e",
            private=False,
            runtime="process",
            python="3.11",
            packages=("pypi:a@1",),
            managed={"linux/amd64": File(name="cpython.tar.gz", sha256="b" * 64)},
        ),
    ),
    servers=(
        Server(
            name="s",
            source="pypi:a",
            runtime="process",
            environment="e",
            secrets={"TOKEN": SecretReference(secret="env:TOKEN")},
            sandbox=Sandbox(pids=64),
        ),
    ),
)


def newer(minor: int = LOCK_MINOR + 1) -> str:
    """A lock in which every table has something that nobody knows yet."""
    text = dumps(EVERY_TABLE).replace("version = 1\n", f"version = 1\nminor = {minor}\nmood = 1\n", 1)
    for table in ("[[server]]", "[[environment]]", "[[image]]", '[image.platforms."linux/amd64"]', "[[package]]"):
        assert table in text
        text = text.replace(table, f"{table}\nmood = {{ is = [1] }}")
    for start in ("{ name = ", "{ digest = ", "{ secret = "):
        assert start in text
        text = text.replace(start, "{ mood = 1, " + start.removeprefix("{ "))
    return text + "\n[[moods]]\nis = 1\n"


def test_a_newer_minor_version_is_read_as_far_as_it_is_known_and_warned_of() -> None:
    warnings: list[str] = []
    assert loads(newer().encode(), file="hatch.lock", warn=warnings.append) == EVERY_TABLE
    assert warnings == [
        "hatch.lock was written by a newer hatchlock; what this one does not know of it is dropped when it writes"
    ]


def test_the_same_without_a_newer_minor_version_is_refused() -> None:
    with pytest.raises(BadLock, match="unknown key 'mood'"):
        loads(newer(0).encode())


def test_what_a_newer_minor_version_says_of_a_sandbox_is_not_passed_over() -> None:
    text = newer().replace("sandbox = { ", "sandbox = { walls = 4, ")
    with pytest.raises(
        NewerLock, match=f"the lock has minor {LOCK_MINOR + 1}, this hatchlock knows {LOCK_MINOR}"
    ) as caught:
        loads(text.encode())
    assert caught.value.hint == "upgrade hatchlock; nothing was changed"


@pytest.mark.parametrize("value", ["-1", '"1"', "true", "1.5"])
def test_a_minor_version_is_a_number(value: str) -> None:
    text = dumps(EVERY_TABLE).replace("version = 1\n", f"version = 1\nminor = {value}\n", 1)
    with pytest.raises(BadLock, match="minor is "):
        loads(text.encode())


@pytest.mark.parametrize(
    "new",
    [
        replace(EVERY_TABLE, packages=(Package(kind=Kind.DEB, name="git", version="1"),)),
        replace(EVERY_TABLE, packages=(replace(EVERY_TABLE.packages[0], provides=("pypi:b",)),)),
        replace(
            EVERY_TABLE,
            archives=(Archive(name="debian/x", suite="x", date="2026-01-01T00:00:00+00:00", sha256="c" * 64),),
        ),
        replace(EVERY_TABLE, environments=(replace(EVERY_TABLE.environments[0], trust="internal"),)),
        replace(EVERY_TABLE, servers=(replace(EVERY_TABLE.servers[0], transport="sse"),)),
    ],
    ids=["kind", "field of a package", "archive", "label", "transport"],
)
def test_the_minor_version_is_that_of_what_is_in_it(new: Lock) -> None:
    assert "minor" not in dumps(EVERY_TABLE)
    text = dumps(new)
    assert text.splitlines()[2:4] == ["version = 1", "minor = 1"]
    warnings: list[str] = []
    assert loads(text.encode(), warn=warnings.append) == new
    assert warnings == []
