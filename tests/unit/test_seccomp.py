"""Filters of system calls: what they decide, asked of a machine like the kernel's and, at the end, of the kernel itself."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.engines.process import isolation_system
from hatchlock.files import memory_file
from hatchlock.security.bpf import ALLOW, KILL_PROCESS, LOG, Condition, Rule, assemble, errno
from hatchlock.security.bubblewrap import System
from hatchlock.security.kept_filter import PODMANS_PROFILE, kept_filter
from hatchlock.security.seccomp import MACHINES, SeccompProfileUnusable, profile_filter, usual_filter, usual_profile
from hatchlock.security.syscalls import numbers
from support.unavailable import unavailable

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
EPERM, ENOSYS = errno(1), errno(38)
X32 = 0x40000000
WHOLE = (1 << 64) - 1


def verdict(program: bytes, number: int, arguments: Sequence[int] = (), *, machine: str = "x86_64") -> int:
    """Run a filter as the kernel would."""
    six = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, ARCHITECTURES[machine], 0, *six)
    instructions = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        operation, yes, no, operand = instructions[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x05:
                at += operand
            case 0x15:
                at += yes if accumulator == operand else no
            case 0x25:
                at += yes if accumulator > operand else no
            case 0x35:
                at += yes if accumulator >= operand else no
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(operation)


def usual(name: str, *arguments: int, machine: str = "x86_64") -> int:
    return verdict(usual_filter(machine), numbers(machine)[name], arguments, machine=machine)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name",
    [
        *("mount", "umount2", "pivot_root", "fsopen", "move_mount", "open_tree", "mount_setattr", "chroot"),
        *("unshare", "setns", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
        *("bpf", "perf_event_open", "keyctl", "add_key", "request_key", "userfaultfd", "open_by_handle_at"),
        *("swapon", "reboot", "acct", "io_uring_setup", "io_uring_enter", "settimeofday", "clock_settime", "syslog"),
        *("process_madvise", "pidfd_getfd", "kcmp", "move_pages", "quotactl", "fanotify_init"),
    ],
)
def test_what_reaches_beyond_a_process_is_stopped(machine: str, name: str) -> None:
    assert usual(name, machine=machine) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_what_servers_do_is_not_stopped(machine: str) -> None:
    for name in (
        "read",
        "openat",
        "execve",
        "clone",
        "socket",
        "connect",
        "ioctl",
        "futex",
        "mmap",
        "prlimit64",
        "ptrace",
    ):
        assert usual(name, machine=machine) == ALLOW


def test_new_namespaces_are_refused_and_threads_are_not() -> None:
    threads = 0x3D0F00
    assert usual("clone", threads) == ALLOW
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert usual("clone", threads | namespace) == EPERM
    assert usual("clone3") == ENOSYS


@pytest.mark.parametrize("above", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_words_in_the_upper_half_of_an_argument_do_not_hide_what_the_kernel_reads(above: int) -> None:
    assert usual("ioctl", 0, 0x5412 | above) == EPERM
    assert usual("ioctl", 0, 0x541C | above) == EPERM
    assert usual("ioctl", 0, 0x5413 | above) == ALLOW
    assert usual("socket", 40 | above) == EPERM
    assert usual("socket", 38 | above) == EPERM
    assert usual("personality", 0x20008 | above) == ALLOW
    assert usual("personality", 0x40000 | above) == EPERM


def test_other_abis_and_calls_of_newer_kernels_do_not_exist() -> None:
    program = usual_filter("x86_64")
    assert verdict(program, X32 | numbers("x86_64")["read"]) == ENOSYS
    assert verdict(program, X32 | numbers("x86_64")["mount"]) == ENOSYS
    assert verdict(program, max(numbers("x86_64").values()) + 1) == ENOSYS
    assert verdict(program, 0xFFFFFFFF) == ENOSYS
    assert verdict(program, numbers("aarch64")["read"], machine="aarch64") == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_names_and_numbers_are_those_of_the_library_that_knows_them(machine: str) -> None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        unavailable("libseccomp is not installed")
    resolve = library.seccomp_syscall_resolve_name_arch
    known = {name: resolve(ctypes.c_uint32(ARCHITECTURES[machine]), name.encode()) for name in numbers(machine)}
    compared = {name: number for name, number in known.items() if number >= 0}
    assert len(compared) > 300
    assert compared == {name: numbers(machine)[name] for name in compared}


CONDITIONS = st.builds(
    Condition,
    argument=st.integers(0, 2),
    comparison=st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    value=st.sampled_from([0, 1, 5, 0xFFFFFFFF, 1 << 32, (1 << 32) + 5, WHOLE]),
    mask=st.sampled_from([WHOLE, 0xFFFFFFFF, 0xFF, 0xF << 32]),
)
RULES = st.builds(
    Rule, verdict=st.sampled_from([ALLOW, EPERM, LOG, errno(7)]), conditions=st.lists(CONDITIONS, max_size=3).map(tuple)
)
HOLDS = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


@given(
    calls=st.dictionaries(st.integers(0, 400), st.lists(RULES, max_size=3), max_size=120),
    number=st.integers(0, 401),
    arguments=st.lists(
        st.sampled_from([0, 1, 4, 5, 6, 0xFFFFFFFF, 1 << 32, (1 << 32) + 6, WHOLE]), min_size=3, max_size=3
    ),
)
def test_a_program_decides_as_its_rules_read(
    calls: Mapping[int, Sequence[Rule]], number: int, arguments: Sequence[int]
) -> None:
    def holds(rule: Rule) -> bool:
        return all(HOLDS[c.comparison](arguments[c.argument] & c.mask, c.value) for c in rule.conditions)

    expected = next((rule.verdict for rule in calls.get(number, ()) if holds(rule)), errno(9))
    program = assemble("x86_64", calls, default=errno(9), unknown=errno(8))
    assert verdict(program, number, arguments) == (expected if number in calls else errno(8))


def test_a_long_program_reaches_its_far_ends() -> None:
    often = tuple(
        Rule(verdict=EPERM, conditions=(Condition(argument=1, comparison=">=", value=1 << 40 | value),))
        for value in range(40, 0, -1)
    )
    program = assemble("x86_64", dict.fromkeys(range(12), (*often, Rule(verdict=ALLOW))), default=LOG)
    assert len(program) // 8 > 1000
    for number in range(12):
        assert verdict(program, number, [0, 1 << 40]) == ALLOW
        assert verdict(program, number, [0, 1 << 40 | 1]) == EPERM
    assert verdict(program, 12) == ENOSYS


def profile(*entries: Mapping[str, Any], **more: Any) -> bytes:
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": entries, **more}).encode()


def allowed(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ALLOW", **more}


def decided(content: bytes, name: str, *arguments: int, kernel: tuple[int, int] = (6, 1)) -> int:
    program = profile_filter(content, machine="x86_64", kernel=kernel)
    return verdict(program, numbers("x86_64")[name], arguments)


def test_a_profile_of_ones_own_decides_by_name_condition_and_default() -> None:
    masked = {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    content = profile(
        allowed("read", "no_such_call_anywhere"),
        allowed("clone", args=[masked]),
        {"name": "write", "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
        defaultErrnoRet=13,
    )
    assert decided(content, "read") == ALLOW
    assert decided(content, "clone", 0x11) == ALLOW
    assert decided(content, "clone", 0x10000011) == errno(13)
    assert decided(content, "write") == errno(5)
    assert decided(content, "open") == errno(13)
    assert verdict(profile_filter(content, machine="x86_64", kernel=(6, 1)), 9999) == ENOSYS


def test_alternatives_on_one_argument_and_rules_for_other_machines() -> None:
    either = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (1, 2)]
    content = profile(
        allowed("personality", args=either),
        allowed("ptrace", includes={"minKernel": "4.8"}),
        allowed("bpf", includes={"caps": ["CAP_BPF"]}),
        allowed("arch_prctl", includes={"arches": ["amd64"]}),
        allowed("iopl", excludes={"arches": ["amd64"]}),
        archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    )
    assert [decided(content, "personality", value) for value in (1, 2, 3)] == [ALLOW, ALLOW, EPERM]
    assert [decided(content, "ptrace", kernel=kernel) for kernel in ((4, 7), (4, 8))] == [EPERM, ALLOW]
    assert [decided(content, name) for name in ("bpf", "arch_prctl", "iopl")] == [EPERM, ALLOW, EPERM]


def test_a_profile_that_lets_all_through_does_not_let_through_its_exceptions_by_another_abi() -> None:
    content = profile({"names": ["mount"], "action": "SCMP_ACT_KILL_PROCESS"}, defaultAction="SCMP_ACT_ALLOW")
    program = profile_filter(content, machine="x86_64", kernel=(6, 1))
    assert verdict(program, numbers("x86_64")["mount"]) == KILL_PROCESS
    assert verdict(program, 9999) == ALLOW
    assert verdict(program, X32 | numbers("x86_64")["mount"]) == ENOSYS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not of the known form"),
        (b"[]", "not of the known form"),
        (profile(defaultAction="SCMP_ACT_NOTIFY"), "SCMP_ACT_NOTIFY is no verdict"),
        (profile(architectures=["SCMP_ARCH_AARCH64"]), "it is for SCMP_ARCH_AARCH64, and this is x86_64"),
        (profile(allowed("read", args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])), "no argument 6"),
        (profile(allowed("read", args=[{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}])), "no number of 64 bits"),
    ],
)
def test_a_profile_that_cannot_be_kept_is_refused_and_not_left_out(content: bytes, why: str) -> None:
    with pytest.raises(SeccompProfileUnusable, match=why):
        profile_filter(content, machine="x86_64", kernel=(6, 1))


TRICKS = """
import ctypes, errno, os, threading
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, number, *arguments):
    got = libc.syscall(number, *map(ctypes.c_long, arguments))
    print(name, errno.errorcode.get(ctypes.get_errno(), "?") if got < 0 else "done")
