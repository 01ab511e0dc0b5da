"""What the tools and prompts of several servers are called where they are offered together: `SERVER__TOOL`.

Clients put a prefix of their own before a name, models take 64 characters of `A-Z a-z 0-9 _ -`, and a name that is longer
fails the whole session in some of them. So a name that would not do gets one that does, with digits of its hash behind it.
Where names are parted can always be told: no server's label has two underscores, or one at its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256

__all__ = ["LONGEST", "labels", "offered", "parted"]

LONGEST = 50
"""Characters of a name: what 64 leave for `mcp__GROUP__` and the like."""

_PARTING = "__"
_LONGEST_LABEL = 24
_DIGITS = 10
_OTHERS = re.compile(r"[^A-Za-z0-9_-]")
_CODED = re.compile(rf".*_[0-9a-f]{{{_DIGITS}}}", re.DOTALL)


def labels(servers: Iterable[str]) -> Mapping[str, str]:
    """Return server -> what its names begin with: its own name where that will do, no two the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    # whoever can have its own name keeps it, whatever others are called
    for server in sorted(servers, key=lambda name: (not _is_label(name), name)):
        label, salt = server if _is_label(server) else _coded(server, server, _LONGEST_LABEL), 0
        while label in taken:
            salt += 1
            label = _coded(server, f"{server}\0{salt}", _LONGEST_LABEL)
        taken.add(label)
        found[server] = label
    return found


def offered(label: str, name: str) -> str:
    """Return what a server's tool or prompt is called, given the server's label.

    No two tools of different servers have one name, and none of one server that differ in theirs, as far as a hash tells.
    """
    plain = f"{label}{_PARTING}{name}"
    if name and len(plain) <= LONGEST and not _OTHERS.search(name) and not _CODED.fullmatch(name):
        return plain
    return f"{label}{_PARTING}{_coded(name, name, LONGEST - len(label) - len(_PARTING))}"


def parted(text: str) -> tuple[str, str]:
    """Return the label of a name that is offered, and the name that it stands for; "" where only who has listed it knows.

    What is no such name has the label "".
    """
    label, parting, name = text.partition(_PARTING)
    if not parting:
        return "", ""
    return label, "" if _CODED.fullmatch(name) else name


def _is_label(name: str) -> bool:
    usual = bool(name) and len(name) <= _LONGEST_LABEL and not _OTHERS.search(name)
    return usual and _PARTING not in name and not name.endswith("_")


def _coded(text: str, hashed: str, longest: int) -> str:
    digits = sha256(hashed.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    kept = re.sub("__+", "_", _OTHERS.sub("_", text))[: longest - _DIGITS - 1].strip("_")
    return f"{kept}_{digits}"
