"""Why there is no solution: what rattler draws as a tree, as sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["CondaUnsolvable", "reasons"]

_AT_MOST = 8
_HEADINGS = re.compile(r"Cannot solve the request because of: |^The following packages are incompatible$", re.MULTILINE)
_LINE = re.compile(r"(?P<indent>(?:[│ ] {2})*)(?P<branch>[├└]─ )?(?P<text>.+)")
_REQUIREMENT = re.compile(
    r"(?P<spec>.+?),?(?: which)? (?:can|cannot) be installed "
    r"(?:with any of the following options|because there are no viable options):"
)
_REQUIRER = re.compile(r"(?P<who>.+) would require")
_NONE_FOUND = re.compile(r"(?:No candidates were found for )?(?P<spec>.+?)(?:, for which no candidates were found)?\.")
_NOTHING = "no candidates were found"
_CONFLICT = ", which conflicts with"
_FACTS = {"__cuda": "CUDA", "__glibc": "glibc", "__linux": "Linux", "__osx": "macOS"}


@dataclass(kw_only=True, eq=False)
class CondaUnsolvable(HatchlockError):
    """No choice of packages satisfies what is required of the channels.

    Attributes:
        requirements: All that were given, `conda:numpy>=1.20`.
        platform: For which there is no solution.
        channels: Names of those that were asked.
        reasons: Why, as clauses.
    """

    code: ClassVar[str] = "conda-unsolvable"

    requirements: tuple[str, ...]
    platform: str
    channels: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        channels = "channel" if len(self.channels) == 1 else "channels"
        head = f"{', '.join(self.requirements)} cannot be had together on {self.platform}"
        if len(self.requirements) == 1:
            head = f"{self.requirements[0]} cannot be had on {self.platform}"
        return f"{head} from the {channels} {', '.join(self.channels)}: {'; '.join(self.reasons)}"

    def _hint(self) -> str:
        return "loosen one of these requirements, or name a channel that has other versions below [indexes.conda]"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    depth: int
    text: str


def reasons(explanation: str) -> tuple[str, ...]:
    """Return rattler's explanation as clauses, one for each branch of its tree, without duplicates and at most eight."""
    nodes = [_node(line) for line in _HEADINGS.sub("", explanation).splitlines() if line.strip()]
    found: list[str] = []
    for number, node in enumerate(nodes):
        is_leaf = number + 1 == len(nodes) or nodes[number + 1].depth <= node.depth
        if is_leaf and (clause := _clause(_path(nodes[: number + 1]))) not in found:
            found.append(clause)
    left_out = len(found) - _AT_MOST
    return (*found[:_AT_MOST], *([f"and {left_out} more such reasons"] if left_out > 0 else []))


def _node(line: str) -> _Node:
    match = _LINE.fullmatch(line.rstrip())
    if match is None:
        return _Node(depth=0, text=line.strip())
    return _Node(depth=len(match["indent"]) // 3 + bool(match["branch"]), text=match["text"].strip())


def _path(nodes: list[_Node]) -> list[str]:
    """The texts from the root of the tree to its last node."""
    path = [nodes[-1]]
    for node in reversed(nodes):
        if node.depth < path[0].depth:
            path.insert(0, node)
    return [node.text for node in path]


def _clause(path: list[str]) -> str:
    """From `a 1 would require`, `b >=2, which cannot be …`, `b 2, which conflicts …` to "a 1 needs b >=2, which …"."""
    *above, leaf = path
    wanted, who = [], ""
    for text in above:
        if requirer := _REQUIRER.fullmatch(text):
            who = requirer["who"]
        elif requirement := _REQUIREMENT.fullmatch(text):
            wanted.append((who, _spec(requirement["spec"])))
    needs = [f"{requirer} needs {spec}" for requirer, spec in wanted if requirer]
    if _NOTHING in leaf.lower() and (none := _NONE_FOUND.fullmatch(leaf)):
        return ", ".join([*needs, _nothing(who, none["spec"])])
    if _CONFLICT in leaf:
        subject = leaf.partition(_CONFLICT)[0]
        needs = needs or [wanted[-1][1] if wanted else _spec(subject)]
        return ", ".join([*needs, "which conflicts with that"])
    if who and (not wanted or wanted[-1][0] != who):
        return ", ".join([*needs, f"{who} needs {_spec(leaf)}"])
    if re.fullmatch(r"\S+ [^ ]+(?: \| [^ ]+)*", leaf) and wanted:
        # one that would do
        return ", ".join(needs or [f"{wanted[-1][1]} is wanted"])
    return ", ".join([*needs, _spec(leaf.rstrip("."))])


def _nothing(who: str, spec: str) -> str:
    is_fact = spec.startswith("__")
    if who:
        return (
            f"{who} needs {_spec(spec)}, {'which the platform does not have' if is_fact else 'of which there is none'}"
        )
    return f"there is no {_spec(spec)}"


def _spec(text: str) -> str:
    """A MatchSpec as it is said: facts of the platform by their names, no `*` for any version."""
    name, _, version = text.removesuffix(" *").partition(" ")
    return f"{_FACTS.get(name, name)} {version}".rstrip()
