"""Several servers as one, as a value that changes: what a client and each server say goes in, what is to be passed on comes out.

No input or output, no clock. Messages pass with another id, and with another name where a tool or prompt is meant; what is
put together anew are the answers to `initialize` and to listings.

    client ── 7 ──▶ router ── 31 ──▶ a server        each request gets an id of ours, and its answer the old one again
    client ◀─ 9 ─── router ◀── 2 ─── a server        so do the requests of servers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hatchlock.serve.envelope import Message, dumps, error_line, inside, messages_of
from hatchlock.serve.group.asking import Asking, Gathering, Out, Take
from hatchlock.serve.group.eras import VERSION, WITH_SESSIONS, demands, without_inputs
from hatchlock.serve.group.greeting import greeting
from hatchlock.serve.group.listing import Listing
from hatchlock.serve.group.names import labels
from hatchlock.serve.group.owners import Owners
from hatchlock.serve.group.shapes import KINDS, Hello, hello_of

__all__ = ["NAMED", "Router"]

_GONE, _PARSE, _INVALID, _NO_METHOD, _PARAMS, _NOT_FOUND = -32000, -32700, -32600, -32601, -32602, -32002
NAMED: Mapping[str, str] = {"tools/call": "tools", "prompts/get": "prompts"}
"""What is called by its name -> among what that name is one."""

_MOST_DEMANDING = 1000
_ADDRESSED = ("resources/read", "resources/subscribe", "resources/unsubscribe")
_TELL = ("prompts", "resources", "tools")


class Router:
    """What a group is made of, and what everybody waits for. Not safe for several threads.

    Args:
        group: Its name.
        servers: The names of its servers.
        version: Of what speaks for them.
        patience: Server -> seconds that it may take to answer `initialize` or a listing.
    """

    def __init__(self, group: str, servers: Iterable[str], *, version: str, patience: Mapping[str, float]) -> None:
        self._group = group
        self._version = version
        self._labels = labels(servers)
        self._present = sorted(self._labels)
        self._hellos: dict[str, Hello] = {}
        self._asking = Asking(patience)
        self._owners = Owners(self._labels)
        self._listing = Listing(self._asking, self._owners)
        self._of_servers: dict[int, tuple[str, str, str]] = {}
        self._demanding: dict[str, str] = {}
        self._held: list[Message] | None = []
        self._methods: Mapping[str, Callable[[Message, Out], None]] = {
            **dict.fromkeys(KINDS, self._list),
            **dict.fromkeys(NAMED, self._by_name),
            **dict.fromkeys(_ADDRESSED, self._by_address),
            "completion/complete": self._complete,
            "logging/setLevel": self._set_level,
        }

    @property
    def is_settled(self) -> bool:
        """Whether nothing has to be put together any more, and nobody waits for that."""
        return self._asking.is_idle and not self._held

    @property
    def present(self) -> Sequence[str]:
        """The servers that belong to it still."""
        return tuple(self._present)

    def working(self, server: str) -> Sequence[Any]:
        """Return the ids of the requests of the client's that a server works on, by itself; the oldest first."""
        return self._asking.working(server)

    def is_unlisted(self, method: str, name: str) -> bool:
        """Whether a name is one of which only a listing says what it stands for, and there was none yet."""
        return self._owners.is_unlisted(NAMED[method], name)

    def sent(self, line: bytes, now: float) -> Out:
        """Take a line of the client's. `now` is of a clock that only goes on, as for every method."""
        self._asking.now, out = now, Out()
        try:
            messages = messages_of(line)
        except ValueError:
            out.put("", error_line("null", _PARSE, "it is no message of JSON-RPC 2.0"))
            return out
        for message in messages:
            self._from_client(message, out)
        return out

    def said(self, server: str, line: bytes, now: float) -> Out:
        """Take a line of a server's; of one that was left out nothing counts."""
        self._asking.now, out = now, Out()
        if server not in self._present:
            return out
        try:
            messages = messages_of(line)
        except ValueError:
            return out
        for message in messages:
            if message.is_answer:
                self._asking.answer(server, message, out)
            elif message.is_request:
                self._request(server, message, out)
            else:
                self._notification(server, message, out)
        return out

    def ended(self, server: str, now: float, *, quietly: bool = False) -> Out:
        """A server has ended: whoever waits for it is told; the client, that there is less now, unless `quietly`."""
        self._asking.now, out = now, Out()
        if server not in self._present:
            return out
        self._present.remove(server)
        self._owners.forget(server)
        hello = self._hellos.pop(server, None)
        self._asking.give_up(server, out)
        for number in [number for number, asked in self._of_servers.items() if asked[0] == server]:
            del self._of_servers[number]
            params = {"requestId": number, "reason": "the server has ended"}
            out.put("", dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
        if hello and self._held is None and not quietly:
            for name in _TELL:
                if name in hello.capabilities:
                    out.put("", dumps({"jsonrpc": "2.0", "method": f"notifications/{name}/list_changed"}))
        return out

    def passed(self, now: float) -> Out:
        """Time has passed: go on without those who have not answered what has to be put together."""
        self._asking.now, out = now, Out()
        self._asking.give_up_late(out)
        return out

    # What the client says

    def _from_client(self, message: Message, out: Out) -> None:
        if message.is_answer:
            self._answer_of_client(message, out)
        elif message.method == "ping" and message.is_request:
            _answer(message.raw_id, "{}", out)
        elif message.method == "initialize" and message.is_request:
            self._initialize(message, out)
        elif self._held is not None:
            self._held.append(message)  # nobody knows yet what the servers can
        elif not message.is_request:
            self._tell(message, out)
        elif not message.is_clear:
            _refuse(message, _INVALID, "a member is there twice", out)
        elif method := self._methods.get(message.method):
            method(message, out)
        else:
            _refuse(message, _NO_METHOD, "a group of servers has no such method", out)

    def _initialize(self, message: Message, out: Out) -> None:
        if self._held is None or not self._asking.is_idle:
            _refuse(message, _INVALID, "it was initialized already", out)
            return
        present = tuple(self._present)
        known = (*WITH_SESSIONS, message.param("protocolVersion"))

        def take(server: str) -> Take:
            return self._hear(server, known)

        self._asking.gather(message, present, self._same(message), take, out=out, done=self._greet)

    @staticmethod
    def _same(message: Message) -> Callable[[int], str]:
        return lambda number: message.with_id(str(number))

    def _hear(self, server: str, known: Sequence[str | None]) -> Take:
        def take(_: Gathering, answer: Message | None, out: Out) -> bool:
            why = "it has ended, or not answered in time"
            try:
                hello = hello_of(answer) if answer else None
            except ValueError as error:
                hello, why = None, str(error)
            if hello and hello.protocol in known:
                self._hellos[server] = hello
                return True
            if hello:  # with it, all others would be told to speak that
                why = "it wants to speak a version of the protocol that nobody knows"
            out.left_out.append((server, why))
            return True

        return take

    def _greet(self, gathering: Gathering, out: Out) -> None:
        self._present = [server for server in self._present if server in self._hellos]
        held, self._held = self._held or [], None
        if self._hellos:
            _answer(gathering.raw, dumps(greeting(self._group, self._version, self._hellos, self._labels)), out)
        else:
            text = f"no server of the group {self._group} answers; stderr says why"
            out.put("", error_line(gathering.raw, _GONE, text))
        for message in held:
            self._from_client(message, out)

    def _list(self, message: Message, out: Out) -> None:
        if "cursor" in message.params:
            _refuse(message, _PARAMS, "that cursor is none of ours: all is on one page", out)
        else:
            self._listing.begin(message, self._able(KINDS[message.method].capability), out)

    def _by_name(self, message: Message, out: Out) -> None:
        kind = NAMED[message.method]
        found = self._owners.named(kind, message.param("name") or "")
        if found is None or found[0] not in self._present:
            _refuse(message, _PARAMS, f"there is no {kind[:-1]} of that name; list them again", out)
        else:
            self._asking.ask(found[0], message, out, (message.params["name"], dumps(found[1])))

    def _by_address(self, message: Message, out: Out) -> None:
        address, able = message.param("uri") or "", self._able("resources")
        owner = self._demanding.get(address)
        servers = [owner] if owner is not None and owner in able else self._having(address, able)
        if len(servers) > 1 or owner not in {None, *servers}:
            message = without_inputs(message)  # what was meant for one of them is nothing for the others
        self._try(message, servers, out)

    def _complete(self, message: Message, out: Out) -> None:
        ref = inside(message.params.get("ref"))
        able = self._able("completions")
        name, address = message.scalar(ref.get("name")), message.scalar(ref.get("uri"))
        found = self._owners.named("prompts", name) if isinstance(name, str) else None
        if found and found[0] in able:
            self._asking.ask(found[0], message, out, (ref["name"], dumps(found[1])))
        elif isinstance(address, str):
            self._try(message, self._having(address, able), out)
        else:
            _refuse(message, _PARAMS, "there is nothing of that name that could be completed", out)

    def _having(self, address: str, able: Sequence[str]) -> Sequence[str]:
        owner = self._owners.of_address(address)
        return [owner] if owner is not None and owner in able else able

    def _try(self, message: Message, servers: Sequence[str], out: Out, error: Message | None = None) -> None:
        """Ask the first of some servers; after an error the next one, where nobody knows whose a resource is."""
        if not servers:
            if error is None:
                _refuse(message, _NOT_FOUND, "no server of the group has that resource", out)
            else:
                out.put("", error.with_id(message.raw_id))
            return

        def answered(answer: Message | None, out: Out) -> None:
            if answer is None or "error" in answer.top:
                self._try(message, [item for item in servers[1:] if item in self._present], out, answer or error)
            else:
                self._remember(message, servers[0], answer)
                out.put("", answer.with_id(message.raw_id))

        self._asking.ask(servers[0], message, out, answered=answered)

    def _remember(self, message: Message, server: str, answer: Message) -> None:
        """Keep which server has demanded something for a resource, until it is read."""
        if message.method != "resources/read" or VERSION not in message.meta:
            return  # with a session it is asked of the client
        address = message.param("uri") or ""
        self._demanding.pop(address, None)
        if demands(answer):
            self._demanding[address] = server
            if len(self._demanding) > _MOST_DEMANDING:
                del self._demanding[next(iter(self._demanding))]

    def _set_level(self, message: Message, out: Out) -> None:
        self._asking.gather(
            message,
            self._able("logging"),
            self._same(message),
            lambda _: lambda _gathering, _answer, _out: True,
            out=out,
            done=lambda gathering, out: _answer(gathering.raw, "{}", out),
        )

    def _tell(self, message: Message, out: Out) -> None:
        if message.method == "notifications/cancelled":
            self._asking.cancel(message, out)
        elif message.method == "notifications/progress":
            place, number = message.token_place, message.progress_token
            server, _, token = self._of_servers.get(number, ("", "", "")) if isinstance(number, int) else ("", "", "")
            if place and token:
                out.put(server, message.with_words([(place, token)]))
        else:
            for server in self._present:
                out.put(server, message.text)

    def _answer_of_client(self, message: Message, out: Out) -> None:
        found = self._of_servers.pop(message.id, None) if isinstance(message.id, int) else None
        if found:
            out.put(found[0], message.with_id(found[1]))

    # What a server says

    def _request(self, server: str, message: Message, out: Out) -> None:
        """Pass a server's request on; what names its progress has to differ from what others call theirs."""
        number = self._asking.number()
        place = message.token_place
        self._of_servers[number] = (server, message.raw_id, message.written(place) if place else "")
        out.put("", message.with_id(str(number), *([(place, str(number))] if place else [])))

    def _notification(self, server: str, message: Message, out: Out) -> None:
        if message.method != "notifications/cancelled":
            out.put("", message.text)
            return
        place = message.params.get("requestId")
        for number, (owner, raw, _) in list(self._of_servers.items()):
            if place and (owner, raw) == (server, message.written(place)):
                del self._of_servers[number]
                out.put("", message.with_words([(place, str(number))]))

    def _able(self, capability: str) -> Sequence[str]:
        return [server for server in self._present if capability in self._hellos[server].capabilities]


def _answer(raw: str, result: str, out: Out) -> None:
    out.put("", f'{{"jsonrpc":"2.0","id":{raw},"result":{result}}}')


def _refuse(message: Message, code: int, why: str, out: Out) -> None:
    out.put("", error_line(message.raw_id, code, why))
