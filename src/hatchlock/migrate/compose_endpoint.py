"""How a service of a compose file is spoken to: over its stdin, or at a port that it publishes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hatchlock.migrate.compose_texts import Texts
from hatchlock.migrate.document import Part
from hatchlock.migrate.model import Left

__all__ = ["endpoint_of"]

_PORT = re.compile(r"(?:(?P<host>\[[^\]]*\]|[^:]*):)?(?:(?P<outside>\d+|):)?(?P<inside>\d+)(?:/(?P<protocol>\w+))?")
_HERE = frozenset({"127.0.0.1", "localhost", "[::1]"})


def endpoint_of(service: Part, texts: Texts, values: Collection[str]) -> tuple[dict[str, Any], list[Left]]:
    """Return the keys of a server that say how it is spoken to, and what of the service's ports is not carried over.

    One whose stdin is kept open is spoken to there, as one without ports. Of several ports that speak TCP it is the one that a
    variable says, else the first.

    Args:
        service: The service.
        texts: Fills its texts.
        values: What its variables say.

    Raises:
        Unreadable: Its ports are no list.
    """
    left: list[Left] = []
    ports = list(_ports(service, texts, left))
    stdin = service.get("stdin_open")
    if ports and stdin and stdin.value is True:
        what = "`ports`: its stdin is kept open, so it is taken to speak there; if not, write transport and port"
        return {}, [*left, Left(line=ports[0][2], what=what)]
    if not ports:
        return {}, left
    inside, outside, _ = next((item for item in ports if str(item[0]) in values), ports[0])
    for number, _, line in ports:
        if number != inside:
            what = f"`ports`: {number}; a server has one port, and {inside} is taken for it"
            left.append(Left(line=line, what=what))
    return {"transport": "http", "port": inside} | ({"host-port": outside} if outside else {}), left


def _ports(service: Part, texts: Texts, left: list[Left]) -> Iterator[tuple[int, int, int]]:
    """Yield the port inside, the one of this machine (0 if none is said), and the line, of each that speaks TCP."""
    for key in ("ports", "expose"):
        part = service.get(key)
        for item in part.each() if part else ():
            match = _PORT.fullmatch(_written(item, texts))
            if match is None or not all(0 < int(match[side] or 1) < 1 << 16 for side in ("inside", "outside")):
                left.append(Left(line=item.line, what=f"`{key}`: it is no single port"))
                continue
            if match["outside"] and match["host"] not in _HERE:
                what = f"`{key}`: it was reached from everywhere; hatchlock's way to it leads from this machine only"
                left.append(Left(line=item.line, what=what))
            if match["protocol"] in {None, "tcp"}:
                yield int(match["inside"]), int(match["outside"] or 0) if key == "ports" else 0, item.line


def _written(item: Part, texts: Texts) -> str:
    """Return a port in the short form, `[HOST:]PUBLISHED:TARGET/PROTOCOL`, with a colon where no host is said."""
    if isinstance(item.value, Mapping):
        given = {key: item.get(key) for key in ("target", "published", "host_ip", "protocol")}
        words = {key: texts.of(part) if part else "" for key, part in given.items()}
        text = ":".join(filter(None, (words["host_ip"], words["published"], words["target"])))
        text += f"/{words['protocol']}" if words["protocol"] else ""
    else:
        text = texts.of(item)
    return f":{text}" if text.count(":") == 1 and text.partition(":")[0].isdigit() else text