CALLS = {calls}
for name, number, arguments in CALLS:
    tried(name, number, *arguments)
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
if os.fork() == 0:
    os.execvp("echo", ["echo", "program"])
os.wait()
"""


def test_the_kernel_takes_the_filter_and_holds_to_it() -> None:
    system = isolation_system(os.environ)
    if not isinstance(system, System):
        unavailable(str(system))
    known = numbers(system.machine)
    calls = [
        ("unshare", known["unshare"], (0x10000000,)),
        ("keyctl", known["keyctl"], (0, -3, 0)),
        ("clone3", known["clone3"], (0, 0)),
        ("sti", known["ioctl"], (0, 0x5412 | 1 << 32, 0)),
        ("getpid", known["getpid"], ()),
    ]
    descriptor = memory_file(usual_filter(system.machine))
    done = subprocess.run(
        [
            system.bwrap,
            "--dev-bind",
            "/",
            "/",
            "--seccomp",
            str(descriptor),
            sys.executable,
            "-u",
            "-c",
            TRICKS.format(calls=calls),
        ],
        pass_fds=(descriptor,),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        *("unshare", "EPERM", "keyctl", "EPERM", "clone3", "ENOSYS", "sti", "EPERM", "getpid", "done"),
        *("thread", "program"),
    ]


def test_what_is_kept_of_the_usual_filter_is_what_would_be_made_now() -> None:
    """If not: scripts/seccomp-filters."""
    assert {machine: kept_filter(machine) for machine in MACHINES} == {
        machine: usual_filter(machine) for machine in MACHINES
    }
    assert json.loads(PODMANS_PROFILE.read_text()) == usual_profile()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("argument", [0, 1, 0x8, 38, 40, 41, 0x10000000, 0x7E020000, 0x20000])
def test_it_decides_as_the_usual_filter_does(machine: str, argument: int) -> None:
    """Families of sockets that no kernel has are stopped here, and not there."""
    ours = profile_filter(json.dumps(usual_profile()).encode(), machine=machine, kernel=(6, 1))
    usual = usual_filter(machine)
    differing = {
        name
        for name, number in numbers(machine).items()
        if verdict(ours, number, (argument,), machine=machine) != verdict(usual, number, (argument,), machine=machine)
    }
    assert differing == ({"socket"} if argument > 45 else set())
