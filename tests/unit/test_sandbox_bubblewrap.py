"""A launch record as a bubblewrap command line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.bubblewrap import (
    System,
    bubblewrap_argv,
    bubblewrap_options,
    identity_files,
    limits,
    limits_of_each,
    system_calls,
)
from hatchlock.security.seccomp import SeccompProfileUnusable

RECORD = LaunchRecord(
    project="p",
    server="s",
    runtime="process",
    argv=("/store/envs/k/bin/tool", "--flag"),
    key="k",
    read_only_paths=("/store/envs/k", "/opt/python", "/opt/python/lib", "/usr/lib/x"),
)
ROOT = System(
    bwrap="/usr/bin/bwrap",
    prlimit="/usr/bin/prlimit",
    setpriv="/usr/bin/setpriv",
    root=True,
    uid=0,
    gid=0,
    symlinks={"bin": "usr/bin", "lib": "usr/lib"},
    directories=("/lib64",),
    max_files=20_000,
)
USER = replace(ROOT, root=False, uid=1000, gid=1000)


def options(record: LaunchRecord = RECORD, system: System = ROOT) -> list[str]:
    return list(bubblewrap_options(record, system, env={"B": "2", "A": "1"}, files={"/etc/passwd": 7}, seccomp=9))


def joined(record: LaunchRecord = RECORD, system: System = ROOT) -> str:
    return " ".join(options(record, system))


def test_every_namespace_is_new_and_the_process_dies_with_its_parent() -> None:
    given = options()
    for option in ("ipc", "pid", "net", "uts"):
        assert f"--unshare-{option}" in given
    assert {"--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"} <= set(given)
    assert "/sys" not in given


def test_root_drops_to_a_real_uid_with_no_more_capabilities_than_that_takes() -> None:
    assert "--unshare-user" not in options()
    assert joined().count("--cap-add") == 3
    uid = "10001"
    command = bubblewrap_argv(RECORD, ROOT, args=3, info=4)
    assert (
        f"/usr/bin/setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs --bounding-set=-all"
        in " ".join(command)
    )
    assert command[-3:] == ("--", "/store/envs/k/bin/tool", "--flag")


def test_an_ordinary_user_takes_a_user_namespace_and_the_declared_user() -> None:
    assert "--unshare-user --disable-userns --uid 10001 --gid 10001" in joined(system=USER)
    assert "--cap-add" not in options(system=USER)
    assert "/usr/bin/setpriv" not in bubblewrap_argv(RECORD, USER, args=3, info=4)
    host = replace(RECORD, sandbox=Sandbox(run_as="host"))
    assert "--uid 1000 --gid 1000" in joined(host, USER)


def test_variables_are_in_the_options_and_never_in_the_command_line() -> None:
    assert "--setenv A 1 --setenv B 2" in joined()
    assert bubblewrap_argv(RECORD, ROOT, args=3, info=4)[:6] == (
        *("/usr/bin/bwrap", "--args", "3", "--info-fd", "4", "--"),
    )


def test_what_is_inside_another_directory_is_bound_once() -> None:
    bound = joined()
    assert "--ro-bind /opt/python /opt/python" in bound
    assert "/opt/python/lib" not in options()
    assert "/usr/lib/x" not in options()


def test_directories_above_a_mount_point_can_be_entered() -> None:
    assert "--perms 0755 --dir /store --perms 0755 --dir /store/envs" in joined()


def test_the_root_becomes_read_only_last_unless_told_otherwise() -> None:
    assert "--remount-ro / " in joined()
    given = options()
    assert given.index("--remount-ro") > max(index for index, word in enumerate(given) if word == "--ro-bind")
    assert "--remount-ro / " not in joined(replace(RECORD, sandbox=Sandbox(read_only=False)))


def test_network_files_are_there_only_with_a_network() -> None:
    assert "/etc/resolv.conf" not in options()
    online = replace(RECORD, sandbox=Sandbox(network=("internet",)))
    assert "--ro-bind-try /etc/resolv.conf /etc/resolv.conf" in joined(online)
    assert "--unshare-net" not in options(online)


def test_mounts_are_bound_as_they_say() -> None:
    mounts = (Mount(source="/a", target="/in"), Mount(source="/b", target="/out", mode="rw"))
    given = joined(replace(RECORD, sandbox=Sandbox(mounts=mounts)))
    assert "--ro-bind /a /in --bind /b /out" in given


def test_limits_bind_and_never_exceed_the_machines() -> None:
    assert limits(Sandbox(), ROOT) == (
        "--nofile=1024:1024",
        "--core=1:1",
        "--data=536870912:536870912",
        "--nproc=128:128",
    )
    assert "--nofile=512:512" in limits(Sandbox(), replace(ROOT, max_files=512))


def test_what_was_limited_beforehand_needs_no_program_inside() -> None:
    sandbox = Sandbox()
    before = replace(ROOT, limited=True)
    assert limits(sandbox, before) == ("--nproc=128:128",), "it counts where the server does"
    assert limits_of_each(sandbox, before) == {"nofile": 1024, "core": 1, "data": 512 << 20}
    grouped = replace(before, grouped=frozenset({"memory", "pids"}))
    assert limits(sandbox, grouped) == ()
    assert limits_of_each(sandbox, grouped) == {"nofile": 1024, "core": 1}
    argv = bubblewrap_argv(RECORD, grouped, args=3, info=4)
    assert ROOT.prlimit not in argv
    assert argv[argv.index("--") + 1] == ROOT.setpriv


def test_what_a_group_limits_is_not_limited_for_each_process_besides() -> None:
    grouped = replace(ROOT, grouped=frozenset({"memory", "pids", "cpu"}))
    assert limits(Sandbox(), grouped) == ("--nofile=1024:1024", "--core=1:1")


def test_an_old_kernel_that_counts_all_of_a_users_processes_gets_no_such_limit() -> None:
    assert "--nproc=128:128" not in limits(Sandbox(), replace(USER, counts_by_namespace=False))
    assert "--nproc=128:128" in limits(Sandbox(), replace(ROOT, counts_by_namespace=False))


def test_the_user_has_a_name_inside() -> None:
    assert "hatchlock:x:10001:10001::/home/hatchlock:" in identity_files(RECORD, USER)["/etc/passwd"]
    assert "hatchlock:x:10001:" in identity_files(RECORD, ROOT)["/etc/group"]


def test_working_directory_is_the_home_unless_declared() -> None:
    assert options()[-2:] == ["--chdir", "/home/hatchlock"]
    assert options(replace(RECORD, cwd="/data"))[-2:] == ["--chdir", "/data"]


def test_what_can_be_written_to_is_made_by_bubblewrap_or_before_it() -> None:
    assert "--perms 1777 --size 67108864 --tmpfs /tmp" in joined()
    quiet = joined(system=replace(ROOT, no_programs=True))
    assert "--bind /sys/0 /dev/shm --bind /sys/1 /tmp --bind /sys/2 /home/hatchlock" in quiet
    assert "1777" not in quiet


def test_the_root_has_a_size_unless_it_is_a_directory_of_the_machine() -> None:
    assert "--perms 0755 --size 67108864 --tmpfs / --ro-bind /usr /usr" in joined()
    given = bubblewrap_options(RECORD, ROOT, env={}, files={}, seccomp=None, root="/below")
    assert " ".join(given).count("--bind /below / --ro-bind /usr /usr") == 1


def test_a_filter_is_loaded_if_there_is_one() -> None:
    assert "--seccomp 9" in joined()
    assert "--seccomp" not in bubblewrap_options(RECORD, ROOT, env={}, files={}, seccomp=None)


def test_the_usual_filter_is_left_out_only_where_that_is_said() -> None:
    system = replace(ROOT, seccomp=b"usual", machine="x86_64", kernel=(6, 1))
    assert system_calls(Sandbox(), system, b"") == b"usual"
    assert system_calls(Sandbox(seccomp="unconfined"), system, b"") == b""
    own = system_calls(Sandbox(seccomp="./own.json"), system, b'{"defaultAction": "SCMP_ACT_ERRNO"}')
    assert own not in {b"", b"usual"}
    with pytest.raises(SeccompProfileUnusable):
        system_calls(Sandbox(seccomp="./own.json"), system, b"")


def test_what_proc_tells_of_the_machine_is_covered() -> None:
    told = replace(ROOT, facts=("/proc/keys",), fact_directories=("/proc/acpi",))
    assert (
        "--proc /proc --ro-bind /dev/null /proc/keys --size 4096 --tmpfs /proc/acpi --remount-ro /proc/acpi --dev /dev"
        in joined(system=told)
    )
