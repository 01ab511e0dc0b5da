"""Holding what a server says against its rules: what of an answer differs from the pins, and what of it nobody is to see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from hatchlock.serve.messages import Answer, definition_names
from hatchlock.serve.outline import Edit, Item, Member
from hatchlock.state.surfaces import Difference
from hatchlock.surface import SurfaceRules, Unhashable, definition_hash, instructions_hash, parse_strictly, shown

__all__ = ["MESSAGE", "Finding", "Judge", "counted", "listed", "unclear"]

MESSAGE = "message"
"""What a `Difference` calls an answer that clients read in different ways."""

_KINDS = {"tools": "tool", "prompts": "prompt"}
_WORDS = {"added": "added", "removed": "removed", "changed": "changed", "unhashable": "not clear"}
_SHOWN_NAME = 80
_SHOWN = 600
_MOST = 10
_MOST_DETAILS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What there is to say of one answer.

    Attributes:
        difference: What of it is not as it was pinned.
        details: Lines on that for people, with nothing in them that a terminal obeys; of a listing a hundred at most.
        hidden: Edits that leave out the tools that are not permitted.
        filtered: Edits that leave out these, and everything that differs.
        names: By "tools" and "prompts", where the answer lists them: what it lists of what was pinned.
        unclear: Whether nothing of it can be left out reliably.
    """

    difference: Difference = field(default_factory=Difference)
    details: tuple[str, ...] = ()
    hidden: tuple[Edit, ...] = ()
    filtered: tuple[Edit, ...] = ()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unclear: bool = False


class Judge:
    """Compares answers with rules. It remembers of what was pinned what was right, so that it is hashed once, and what not."""

    def __init__(self, rules: SurfaceRules) -> None:
        self._rules = rules
        self._right: dict[tuple[str, str], str] = {}
        self._wrong: set[tuple[str, str]] = set()

    def of(self, text: str, answer: Answer) -> Finding:
        """Judge an answer.

        Args:
            text: The line that it is in.
            answer: What `messages.answers_in` gave.
        """
        listings = [member for member in answer.result if member.name in _KINDS]
        if why := answer.unclear or _no_array(listings):
            return unclear(text, why)
        found = [self._listing(text, member) for member in listings]
        instructions = answer.member("instructions")
        if instructions is not None and self._rules.pins is not None:
            found.append(self._instructions(text, answer.result, instructions))
        return _joined(found)

    def missing(self, kind: str, names: frozenset[str]) -> Finding:
        """Return what of the pins is not among the names of a whole listing, and is not for some applications only.

        Args:
            kind: "tools" or "prompts".
            names: Those of all its pages.
        """
        gone = sorted(name for name in self._pinned(kind) if name not in names and self._is_permitted(kind, name))
        varying = self._rules.pins.varying if self._rules.pins else ()
        labels = tuple(label for name in gone if (label := f"{_KINDS[kind]} {name}") not in varying)
        return Finding(difference=Difference(removed=labels), details=tuple(f"removed: {_label(it)}" for it in labels))

    def without_instructions(self) -> Finding:
        """Return what is to say of a server that introduces itself without instructions."""
        if self._rules.pins is None or not self._rules.pins.instructions:
            return Finding()
        return Finding(difference=Difference(removed=("instructions",)), details=("removed: the instructions",))

    def permits_call(self, kind: str, name: str) -> bool:
        """Whether a tool may be called, or a prompt be got, whether it was listed or not; not one that was last listed wrong."""
        rules = self._rules
        is_right = name in self._pinned(kind) and (kind, name) not in self._wrong
        return self._is_permitted(kind, name) and (rules.pins is None or rules.changed == "warn" or is_right)

    def is_pinned(self, label: str) -> bool:
        """Whether a name in a `Difference` is one that was approved, so that it may be told to anybody."""
        kind, _, name = label.partition(" ")
        return name in self._pinned(f"{kind}s") if name else True

    def _pinned(self, kind: str) -> Mapping[str, str]:
        pins = self._rules.pins
        if pins is None:
            return {}
        return pins.tools if kind == "tools" else pins.prompts

    def _is_permitted(self, kind: str, name: str) -> bool:
        return kind != "tools" or self._rules.permits(name)

    def _listing(self, text: str, member: Member) -> Finding:
        kind = _KINDS[member.name]
        listed: tuple[Item, ...] = member.value
        differs: dict[str, list[tuple[str, str, str]]] = {"added": [], "changed": [], "unhashable": []}
        permitted, right, names = [], [], set()
        for item in listed:
            definition = text[item.at : item.end]
            name, sort, why = self._sort(member.name, definition, item.value)
            # a name that has another one beside it is known late
            if sort == "hidden" or (name and not self._is_permitted(member.name, name)):
                continue
            permitted.append(item)
            names.add(name)
            self._note(member.name, name, is_right=not sort)
            if sort:
                differs[sort].append((f"{kind} {name}".strip(), why, definition))
            else:
                right.append(item)
        details = (
            f"{_WORDS[sort]}: {_label(label)}{why}: {_definition(definition)}"
            for sort, found in differs.items()
            for label, why, definition in found
        )
        return Finding(
            difference=Difference(**{sort: tuple(label for label, *_ in found) for sort, found in differs.items()}),
            details=tuple(islice(details, _MOST_DETAILS)),
            hidden=_kept(text, member, permitted),
            filtered=_kept(text, member, right),
            names={member.name: frozenset(name for name in names if name in self._pinned(member.name))},
        )

    def _note(self, kind: str, name: str, *, is_right: bool) -> None:
        if is_right:
            self._wrong.discard((kind, name))
        elif name in self._pinned(kind):
            self._wrong.add((kind, name))

    def _sort(self, kind: str, text: str, value: Any) -> tuple[str, str, str]:
        """Return a definition's name, and "hidden", "added", "changed", "unhashable", or "" for one that is right; and why."""
        names = definition_names(value)
        name = names[0] if len(names) == 1 and isinstance(names[0], str) else None
        if name is not None and not self._is_permitted(kind, name):
            return name, "hidden", ""
        if self._rules.pins is None:
            # one that could be taken for a hidden one, or for none at all
            return name or "", "" if name is not None or kind != "tools" else "hidden", ""
        if name is not None and self._right.get((kind, name)) == text:
            return name, "", ""
        try:
            found = parse_strictly(text)
            digest = definition_hash(found)
        except (Unhashable, ValueError) as error:
            return name or "", "unhashable", f", {error}"
        name = str(found["name"])
        pinned = self._pinned(kind).get(name)
        if pinned != digest:
            return name, "added" if pinned is None else "changed", ""
        self._right[kind, name] = text
        return name, "", ""

    def _instructions(self, text: str, members: Sequence[Member], found: Member) -> Finding:
        pins, is_text = self._rules.pins, isinstance(found.value, str)
        pinned = pins.instructions if pins else ""
        is_right = instructions_hash(found.value) == pinned and (is_text or found.value is None)
        if is_right:
            return Finding()
        label = ("instructions",)
        if found.value is not None and not is_text:
            difference = Difference(unhashable=label)
        elif not pinned:
            difference = Difference(added=label)
        else:
            difference = Difference(changed=label)
        return Finding(
            difference=difference,
            details=(f"{_sort_of(difference)}: the instructions: {_definition(text[found.at : found.end])}",),
            filtered=(_cut(members, found),),
        )


