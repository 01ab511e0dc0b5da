"""What runs in a server's network beside it, where that is a container's: it listens for the hosts of the list.

It is sent there as text, to whatever Python an image has, and so imports nothing of ours; and of the standard library only
what is written in C, since the server waits until it listens. Each connection that comes to a listener goes on to a socket of
`run`'s, which is all that this container sees, behind a line that says where it was to go.
`relay.js` does the same in Node.
"""

from __future__ import annotations

import _socket
import select
import sys

CHUNK = 1 << 16
MOST = 200


class Link:
    """Two connections. Of each direction at most one piece is held, so a side that does not read slows down the other."""

    def __init__(self, near: _socket.socket, far: _socket.socket, first: bytes, *, greeted: bool) -> None:
        self.greeted = greeted
        self.ends = (near, far)
        self.pieces = [first, b""]  # what came from this end
        self.over = [False, False]
        for end in self.ends:
            end.setblocking(False)

    def wanted(self, at: int) -> int:
        """Return what to wait for at one end."""
        reads = not self.over[at] and not self.pieces[at]
        return (select.POLLIN if reads else 0) | (select.POLLOUT if self.pieces[1 - at] else 0)

    def step(self, at: int, events: int) -> bool:
        """Do what can be done at one end, and return whether there will be more to do."""
        try:
            if self.pieces[1 - at] and events & ~select.POLLIN:
                sent = self.ends[at].send(self.pieces[1 - at])
                self.pieces[1 - at] = self.pieces[1 - at][sent:]
            elif not self.over[at] and not self.pieces[at] and events & ~select.POLLOUT:
                piece = self.ends[at].recv(CHUNK)
                if at and not self.greeted:
                    self.greeted, self.pieces[at] = True, piece[1:]
                    return piece.startswith(b"+")
                self.pieces[at] = piece
                if not piece:
                    self.over[at] = True
                    self.ends[1 - at].shutdown(_socket.SHUT_WR)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return not all(self.over)


class Relay:
    """All listeners and links, in one loop."""

    def __init__(self, path: str, hosts: dict[str, str]) -> None:
        self.path = path
        self.hosts = hosts
        self.poll = select.poll()
        self.listeners: dict[int, tuple[_socket.socket, bytes]] = {}
        self.links: dict[int, tuple[Link, int]] = {}
        self.waits: dict[int, int] = {}
        self.questions = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
        self.control = _socket.socket(_socket.AF_UNIX)
        self.orders = b""

    def listen(self, family: int, address: str, port: int, first: bytes) -> None:
        """Listen for what is to go on behind a first line."""
        listener = _socket.socket(family, _socket.SOCK_STREAM)
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
        listener.setblocking(False)
        self.listeners[listener.fileno()] = (listener, first)
        self.poll.register(listener, select.POLLIN)

    def run(self) -> None:
        """Say that all is ready, and carry until `run` has gone."""
        self.questions.bind(("127.0.0.1", 53))
        self.control.connect(self.path)
        self.control.sendall(b"ready\n")
        self.poll.register(self.questions, select.POLLIN)
        self.poll.register(self.control, select.POLLIN)
        while True:
            for descriptor, events in self.poll.poll():
                if descriptor == self.control.fileno():
                    if not self.ordered():
                        return
                elif descriptor == self.questions.fileno():
                    self.answer()
                elif descriptor in self.listeners:
                    self.accept(*self.listeners[descriptor])
                elif descriptor in self.links:
                    link, at = self.links[descriptor]
                    self.watch(link) if link.step(at, events) else self.end(link)

    def accept(self, listener: _socket.socket, first: bytes) -> None:
        """Take a connection on."""
        try:
            # what accept() of the module in Python does, which takes 20 ms to load
            descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except OSError:
            return
        near = _socket.socket(fileno=descriptor)
        if len(self.links) >= 2 * MOST:
            near.close()
        else:
            self.link(near, first)

    def link(self, near: _socket.socket, first: bytes, *, greeted: bool = False) -> None:
        """Connect it to `run`."""
        far = _socket.socket(_socket.AF_UNIX)
        try:
            far.connect(self.path)
        except OSError:
            near.close()
            far.close()
            return
        link = Link(near, far, first, greeted=greeted)
        for at, end in enumerate(link.ends):
            self.links[end.fileno()] = (link, at)
        self.watch(link)

    def watch(self, link: Link) -> None:
        """Wait for what a link wants; an end of which nothing is wanted would only be reported again and again."""
        for at, end in enumerate(link.ends):
            wanted = link.wanted(at)
            if wanted == self.waits.get(end.fileno(), 0):
                continue
            self.waits[end.fileno()] = wanted
            if wanted:
                self.poll.register(end, wanted)
            else:
                self.poll.unregister(end)

    def end(self, link: Link) -> None:
        """Forget a link."""
        if not all(link.over):  # a failure, and no end
            link.ends[0].setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for end in link.ends:
            if self.waits.pop(end.fileno(), 0):
                self.poll.unregister(end)
            self.links.pop(end.fileno(), None)
            end.close()

    def ordered(self) -> bool:
        """Do what `run` asks for, `open PORT ID`; return whether it is still there."""
        data = self.control.recv(CHUNK)
        *lines, self.orders = (self.orders + data).split(b"\n")
        for line in lines:
            _, port, number = line.split(b" ")
            near = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            try:
                near.connect(("127.0.0.1", int(port)))
            except OSError:
                near.close()
                self.control.sendall(b"closed %s\n" % number)
                continue
            self.link(near, b"back %s\n" % number, greeted=True)
        return bool(data)

    def answer(self) -> None:
        """Answer a question for a name; of those that are not listed `run` is told."""
        try:
            query, asker = self.questions.recvfrom(4096)
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
                at += 1 + query[at]
            end = at + 5
            name = ".".join(labels)
            address = self.hosts.get(name.lower())
            found = address is not None and query[at + 1 : end] == b"\0\1\0\1"
            code = b"\x81\x83" if address is None else b"\x81\x80"
            record = b""
            if found and address:
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + _socket.inet_aton(address)
            head = query[:2] + code + b"\0\1" + (b"\0\1" if found else b"\0\0") + b"\0\0\0\0"
            self.questions.sendto(head + query[12:end] + record, asker)
            if address is None:
                self.control.send(b"asked %s\n" % name.encode("ascii", "replace").replace(b"\n", b"?"))
        except (OSError, IndexError):
            return


def main(path: str, *items: str) -> None:
    """Listen, and carry until the end.

    Args:
        path: The socket.
        items: `name port address` of each way.
    """
    ways = [(name, int(port), address) for name, port, address in map(str.split, items)]
    relay = Relay(path, {name: address for name, _, address in ways})
    for name, port, address in ways:
        relay.listen(_socket.AF_INET, address, port, b"to %s %d\n" % (name.encode(), port))
    relay.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
