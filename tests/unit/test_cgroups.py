"""Where control groups can be made. The trees are made up, since one machine has one layout: not run on a real one are

the unified hierarchy with its controllers, alone or of a user's own; the old one is what `test_process_limits` runs on.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.engines.cgroups import Group, Place, bound, find_places, remove_groups
from hatchlock.launch import Sandbox

USER = "/user.slice/user-1000.slice/user@1000.service"
ALL = frozenset({"memory", "cpu", "pids"})


def machine(root: Path, *, own: str, mounts: str) -> Path:
    proc = root / "proc" / "self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(own)
    (proc / "mountinfo").write_text(mounts)
    return root


def unified(root: Path, group: str, *, can: str, does: str = "", processes: str = "", top: bool = False) -> Path:
    directory = root / "sys/fs/cgroup" / group.lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cgroup.controllers").write_text(can)
    (directory / "cgroup.subtree_control").write_text(does)
    (directory / "cgroup.procs").write_text(processes)
    if not top:
        (directory / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    return directory


def unified_mount(start: str = "/") -> str:
    return f"29 23 0:26 {start} /sys/fs/cgroup rw,nosuid,nodev,noexec - cgroup2 cgroup2 rw,nsdelegate\n"


def test_a_users_own_part_of_the_unified_hierarchy_is_used(tmp_path: Path) -> None:
    root = machine(tmp_path, own=f"0::{USER}/app.slice/app-editor.scope\n", mounts=unified_mount())
    unified(root, f"{USER}/app.slice/app-editor.scope", can="cpu memory pids", processes="77\n")
    slice_ = unified(root, f"{USER}/app.slice", can="cpu memory pids", does="memory pids")
    [place] = find_places(root)
    assert place == Place(directory=slice_, controllers=ALL, unified=True, missing=frozenset({"cpu"}))


def test_what_belongs_to_somebody_else_is_not_used(tmp_path: Path) -> None:
    root = machine(tmp_path, own="0::/user.slice/user-1000.slice/session-3.scope\n", mounts=unified_mount())
    own = unified(root, "/user.slice/user-1000.slice/session-3.scope", can="memory pids", processes="77\n")
    for name in ("cgroup.subtree_control", "cgroup.procs"):
        # as good as not writable, for root as well
        (own.parent / name).unlink(missing_ok=True)
    assert find_places(root) == ()


def test_a_group_with_processes_offers_only_what_it_has_switched_on_already(tmp_path: Path) -> None:
    root = machine(tmp_path, own="0::/system.slice/agent.service\n", mounts=unified_mount())
    unified(root, "/system.slice/agent.service", can="cpu memory pids", processes="77\n")
    unified(root, "/system.slice", can="cpu memory pids", does="memory", processes="5\n")
    top = unified(root, "/", can="cpuset cpu memory pids", does="memory pids", processes="1\n", top=True)
    [place] = find_places(root)
    assert (place.directory, place.controllers, place.missing) == (top, ALL, frozenset({"cpu"}))


def test_the_group_at_the_top_is_used_by_who_is_in_it(tmp_path: Path) -> None:
    root = machine(tmp_path, own="0::/\n", mounts=unified_mount())
    top = unified(root, "/", can="cpu memory pids", does="cpu memory pids", processes="1\n", top=True)
    assert find_places(root) == (Place(directory=top, controllers=ALL, unified=True),)


def test_inside_of_a_container_whose_groups_are_read_only_there_are_none(tmp_path: Path) -> None:
    root = machine(tmp_path, own="0::/\n", mounts=unified_mount())
    own = unified(root, "/", can="cpu memory pids", processes="1\n")
    assert (own / "cgroup.events").exists()
    assert find_places(root) == ()


def test_the_old_hierarchies_are_used_each_below_our_own_group(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        own="4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/elsewhere\n1:name=systemd:/docker/abc\n",
        mounts="".join(
            f"3{number} 31 0:3{number} /docker/abc /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{options}\n"
            for number, name, options in (
                (2, "memory", "memory"),
                (3, "cpu,cpuacct", "cpu,cpuacct"),
                (4, "pids", "pids"),
            )
        ),
    )
    for name in ("memory", "cpu,cpuacct", "pids"):
        directory = root / "sys/fs/cgroup" / name
        directory.mkdir(parents=True)
        (directory / "cgroup.procs").touch()
    places = find_places(root)
    assert {place.directory.name: set(place.controllers) for place in places} == {
        "memory": {"memory"},
        "cpu,cpuacct": {"cpu"},
    }
    assert bound(places) == {"memory", "cpu"}


def test_no_proc_is_no_groups(tmp_path: Path) -> None:
    assert find_places(tmp_path) == ()


@pytest.mark.parametrize("is_unified", [True, False])
def test_limits_are_written_as_the_hierarchy_wants_them(tmp_path: Path, *, is_unified: bool) -> None:
    place = Place(directory=tmp_path, controllers=ALL, unified=is_unified)
    group = Group(places=(place,)).make(Sandbox(memory="64m", swap="16m", cpus=1.5, pids=20))
    [directory] = group.directories
    written = {path.name: path.read_text() for path in directory.iterdir()}
    mebi = 1 << 20
    if is_unified:
        expected = {"memory.max": 64 * mebi, "cpu.max": "150000 100000", "pids.max": 22}
    else:
        expected = {
            "memory.limit_in_bytes": 64 * mebi,
            "cpu.cfs_period_us": 100000,
            "cpu.cfs_quota_us": 150000,
            "pids.max": 22,
        }
    assert written == {name: str(value) for name, value in expected.items()}


def test_what_a_group_counted_is_read(tmp_path: Path) -> None:
    group = Group(places=(Place(directory=tmp_path, controllers=ALL, unified=True),))
    assert not group.killed_for_memory()
    assert not group.refused_processes()
    [directory] = group.directories
    directory.mkdir()
    (directory / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 1\n")
    (directory / "pids.events").write_text("max 3\n")
    assert group.killed_for_memory()
    assert group.refused_processes()


def test_a_machine_that_allows_less_than_it_seemed_to_has_fewer_groups(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "gone"
    good.mkdir()
    places = [
        Place(directory=directory, controllers=frozenset({name}), unified=False)
        for directory, name in ((good, "pids"), (bad, "memory"))
    ]
    made = Group(places=tuple(places)).make(Sandbox())
    assert made.bound == {"pids"}
    remove_groups([tmp_path / "never"])
