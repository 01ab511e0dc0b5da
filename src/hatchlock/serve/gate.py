"""What passes between an application and a server whose tools are pinned, allowed or denied: every listing, every call.

Pure: lines in, verdicts out. What was found is reported to whoever asked for it. It holds what a client may read against the
pins, not what it should have asked for: a listing counts in whatever answer it comes, as often as it comes
([0053](../../../docs/decisions/0053-what-run-lets-through.md)).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hatchlock.errors import HatchlockError, RefusedError
from hatchlock.serve.judging import Finding, Judge, counted, listed, unclear
from hatchlock.serve.lines import LONGEST_MESSAGE
from hatchlock.serve.messages import Answer, Request, answers_in, id_key, may_list, requests_in
from hatchlock.serve.outline import Edit, Unreadable, edited
from hatchlock.serve.passage import Verdict
from hatchlock.state.surfaces import Difference
from hatchlock.surface import SurfaceRules

__all__ = ["Gate", "Report", "SurfaceDiffers"]

Report = Callable[[Difference, tuple[str, ...]], None]
"""Takes what differs, with lines on it for people; an empty difference when a whole listing of tools was as it was pinned."""

_LISTINGS = {"tools/list": "tools", "prompts/list": "prompts"}
_CALLS = {"tools/call": "tools", "prompts/get": "prompts"}
_GREETINGS = frozenset({"initialize", "server/discover"})
_MOST_PAGES = 100
# what a server writes there goes on to the application
_USUAL_ID = re.compile(r"-?[0-9]{1,20}|\"[ !#-\[\]-~]{0,128}\"", re.ASCII)

_UNREADABLE, _INVALID, _NOT_OFFERED, _WITHHELD = -32700, -32600, -32602, -32001


@dataclass(kw_only=True, eq=False)
class SurfaceDiffers(HatchlockError):
    """A server offers something else than was pinned, so its session was ended."""

    code: ClassVar[str] = "surface-differs"
    exit_status: ClassVar[int] = RefusedError.exit_status

    server: str
    difference: Difference

    def __str__(self) -> str:
        parts = [f"{word}: {listed(names)}" for _, word, names in counted(self.difference)]
        return f"what it offers is not what was pinned ({'; '.join(parts)}), so its session was ended"

    def _hint(self) -> str:
        return (
            f"what it said is in `hatchlock logs {self.server}`; if it may offer that, pin it: "
            f"`hatchlock pin {self.server}`, then `hatchlock apply`; "
            'or have what was not pinned left out: tools = { changed = "filter" }'
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose answer tells what a server is. `kind` is "" for one that is no listing."""

    id: str
    kind: str
    cursor: str


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of a listing have named so far, and whether all of it was right."""

    names: frozenset[str] = frozenset()
    right: bool = True


class Gate:
    """A `Passage` that holds a session against a server's rules.

    The application's lines come in one thread and the server's in another: what the first writes down, the second takes away,
    one entry at a time, and a request is written down before the server has it.
    """

    def __init__(self, rules: SurfaceRules, *, server: str, report: Report) -> None:
        """Begin a session.

        Args:
            rules: What may pass.
            server: Whose they are.
            report: Called in the server's thread, for each answer that differs, and at the end of a listing that does not.
        """
        self._rules = rules
        self._server = server
        self._report = report
        self._judge = Judge(rules)
        self._asked: dict[object, _Asked] = {}
        self._pages: dict[tuple[str, str], _Pages] = {}
        self._is_over = False
        # without pins there is nothing to refuse a server for
        self._changed: Literal["refuse", "filter", "warn"] = "filter" if rules.pins is None else rules.changed
        self._withholds = bool(rules.allow or rules.deny)

    def sent(self, line: bytes) -> Verdict:
        """Let an application's line pass, but calls of what is not offered, and what cannot be told from these."""
        if self._is_over:
            return Verdict()
        try:
            text = _decoded(line)
            requests = requests_in(text)
        except Unreadable:
            return self._not_understood(line)
        kept, answers = [], b""
        for request in requests:
            if error := self._refusal(request):
                answers += _error(request.id, *error) if request.id else b""
            else:
                kept.append(request)
        for request in kept:
            self._note(request)
        if len(kept) == len(requests):
            return Verdict(line)
        return Verdict(_only(text, kept), answers)

    def received(self, line: bytes) -> Verdict:
        """Let a server's message pass, as far as it may."""
        if self._is_over:
            return Verdict()
        if not may_list(line):
            return Verdict(line)
        try:
            text = _decoded(line)
            answers = answers_in(text)
            findings = [self._found(text, answer) for answer in answers]
        except Unreadable as error:
            text, answers = line.decode(errors="replace"), ()
            findings = [unclear(text, str(error))]
        difference = Difference.joined(finding.difference for finding in findings)
        ids = [known for answer in answers if answer.id and (known := self._asked_id(answer.id))]
        if difference:
            self._report(difference, tuple(line for finding in findings for line in finding.details))
        return self._verdict(line, text, findings, difference, ids)

    def _asked_id(self, written: str) -> str:
        """Forget what was asked with this id, and return how it was written there; of what was not written down, as here."""
        asked = self._asked.pop(id_key(written), None)
        if asked:
            return asked.id
        return written if _USUAL_ID.fullmatch(written) else ""

    def _verdict(
        self, line: bytes, text: str, findings: Sequence[Finding], difference: Difference, ids: Sequence[str]
    ) -> Verdict:
        if difference and self._changed == "refuse":
            self._is_over = True
            reason = SurfaceDiffers(address=f"server:{self._server}", server=self._server, difference=difference)
            return Verdict(b"", self._errors(ids, difference), reason)
        is_filtered = self._changed == "filter"
        if any(finding.unclear for finding in findings) and (is_filtered or self._withholds):
            return Verdict(b"", self._errors(ids, difference))
        edits: list[Edit] = [
            edit for finding in findings for edit in (finding.filtered if is_filtered else finding.hidden)
        ]
        return Verdict(edited(text, edits).encode() if edits else line)

    def _errors(self, ids: Iterable[str], difference: Difference) -> bytes:
        message = self._withheld(difference)
        return b"".join(_error(written, _WITHHELD, message) for written in ids)

    def _withheld(self, difference: Difference) -> str:
        """Return what an application, and its model, may know: counts, and names that were approved."""
        parts = []
        for count, word, names in counted(difference):
            known = [name for name in names if self._judge.is_pinned(name) and word != "added" and " " in name]
            parts.append(f"{count} {word}" + (f" ({listed(known)})" if known else ""))
        return (
            f"hatchlock withholds this answer: what {self._server} offers is not what was pinned: {', '.join(parts)}. "
            f"Its user finds out with: hatchlock logs {self._server}"
        )

    # The application's side

    def _not_understood(self, line: bytes) -> Verdict:
        if not self._guards:
            return Verdict(line)
        del line
        return Verdict(b"", _error("null", _UNREADABLE, "hatchlock passes on what is JSON, one message a line"))

    @property
    def _guards(self) -> bool:
        """Whether there is anything that may not be called."""
        return self._withholds or (self._rules.pins is not None and self._changed != "warn")

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        if not self._guards:
            return None
        if request.unclear:
            return _INVALID, f"hatchlock does not pass on a message that can be read in two ways: {request.unclear}"
        kind = _CALLS.get(request.method)
        if kind is None or (request.name is not None and self._judge.permits_call(kind, request.name)):
            return None
        if kind == "prompts" and self._rules.pins is None:
            return None
        return _NOT_OFFERED, f"hatchlock: {self._server} does not offer that {kind[:-1]} here"

    def _note(self, request: Request) -> None:
        kind = _LISTINGS.get(request.method, "")
        if request.id and (kind or request.method in _GREETINGS):
            self._asked[id_key(request.id)] = _Asked(request.id, kind, request.cursor)

    # The server's side

    def _found(self, text: str, answer: Answer) -> Finding:
        found = self._judge.of(text, answer)
        asked = self._asked.get(id_key(answer.id)) if answer.id else None
        if found.unclear or asked is None or self._rules.pins is None:
            return found
        if not asked.kind:
            introduces = answer.member("capabilities") is not None and answer.member("instructions") is None
            return _both(found, self._judge.without_instructions()) if introduces else found
        return self._paged(found, asked, answer.cursor) if asked.kind in found.names else found

    def _paged(self, found: Finding, asked: _Asked, cursor: str) -> Finding:
        """Add what is missing, if this is the last page of a listing whose pages were all seen."""
        before = self._pages.get((asked.kind, asked.cursor)) if asked.cursor else _Pages()
        if before is None:
            return found
        pages = _Pages(before.names | found.names[asked.kind], before.right and not found.difference)
        if cursor:
            if len(self._pages) >= _MOST_PAGES:
                del self._pages[next(iter(self._pages))]
            self._pages[asked.kind, cursor] = pages
            return found
        missing = self._judge.missing(asked.kind, pages.names)
        if asked.kind == "tools" and pages.right and not missing.difference:
            self._report(Difference(), ())
        return _both(found, missing)


def _both(found: Finding, more: Finding) -> Finding:
    """Return what was found with more that differs and cannot be left out."""
    return Finding(
        difference=found.difference | more.difference,
        details=(*found.details, *more.details),
        hidden=found.hidden,
        filtered=found.filtered,
        names=found.names,
    )


def _decoded(line: bytes) -> str:
    if len(line) > LONGEST_MESSAGE:
        raise Unreadable("it is too long")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("it is no UTF-8") from error


def _only(text: str, kept: Sequence[Request]) -> bytes:
    """Return a batch with only some of its messages; nothing where none is left."""
    return f"[{','.join(text[item.at : item.end] for item in kept)}]\n".encode() if kept else b""


def _error(written_id: str, code: int, message: str) -> bytes:
    """Return an error for a request whose id was written so."""
    return f'{{"jsonrpc":"2.0","id":{written_id},"error":{{"code":{code},"message":{json.dumps(message)}}}}}\n'.encode()
