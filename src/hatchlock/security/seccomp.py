"""Which system calls a sandboxed process may make: the usual filter, and profiles in Docker's form. Pure.

The usual filter stops what Docker's own stops, so that a server finds the same in both runtimes, and a little more. It
names what is stopped, but what has no name in `syscalls` is stopped as well: calls of a newer kernel are as if that kernel
did not have them, and C libraries know what to do then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.security.bpf import (
    ALLOW,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRAP,
    Comparison,
    Condition,
    Rule,
    assemble,
    errno,
)
from hatchlock.security.kept_filter import FILTERED_MACHINES
from hatchlock.security.syscalls import numbers

__all__ = ["MACHINES", "SeccompProfileUnusable", "profile_filter", "usual_filter", "usual_profile"]

MACHINES = FILTERED_MACHINES

_NOT_PERMITTED = 1
_NO_SUCH_CALL = 38
_MOST_INSTRUCTIONS = 4096
_INSTRUCTION = 8
_ARGUMENTS, _BITS = 6, 64
_INT = 0xFFFFFFFF

_STOPPED = """
mount umount2 pivot_root chroot open_tree open_tree_attr move_mount fsopen fsconfig fsmount fspick mount_setattr
statmount listmount quotactl quotactl_fd swapon swapoff
unshare setns sethostname setdomainname
kexec_load kexec_file_load init_module finit_module delete_module create_module get_kernel_syms query_module
bpf perf_event_open syslog lookup_dcookie _sysctl sysfs uselib ustat nfsservctl reboot acct vhangup
lsm_get_self_attr lsm_set_self_attr lsm_list_modules
add_key request_key keyctl
settimeofday clock_settime
userfaultfd mbind get_mempolicy set_mempolicy set_mempolicy_home_node migrate_pages move_pages
process_madvise pidfd_getfd kcmp
io_uring_setup io_uring_enter io_uring_register
iopl ioperm modify_ldt
fanotify_init open_by_handle_at
"""
_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_TYPE_INTO_TERMINAL, _TERMINAL_OF_LINUX = 0x5412, 0x541C
"""TIOCSTI and TIOCLINUX put words into the mouth of whoever sits at the terminal."""
_SOCKETS_OF_HYPERVISORS, _SOCKETS_OF_CRYPTOGRAPHY = 40, 38
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, _INT)
"""That of Linux, with 32 bits in `uname`, that of Linux 2.6, and the question which one it is."""


@dataclass(kw_only=True, eq=False)
class SeccompProfileUnusable(HatchlockError):
    """A seccomp profile of the user's own cannot be made into a filter; nothing was started."""

    code: ClassVar[str] = "seccomp-profile-unusable"

    why: str

    def __str__(self) -> str:
        return f"its seccomp profile cannot be used: {self.why}"

    def _hint(self) -> str:
        return 'a profile has the form of Docker\'s own default.json; sandbox.seccomp = "default" needs none'


def usual_filter(machine: str) -> bytes:
    """Return the filter of `seccomp = "default"` for a machine of `MACHINES`, as the kernel takes it."""
    known = numbers(machine)
    rules: dict[str, Sequence[Rule]] = {
        **dict.fromkeys(known, (Rule(verdict=ALLOW),)),
        **dict.fromkeys(known.keys() & _STOPPED.split(), (Rule(verdict=errno(_NOT_PERMITTED)),)),
        "clone": (_only(0, "==", 0, _NEW_NAMESPACES),),
        # its arguments are in memory, where a filter cannot look; C libraries take clone then
        "clone3": (Rule(verdict=errno(_NO_SUCH_CALL)),),
        "ioctl": (_not(1, _TYPE_INTO_TERMINAL), _not(1, _TERMINAL_OF_LINUX), Rule(verdict=ALLOW)),
        "socket": (_not(0, _SOCKETS_OF_HYPERVISORS), _not(0, _SOCKETS_OF_CRYPTOGRAPHY), Rule(verdict=ALLOW)),
        "personality": tuple(_only(0, "==", value, _INT) for value in _PERSONALITIES),
    }
    return assemble(machine, {known[name]: given for name, given in rules.items()}, default=errno(_NOT_PERMITTED))


def _only(argument: int, comparison: Comparison, value: int, mask: int) -> Rule:
    condition = Condition(argument=argument, comparison=comparison, value=value, mask=mask)
    return Rule(verdict=ALLOW, conditions=(condition,))


def _not(argument: int, value: int) -> Rule:
    condition = Condition(argument=argument, comparison="==", value=value, mask=_INT)
    return Rule(verdict=errno(_NOT_PERMITTED), conditions=(condition,))


def usual_profile() -> dict[str, Any]:
    """Return the same in Docker's form, for an engine whose own stops less: `podman.json` beside this module is its text.

    What a call must not say is told by what it may say: two rules for one argument are not joined in that form. A container
    has no terminal, so `ioctl` is free.
    """
    names = {name for machine in MACHINES for name in numbers(machine)} - set(_STOPPED.split())
    sockets = (
        ("SCMP_CMP_LT", _SOCKETS_OF_CRYPTOGRAPHY),
        *(("SCMP_CMP_EQ", family) for family in (39, 41, 42, 43, 44, 45)),
    )
    some = {
        "clone": [{"index": 0, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        "socket": [{"index": 0, "value": family, "op": comparison} for comparison, family in sockets],
        "personality": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in _PERSONALITIES],
    }
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _NOT_PERMITTED,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            {"names": sorted(names - {*some, "clone3"}), "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _NO_SUCH_CALL},
            *(
                {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [condition]}
                for name, conditions in some.items()
                for condition in conditions
            ),
        ],
    }


