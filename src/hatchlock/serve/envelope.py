"""JSON-RPC messages as text, and where in it the few things stand that whoever passes them on has to know, or to change.

Nothing is written anew but what is replaced: numbers, the order of members and unknown members stay as they were sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hatchlock.serve.outline import Edit, Item, Member, Read, Unreadable, edited, items, members, whole

__all__ = ["Message", "dumps", "error_line", "inside", "messages_of"]

_REQUEST = members({"params": members({"_meta": members({}), "ref": members({})}), "error": members({})})


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A JSON-RPC message.

    Attributes:
        text: As it was sent; bytes that are no UTF-8 are kept as surrogates.
        top: Its members. Of one that is repeated the last counts, as it does for most readers.
        params: Those of its params.
        is_clear: Whether no member of either is there twice.
    """

    text: str
    top: Mapping[str, Member]
    params: Mapping[str, Member] = field(default_factory=dict)
    is_clear: bool = True

    @property
    def method(self) -> str:
        """What is asked or told; "" for an answer."""
        return self._word("method")

    @property
    def id(self) -> Any:
        """Its id, as a value: `1` is not `"1"`. None when it has none, or `null`."""
        return self.scalar(self.top.get("id"))

    @property
    def raw_id(self) -> str:
        """Its id, as it is written."""
        return self.written(self.top["id"])

    @property
    def is_request(self) -> bool:
        """Whether it wants an answer."""
        return bool(self.method) and self.id is not None

    @property
    def is_answer(self) -> bool:
        """Whether it is one."""
        return not self.method and ("result" in self.top or "error" in self.top)

    @property
    def error_code(self) -> int | None:
        """JSON-RPC's code of the error that it is."""
        error = self.top.get("error")
        found = inside(error).get("code") if error else None
        code = self.scalar(found)
        return code if isinstance(code, int) else None

    @property
    def meta(self) -> Mapping[str, Member]:
        """What its params have in `_meta`."""
        return inside(self.params.get("_meta"))

    @property
    def token_place(self) -> Member | None:
        """Where the name of the progress stands that it is told of or asks for; None for nothing."""
        holder = self.params if self.method == "notifications/progress" else self.meta
        return holder.get("progressToken")

    @property
    def progress_token(self) -> Any:
        """What names that progress; None for nothing."""
        return self.scalar(self.token_place)

    def param(self, name: str) -> str | None:
        """Return a parameter that is a text; None where there is none such."""
        member = self.params.get(name)
        return self.scalar(member) if member and self.text[member.at] == '"' else None

    def written(self, member: Member) -> str:
        """Return a member's value as it is written."""
        return self.text[member.at : member.end]

    def scalar(self, member: Member | None) -> Any:
        """Return a member's value if it is a text or a number, else None."""
        if member is None or self.text[member.at] not in '"-0123456789':
            return None
        try:
            return json.loads(self.written(member))
        except ValueError:
            return self.written(member)  # a number of more digits than Python takes

    def with_words(self, changes: Iterable[tuple[Member, str]]) -> str:
        """Return its text with other values, given as JSON, for members that do not overlap."""
        return edited(self.text, [Edit(member.at, member.end, word) for member, word in changes])

    def with_id(self, identity: str, *changes: tuple[Member, str]) -> str:
        """Return its text with another id, given as JSON, and other changes as in `with_words`."""
        return self.with_words([(self.top["id"], identity), *changes])

    def read(self, name: str, reader: Read) -> Any:
        """Read a member of the message once more, by a reader of its own.

        Raises:
            KeyError: There is no such member.
        """
        return reader(self.text, self.top[name].at)[0]

    def _word(self, name: str) -> str:
        member = self.top.get(name)
        return member.value if member and self.text[member.at] == '"' else ""


def messages_of(line: bytes) -> tuple[Message, ...]:
    """Return the messages of a line or a body: one, or those of a batch.

    Raises:
        ValueError: It is neither.
    """
    text = line.decode(errors="surrogateescape").strip(" \t\r\n")
    if not text.startswith("["):
        return (_message(text, whole(text, _REQUEST)),)
    found: tuple[Item, ...] = whole(text, items(_REQUEST))
    if not found:
        raise Unreadable("it is an empty batch")
    return tuple(_message(text[item.at : item.end], None) for item in found)


def inside(member: Member | None) -> Mapping[str, Member]:
    """Return the members of an object that was read as one; nothing of anything else."""
    value = member.value if member else ()
    return {item.name: item for item in value if isinstance(item, Member)} if isinstance(value, tuple) else {}


def dumps(value: Any) -> str:
    """Return JSON in one line, of characters that every reader takes."""
    return json.dumps(value, separators=(",", ":"))


def error_line(identity: str, code: int, text: str) -> bytes:
    """Return an answer that says what went wrong, without the newline.

    Args:
        identity: The request's id, as JSON.
        code: JSON-RPC's code.
        text: A sentence; never a server's own.
    """
    return f'{{"jsonrpc":"2.0","id":{identity},"error":{dumps({"code": code, "message": text})}}}'.encode()


def _message(text: str, content: Any) -> Message:
    found = whole(text, _REQUEST) if content is None else content
    if not isinstance(found, tuple):
        raise Unreadable("it is no object")
    top = {member.name: member for member in found}
    if "jsonrpc" not in top or top["jsonrpc"].value != "2.0":
        raise Unreadable("it is no JSON-RPC 2.0")
    held = top["params"].value if "params" in top else ()
    params = inside(top.get("params"))
    is_clear = len(top) == len(found) and (not isinstance(held, tuple) or len(params) == len(held))
    return Message(text=text, top=top, params=params, is_clear=is_clear)