def unclear(text: str, why: str) -> Finding:
    """Return what is to say of an answer that may mean anything, or a line that is none."""
    return Finding(
        difference=Difference(unhashable=(MESSAGE,)),
        details=(f"not clear: an answer, {shown(why)}: {_definition(text)}",),
        unclear=True,
    )


def listed(labels: Iterable[str]) -> str:
    """Return names for people: a few of them, each on one line and short."""
    names = [_label(label) for label in labels]
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")


def counted(difference: Difference) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield for each sort that there is: how many, the word for it, the names."""
    for sort, word in _WORDS.items():
        if names := getattr(difference, sort):
            yield len(names), word, names


def _sort_of(difference: Difference) -> str:
    return next(word for _, word, _ in counted(difference))


def _no_array(listings: Sequence[Member]) -> str:
    return next((f"its {item.name} are no list" for item in listings if not isinstance(item.value, tuple)), "")


def _kept(text: str, member: Member, items: Sequence[Item]) -> tuple[Edit, ...]:
    """Return the edit that leaves only some items of a listing; none where these are all."""
    if len(items) == len(member.value):
        return ()
    return (Edit(member.at, member.end, f"[{','.join(text[item.at : item.end] for item in items)}]"),)


def _cut(members: Sequence[Member], found: Member) -> Edit:
    """Return the edit that takes a member out of its object, with one of the commas beside it."""
    at = next(place for place, member in enumerate(members) if member is found)
    if at + 1 < len(members):
        return Edit(found.start, members[at + 1].start, "")
    return Edit(members[at - 1].end if at else found.start, found.end, "")


def _joined(found: Sequence[Finding]) -> Finding:
    return Finding(
        difference=Difference.joined(item.difference for item in found),
        details=tuple(line for item in found for line in item.details),
        hidden=tuple(edit for item in found for edit in item.hidden),
        filtered=tuple(edit for item in found for edit in item.filtered),
        names={kind: names for item in found for kind, names in item.names.items()},
    )


def _label(label: str) -> str:
    kind, _, name = label.partition(" ")
    if not name:
        return f"the {kind}" if kind == "instructions" else f"a {kind}"
    cut = shown(name[:_SHOWN_NAME])
    return f'{kind} "{cut}{"…" if len(name) > _SHOWN_NAME else ""}"'


def _definition(text: str) -> str:
    cut = shown(text[:_SHOWN].strip())
    return f"{cut} … and {len(text) - _SHOWN} characters more" if len(text) > _SHOWN else cut
