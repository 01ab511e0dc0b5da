from __future__ import annotations

from dataclasses import replace

from hatchlock.cli.lock_views import change_lines
from hatchlock.lock.diff import Change, diff_locks
from hatchlock.lock.model import Archive, Lock
from support.locks import EVERYTHING, image, package, world

LOCK = world().lock(EVERYTHING)
EMPTY = Lock(project="p", platforms=("linux/amd64",))


def lines(before: Lock | None, after: Lock) -> list[str]:
    return [str(change) for change in diff_locks(before, after)]


def test_a_first_lock_adds_everything() -> None:
    found = diff_locks(None, LOCK)
    assert {change.sign for change in found} == {"+"}
    assert [change.what for change in found] == [
        "environment:boxed",
        "environment:demo",
        "environment:shared",
        "oci:base.example.com/python:3.11",
        "oci:shop.example.com/shop:1",
        "pypi:demo-core",
        "pypi:demo-lib",
        "pypi:demo-server",
        *(f"server:{name}" for name in ("boxed", "demo", "host", "member", "shop")),
    ]


def test_a_moved_package_shows_both_versions() -> None:
    before = replace(EMPTY, packages=(package("a", "1.0"), package("b", "1.0")))
    after = replace(EMPTY, packages=(package("a", "1.1"), package("c", "2.0")))
    assert lines(before, after) == ["~ pypi:a 1.0 -> 1.1", "- pypi:b 1.0", "+ pypi:c 2.0"]


def test_several_versions_of_a_package_are_told_apart() -> None:
    one, two, three = (package("a", version) for version in ("1.0", "2.0", "3.0"))
    assert lines(replace(EMPTY, packages=(one,)), replace(EMPTY, packages=(one, two))) == ["+ pypi:a 2.0"]
    assert lines(replace(EMPTY, packages=(one, two)), replace(EMPTY, packages=(two,))) == ["- pypi:a 1.0"]
    assert lines(replace(EMPTY, packages=(one, two)), replace(EMPTY, packages=(two, three))) == ["~ pypi:a 1.0 -> 3.0"]


def test_the_same_version_with_other_files_is_a_change() -> None:
    before = replace(EMPTY, packages=(package("a"),))
    after = replace(EMPTY, packages=(package("a", licence="MIT"),))
    assert lines(before, after) == ["~ pypi:a 1.0 (files or metadata)"]


def test_an_image_is_shown_by_the_beginning_of_its_digests() -> None:
    old, new = image("r:1", "linux/amd64"), replace(image("r:1", "linux/amd64"), digest="sha256:" + "f" * 64)
    change = diff_locks(replace(EMPTY, images=(old,)), replace(EMPTY, images=(new,)))[0]
    assert change == Change(sign="~", what="oci:r:1", before=old.digest[:19], after="sha256:ffffffffffff")
    assert lines(replace(EMPTY, images=(old,)), EMPTY) == [f"- oci:r:1 {old.digest[:19]}"]


def test_an_image_for_one_platform_more_is_a_change() -> None:
    before = replace(EMPTY, images=(image("r:1", "linux/amd64"),))
    after = replace(EMPTY, images=(image("r:1", "linux/amd64", "linux/arm64"),))
    assert lines(before, after) == ["~ oci:r:1 linux/amd64 -> linux/amd64, linux/arm64"]


def test_what_was_read_of_an_image_is_told_without_the_same_digest_twice() -> None:
    old = image("r:1", "linux/amd64")
    platforms = {name: replace(item, python="3.99") for name, item in old.platforms.items()}
    new = replace(old, platforms=platforms)
    expected = [f"~ oci:r:1 {old.digest[:19]} (what was read of it)"]
    assert lines(replace(EMPTY, images=(old,)), replace(EMPTY, images=(new,))) == expected


def test_a_changed_launch_is_a_change_of_its_server_alone() -> None:
    servers = tuple(replace(item, args=("--new",)) if item.name == "host" else item for item in LOCK.servers)
    assert lines(LOCK, replace(LOCK, servers=servers)) == ["~ server:host"]


def test_what_was_removed_is_said() -> None:
    after = replace(LOCK, servers=LOCK.servers[1:], environments=LOCK.environments[1:])
    assert lines(LOCK, after) == ["- environment:boxed", "- server:boxed"]


def test_what_concerns_the_whole_lock_is_a_change_too() -> None:
    after = replace(LOCK, project="other", platforms=("linux/amd64",), exclude_newer="2026-01-01T00:00:00+00:00")
    assert lines(LOCK, after) == [
        "+ exclude-newer 2026-01-01T00:00:00+00:00",
        "~ platforms linux/amd64, linux/arm64 -> linux/amd64",
        "~ project acme -> other",
    ]


def test_an_environment_of_either_runtime_is_seen() -> None:
    for number, environment in enumerate(LOCK.environments):
        environments = [*LOCK.environments, replace(environment, runtime="container", python="3.11")]
        before = replace(LOCK, environments=tuple(environments))
        environments[number] = replace(environment, python="3.12")
        after = replace(LOCK, environments=tuple(environments))
        if environment.runtime == "process":
            assert lines(before, after) == [f"~ environment:{environment.name}"]


BOOKWORM = Archive(name="debian/bookworm", suite="bookworm", date="2026-01-10T09:21:00Z", sha256="1" * 64, keys=("A",))


def test_a_newer_state_of_an_archive_is_one_line() -> None:
    first, later = (replace(EMPTY, archives=(replace(BOOKWORM, date=f"2026-0{month}-10"),)) for month in (1, 2))
    assert lines(EMPTY, first) == ["+ archive:debian/bookworm 2026-01-10"]
    assert lines(first, later) == ["~ archive:debian/bookworm 2026-01-10 -> 2026-02-10"]
    assert lines(later, EMPTY) == ["- archive:debian/bookworm 2026-02-10"]


def test_an_archive_that_is_another_at_the_same_moment_is_said() -> None:
    before, after = (replace(EMPTY, archives=(replace(BOOKWORM, sha256=digit * 64),)) for digit in "12")
    assert lines(before, after) == ["~ archive:debian/bookworm 2026-01-10T09:21:00Z (lists or keys)"]


def test_on_the_way_to_something_else_many_packages_are_counted() -> None:
    after = replace(LOCK, packages=tuple(package(name, "1.0") for name in "abcdef"))
    changes = diff_locks(EMPTY, after)
    counted = list(change_lines(changes, verbose=False))
    assert counted[0] == "+ 2 of oci:, 6 of pypi: (-v names them)"
    assert "+ server:demo" in counted
    assert not any("pypi:a" in line for line in counted)
    assert list(change_lines(changes, verbose=True)) == list(map(str, changes))
    few = diff_locks(replace(LOCK, packages=(package("f", "0.9"), package("z", "1.0"))), after)
    assert list(change_lines(few, verbose=False)) == list(map(str, few))
