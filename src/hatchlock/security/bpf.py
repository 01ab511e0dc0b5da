"""Seccomp filters as classic BPF programs. Pure.

A program decides by architecture and number, and for some calls by arguments. Numbers that share a verdict are one range,
and a search tree over the ranges finds the one that a call falls into. The kernel keeps, for each call that is always
allowed, that it is, so what the length of a program costs is paid once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ALLOW",
    "KILL_PROCESS",
    "KILL_THREAD",
    "LOG",
    "TRAP",
    "Condition",
    "Rule",
    "assemble",
    "errno",
]

ALLOW = 0x7FFF0000
LOG = 0x7FFC0000
TRAP = 0x00030000
KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_NO_SUCH_CALL = 38

_LOAD, _AND, _RETURN, _JUMP = 0x20, 0x54, 0x06, 0x05
_EQUAL, _GREATER, _AT_LEAST = 0x15, 0x25, 0x35
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_LOW, _HIGH = 0, 4
"""Where the halves of an argument are, on machines with the lowest byte first."""
_FARTHEST = 255
_HALF = 0xFFFFFFFF
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_ABI = 0x40000000
"""x32: numbers from here on are another ABI's, under the same architecture."""

Comparison = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What an argument must be: `argument & mask`, as a number without sign, compared with `value`.

    Attributes:
        argument: Its index, from 0.
        comparison: How.
        value: With what.
        mask: The bits that count. The kernel reads an `int` from the lower half and does not care what is in the other.
    """

    argument: int
    comparison: Comparison
    value: int
    mask: int = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What happens to a call whose arguments are as they must be.

    Attributes:
        verdict: What the filter returns.
        conditions: All of them must hold.
    """

    verdict: int
    conditions: tuple[Condition, ...] = ()


def errno(number: int) -> int:
    """Return the verdict that makes a call fail with an error number, without being made."""
    return _ERRNO | number


def assemble(
    machine: str, calls: Mapping[int, Sequence[Rule]], *, default: int, unknown: int = _ERRNO | _NO_SUCH_CALL
) -> bytes:
    """Return a filter as the kernel takes it: an array of `struct sock_filter`.

    Calls of another architecture end the process. Those of another ABI do not exist.

    Args:
        machine: `x86_64` or `aarch64`.
        calls: Number -> rules, of which the first that holds decides.
        default: The verdict where none holds.
        unknown: The verdict for numbers that are not in `calls`.

    Raises:
        KeyError: Another machine.
    """
    program = _Program()
    verdicts = {rule.verdict for rules in calls.values() for rule in rules}
    no_such_call = errno(_NO_SUCH_CALL)
    give = {verdict: program.do(_RETURN, verdict) for verdict in sorted({default, unknown, no_such_call, *verdicts})}
    foreign = program.do(_RETURN, KILL_PROCESS)
    starts = {0: give[unknown]}
    for number in sorted(calls):
        starts[number] = _first_that_holds(program, calls[number], give, default)
        starts.setdefault(number + 1, give[unknown])
    starts[_OTHER_ABI] = give[no_such_call]
    program.go(_tree(program, _ranges(starts)))
    known = program.do(_LOAD, _NUMBER_AT)
    program.when(_EQUAL, _ARCHITECTURES[machine], known, foreign)
    program.do(_LOAD, _ARCHITECTURE_AT)
    return program.to_bytes()


class _Program:
    """Instructions, collected from the end to the beginning: all jumps lead forward, so their targets are there already.

    A label is the index of an instruction; each instruction that does not jump goes on with the one added before it.
    """

    def __init__(self) -> None:
        self._added: list[tuple[int, int, int, int]] = []

    def do(self, operation: int, operand: int) -> int:
        self._added.append((operation, 0, 0, operand))
        return len(self._added) - 1

    def go(self, label: int) -> int:
        return self.do(_JUMP, self._distance(label))

    def when(self, operation: int, operand: int, yes: int, no: int) -> int:
        yes, no = self._near(yes), self._near(no)
        self._added.append((operation, self._distance(yes), self._distance(no), operand))
        return len(self._added) - 1

    def to_bytes(self) -> bytes:
        return b"".join(struct.pack("=HBBI", *instruction) for instruction in reversed(self._added))

    def _distance(self, label: int) -> int:
        return len(self._added) - 1 - label

    def _near(self, label: int) -> int:
        # one more may come in between, for the other way
        return label if self._distance(label) < _FARTHEST else self.go(label)


def _ranges(starts: Mapping[int, int]) -> list[tuple[int, int]]:
    """Return the first number of each range and where it leads."""
    found: list[tuple[int, int]] = []
    for number, label in sorted(starts.items()):
        if not found or found[-1][1] != label:
            found.append((number, label))
    return found


def _tree(program: _Program, ranges: Sequence[tuple[int, int]]) -> int:
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    above = _tree(program, ranges[middle:])
    below = _tree(program, ranges[:middle])
    return program.when(_AT_LEAST, ranges[middle][0], above, below)


def _first_that_holds(program: _Program, rules: Sequence[Rule], give: Mapping[int, int], default: int) -> int:
    label = give[default]
    for rule in reversed(rules):
        otherwise, label = label, give[rule.verdict]
        for condition in reversed(rule.conditions):
            label = _test(program, condition, label, otherwise)
    return label


def _test(program: _Program, condition: Condition, yes: int, no: int) -> int:
    comparison = condition.comparison
    if comparison in {"!=", "<", "<="}:
        yes, no = no, yes
    operation = {"<": _AT_LEAST, ">=": _AT_LEAST, "<=": _GREATER, ">": _GREATER}.get(comparison, _EQUAL)
    low, high = condition.value & _HALF, condition.value >> 32
    program.when(operation, low, yes, no)
    label = _load(program, condition, _LOW)
    if not high and not condition.mask >> 32:
        return label
    label = program.when(_EQUAL, high, label, no)
    if operation != _EQUAL:
        label = program.when(_GREATER, high, yes, label)
    return _load(program, condition, _HIGH)


def _load(program: _Program, condition: Condition, half: int) -> int:
    mask = condition.mask >> (32 if half == _HIGH else 0) & _HALF
    if mask != _HALF:
        program.do(_AND, mask)
    return program.do(_LOAD, _ARGUMENTS_AT + 8 * condition.argument + half)