_DOCKERS_MACHINES = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
_VERDICTS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
}
_COMPARISONS: Mapping[str, Comparison] = {
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_GT": ">",
    "SCMP_CMP_GE": ">=",
}


def profile_filter(content: bytes, *, machine: str, kernel: tuple[int, int]) -> bytes:
    """Return the filter of a profile in Docker's form.

    A call that the profile names without conditions has that verdict; else the first rule that holds decides, then the
    default. Names of calls that this machine does not have, and capabilities, which no process has, are passed over. A call
    that has no name in `syscalls` does not exist, unless the default lets it through.

    Args:
        content: The profile, JSON.
        machine: Of `MACHINES`.
        kernel: Its version, for `minKernel`.

    Raises:
        SeccompProfileUnusable: It is not of that form, is for other machines, or asks for a verdict that somebody else would
            have to give (`SCMP_ACT_NOTIFY`, `SCMP_ACT_TRACE`).
    """
    try:
        profile = json.loads(content)
        _check_machine(profile, machine)
        default = _verdict(profile["defaultAction"], profile.get("defaultErrnoRet"))
        program = _compiled(profile, machine, kernel, default)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SeccompProfileUnusable(why=f"it is not of the known form ({type(error).__name__}: {error})") from error
    if len(program) > _MOST_INSTRUCTIONS * _INSTRUCTION:
        raise SeccompProfileUnusable(why=f"it makes more than {_MOST_INSTRUCTIONS} instructions")
    return program


def _compiled(profile: Mapping[str, Any], machine: str, kernel: tuple[int, int], default: int) -> bytes:
    known = numbers(machine)
    rules: dict[int, list[Rule]] = {number: [] for number in known.values()}
    for entry in profile.get("syscalls") or ():
        if _applies(entry, machine, kernel):
            given = tuple(_rules(entry))
            for name in entry.get("names") or (entry["name"],):
                if name in known:
                    rules[known[name]] += given
    ordered = {number: _unconditional_alone(given) for number, given in rules.items()}
    unknown = default if default in {ALLOW, LOG} else errno(_NO_SUCH_CALL)
    return assemble(machine, ordered, default=default, unknown=unknown)


def _check_machine(profile: Mapping[str, Any], machine: str) -> None:
    named = [*(profile.get("architectures") or ()), *(item["architecture"] for item in profile.get("archMap") or ())]
    if named and _DOCKERS_MACHINES[machine][1] not in named:
        raise SeccompProfileUnusable(why=f"it is for {', '.join(sorted(named))}, and this is {machine}")


def _applies(entry: Mapping[str, Any], machine: str, kernel: tuple[int, int]) -> bool:
    wanted, unwanted = entry.get("includes") or {}, entry.get("excludes") or {}
    ours = _DOCKERS_MACHINES[machine][0]
    if wanted.get("caps") or ("arches" in wanted and ours not in wanted["arches"]):
        return False
    if ours in (unwanted.get("arches") or ()):
        return False
    return not _newer(wanted.get("minKernel"), kernel) and (
        not unwanted.get("minKernel") or _newer(unwanted["minKernel"], kernel)
    )


def _newer(version: str | None, kernel: tuple[int, int]) -> bool:
    if not version:
        return False
    major, minor, *_ = (*version.split("."), "0")
    return (int(major), int(minor)) > kernel


def _rules(entry: Mapping[str, Any]) -> Iterator[Rule]:
    verdict = _verdict(entry["action"], entry.get("errnoRet"))
    conditions = [_condition(item) for item in entry.get("args") or ()]
    if len({condition.argument for condition in conditions}) == len(conditions):
        yield Rule(verdict=verdict, conditions=tuple(conditions))
        return
    # several conditions on one argument are alternatives, for those who run containers
    for condition in conditions:
        yield Rule(verdict=verdict, conditions=(condition,))


def _condition(item: Mapping[str, Any]) -> Condition:
    argument, value, other = int(item["index"]), int(item["value"]), int(item.get("valueTwo") or 0)
    if argument not in range(_ARGUMENTS) or min(value, other) < 0 or max(value, other) >> _BITS:
        raise ValueError(f"no argument {argument}, or no number of 64 bits")
    if item["op"] == "SCMP_CMP_MASKED_EQ":
        return Condition(argument=argument, comparison="==", value=other, mask=value)
    return Condition(argument=argument, comparison=_COMPARISONS[item["op"]], value=value)


def _unconditional_alone(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    given = tuple(rules)
    return next(((rule,) for rule in given if not rule.conditions), given)


def _verdict(action: str, number: int | None) -> int:
    if action == "SCMP_ACT_ERRNO":
        return errno(_NOT_PERMITTED if number is None else int(number))
    if action not in _VERDICTS:
        raise SeccompProfileUnusable(why=f"{action} is no verdict that a filter gives by itself")
    return _VERDICTS[action]
