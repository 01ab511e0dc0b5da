"""What a group needs to read of its servers' answers: who they are, what they offer, and the pages of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hatchlock.serve.envelope import Message, inside
from hatchlock.serve.outline import Edit, Item, Member, Read, Unreadable, edited, items, members

__all__ = ["KINDS", "Definition", "Freshness", "Hello", "Kind", "Page", "hello_of", "page_of"]

_CAPABILITIES = members({name: members({}) for name in ("tools", "prompts", "resources")})
_HELLO = members({"capabilities": _CAPABILITIES})


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Something that servers list.

    Attributes:
        listed: The member of the answer that has it.
        capability: What a server has to have.
        named: The member by which it is asked for.
    """

    listed: str
    capability: str
    named: str


KINDS: Mapping[str, Kind] = {
    "tools/list": Kind(listed="tools", capability="tools", named="name"),
    "prompts/list": Kind(listed="prompts", capability="prompts", named="name"),
    "resources/list": Kind(listed="resources", capability="resources", named="uri"),
    "resources/templates/list": Kind(listed="resourceTemplates", capability="resources", named="uriTemplate"),
}
"""Method -> what it lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """What a server answered to `initialize`.

    Attributes:
        protocol: The version that it wants to speak.
        capabilities: What it can, by name.
        subscribes: Whether it tells of changes of single resources.
        instructions: What it says of its use; untrusted.
    """

    protocol: str
    capabilities: frozenset[str] = field(default_factory=frozenset)
    subscribes: bool = False
    instructions: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What a server offers.

    Attributes:
        name: By which it is asked for.
        text: All of it, as it was sent.
        place: Where in that its name is.
    """

    name: str
    text: str
    place: Member

    def renamed(self, name: str) -> str:
        """Return its text with another name, given as JSON."""
        return edited(self.text, [Edit(self.place.at, self.place.end, name)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """How long, and for whom, a client may keep what a server listed.

    Attributes:
        milliseconds: How long.
        public: Whether it is the same for everybody.
    """

    milliseconds: int
    public: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page of a listing.

    Attributes:
        definitions: Those that can be asked for.
        unclear: How many cannot: without a name, or with two.
        cursor: Where the next page begins; "" for the last one.
        fresh: How long it may be kept; None where the server does not say so, as before 2026-07-28.
    """

    definitions: tuple[Definition, ...]
    unclear: int
    cursor: str
    fresh: Freshness | None = None


def hello_of(answer: Message) -> Hello:
    """Read an answer to `initialize`.

    Raises:
        ValueError: It is none.
    """
    result = _result(answer, _HELLO)
    can = inside(result.get("capabilities"))
    protocol = answer.scalar(result.get("protocolVersion"))
    if not isinstance(protocol, str):
        raise Unreadable("it names no version of the protocol")
    subscribes = inside(can.get("resources")).get("subscribe")
    instructions = answer.scalar(result.get("instructions"))
    return Hello(
        protocol=protocol,
        capabilities=frozenset(can),
        subscribes=subscribes is not None and subscribes.value is True,
        instructions=instructions if isinstance(instructions, str) else "",
    )


def page_of(answer: Message, kind: Kind) -> Page:
    """Read a page of a listing.

    Raises:
        ValueError: It is none.
    """
    result = _result(answer, members({kind.listed: items(members({}))}))
    listed = result.get(kind.listed)
    found = listed.value if listed and isinstance(listed.value, tuple) else ()
    clear = tuple(_definitions(answer, found, kind))
    cursor = answer.scalar(result.get("nextCursor"))
    return Page(
        definitions=clear,
        unclear=len(found) - len(clear),
        cursor=cursor if isinstance(cursor, str) else "",
        fresh=_fresh(answer, result),
    )


def _fresh(answer: Message, result: Mapping[str, Member]) -> Freshness | None:
    milliseconds, scope = answer.scalar(result.get("ttlMs")), answer.scalar(result.get("cacheScope"))
    if not isinstance(milliseconds, int) or milliseconds < 0:
        return None
    return Freshness(milliseconds=milliseconds, public=scope == "public")


def _definitions(answer: Message, found: tuple[Item, ...], kind: Kind) -> Iterator[Definition]:
    for item in found:
        if not isinstance(item.value, tuple):
            continue
        named = [member for member in item.value if member.name == kind.named]
        name = answer.scalar(named[0]) if len(named) == 1 else None
        if isinstance(name, str):
            start = named[0].start - item.at
            place = Member(kind.named, start, named[0].at - item.at, named[0].end - item.at, name)
            yield Definition(name=name, text=answer.text[item.at : item.end], place=place)


def _result(answer: Message, reader: Read) -> Mapping[str, Member]:
    if "result" not in answer.top:
        raise Unreadable("it answered with an error")
    found = answer.read("result", reader)
    if not isinstance(found, tuple):
        raise Unreadable("its result is no object")
    return {member.name: member for member in found}
