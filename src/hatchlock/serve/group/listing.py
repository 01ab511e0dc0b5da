"""Listings of a group: what its servers list, all pages of all of them, as one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hatchlock.serve.envelope import Message, dumps
from hatchlock.serve.group.asking import Asking, Gathering, Out, Take
from hatchlock.serve.group.owners import Owners
from hatchlock.serve.group.shapes import KINDS, Freshness, Page, page_of
from hatchlock.serve.lines import LONGEST_MESSAGE

__all__ = ["Listing"]

_MOST_PAGES = 1000


class Listing:
    """Puts listings together.

    Args:
        asking: Asks servers.
        owners: Told whose everything is.
    """

    def __init__(self, asking: Asking, owners: Owners) -> None:
        self._asking = asking
        self._owners = owners
        self._noted: set[str] = set()

    def begin(self, message: Message, servers: Sequence[str], out: Out) -> None:
        """Ask servers for all that they list; the client gets one page when all of it is there."""
        method = message.method

        def done(gathering: Gathering, out: Out) -> None:
            texts = [text for server in sorted(gathering.pieces) for text in gathering.pieces[server]]
            result = f'{{"{KINDS[method].listed}":[{",".join(texts)}]{_kept_for(gathering.fresh)}}}'
            out.put("", f'{{"jsonrpc":"2.0","id":{gathering.raw},"result":{result}}}')

        def text(number: int) -> str:
            return _request(number, method)

        self._asking.gather(message, servers, text, lambda server: self._take(server, method, 1), out=out, done=done)

    def _take(self, server: str, method: str, number: int) -> Take:
        def take(gathering: Gathering, answer: Message | None, out: Out) -> bool:
            gathering.fresh.append(None)  # what is left out may be there the next time
            try:
                page = page_of(answer, KINDS[method]) if answer else None
            except ValueError as error:
                self._note(f"{method} of {server} is left out: {error}", out)
                return True
            if page is None:
                self._note(f"{method} of {server} is left out: it did not answer", out)
                return True
            if number == 1:
                self._owners.forget(server, KINDS[method].listed)
            texts = list(self._kept(server, method, page, out))
            gathering.size += sum(map(len, texts))
            if gathering.size > LONGEST_MESSAGE:
                self._note(f"{method} of {server} is left out: with it the answer is too long for a message", out)
                return True
            gathering.pieces.setdefault(server, []).extend(texts)
            gathering.fresh[-1] = page.fresh
            if not page.cursor:
                return True
            if number >= _MOST_PAGES:
                self._note(f"{method} of {server} has more than {_MOST_PAGES} pages: the rest is left out", out)
                gathering.fresh.append(None)
                return True

            def text(identity: int) -> str:
                return _request(identity, method, {"cursor": page.cursor})

            self._asking.ask_for(gathering, server, text, self._take(server, method, number + 1), out)
            return False

        return take

    def _kept(self, server: str, method: str, page: Page, out: Out) -> Iterator[str]:
        kind = KINDS[method]
        if page.unclear:
            self._note(f"{method} of {server}: {page.unclear} without a clear {kind.named} are left out", out)
        for definition in page.definitions:
            if kind.named == "name":
                yield definition.renamed(dumps(self._owners.name(kind.listed, server, definition.name)))
            elif self._owners.own(kind.listed, server, definition.name):
                yield definition.text
            else:
                self._note(f"{method} of {server}: what another server has listed too is left out", out)

    def _note(self, text: str, out: Out) -> None:
        """Say something, once: clients list again and again."""
        if text not in self._noted:
            self._noted.add(text)
            out.notes.append(text)


def _kept_for(pages: Sequence[Freshness | None]) -> str:
    """Return, as members of a result, how long all of it may be kept; "" where one of its pages does not say so."""
    known = [page for page in pages if page]
    if not known or len(known) < len(pages):
        return ""
    scope = "public" if all(page.public for page in known) else "private"
    return f',"ttlMs":{min(page.milliseconds for page in known)},"cacheScope":"{scope}"'


def _request(number: int, method: str, params: Mapping[str, Any] | None = None) -> str:
    return dumps({"jsonrpc": "2.0", "id": number, "method": method, **({"params": params} if params else {})})
