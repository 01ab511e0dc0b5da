"""What people paste: an application's JSON (all of it, or one entry), TOML or YAML, a link, or a command line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.shape import Start
from hatchlock.manifest.takeover import CannotTakeOver, server_from_source
from hatchlock.migrate import json_lines
from hatchlock.migrate.adding import added, is_adding
from hatchlock.migrate.applications import read_application
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.links import entry_in_link, is_link
from hatchlock.migrate.model import Left, Proposed, Reading
from hatchlock.migrate.no_servers import mistyped, no_servers
from hatchlock.migrate.recognise import application_like
from hatchlock.migrate.snippets import command_of, unfenced
from hatchlock.migrate.translate import translated
from hatchlock.place import Place

__all__ = ["PASTED", "is_pasted", "pasted", "pasted_words"]

PASTED = "pasted"
"""What its places call it."""

_TITLE = "what was pasted"
_ADVICE = 'paste {"mcpServers": {"NAME": {"command": "…", "args": ["…"]}}}, or a command line behind --'
_WHOLE = "paste all of it, from its first line to its last; or mend it, if it is all"
_ADDRESSES = ("url", "serverUrl", "httpUrl", "uri")


def is_pasted(text: str) -> bool:
    """Return whether what stands where a source may stand is something that was pasted."""
    start = text.lstrip()
    if start.startswith(("{", "[", '"', "`", "$ ")) or is_link(start):
        return True
    words = start.split()
    return len(words) > 1 and (is_adding(words) or "\n" in start)


def pasted(text: str, *, name: str = "") -> Reading:
    """Return the servers of what was pasted.

    Args:
        text: JSON, TOML or YAML of any application, or one entry of such a file; a link; a command line.
        name: What an entry is called that does not say it itself.

    Returns:
        Its servers, with their lines in the text.

    Raises:
        Unreadable: It is of no form that is known, or broken; with the line.
        CannotTakeOver: It is a command line with something that is not known.
    """
    text = unfenced(text, file=PASTED)
    start = text.strip()
    if is_link(start):
        return _link(start, name=name)
    if start.startswith("{"):
        return _json(text, name=name)
    if start.startswith('"'):  # a member, cut out of its object
        return _json("{" + text.rstrip().rstrip(",") + "}", name=name)
    if start.startswith("["):
        return _file(text, "pasted.json" if _is_list(start) else "pasted.toml")
    if re.match(r"[\w-]+:\s*(#.*)?\n", start):
        return _file(text, "pasted.yaml")
    words = command_of(text, file=PASTED)
    found = pasted_words(words, name=name)
    if not is_adding(words):
        _refuse_prose(found)
    return found


def pasted_words(words: Sequence[str], *, name: str = "", directory: str = "") -> Reading:
    """Return the servers of a command line: what it starts, or what it gives to an application.

    Args:
        words: The command line, split.
        name: What the server is called, where nothing else says it.
        directory: Where it was typed; "" where nobody knows.

    Raises:
        Unreadable: JSON in it is broken.
        CannotTakeOver: It has something that is not known.
    """
    if not words or not words[0]:
        raise CannotTakeOver(what="there is no command", advice="write hatchlock add -- COMMAND ARGUMENT…")
    if not is_adding(words):
        start = Start(command=words[0], args=tuple(words[1:]))
        return _reading([translated(start, name=name, directory=directory)])
    readings = [
        _json(item.text, name=item.name or name)
        if item.server is None
        else _reading([translated(item.server, name=item.name)])
        for item in added(words)
    ]
    return Reading(
        file=PASTED,
        title=_TITLE,
        servers=tuple(server for reading in readings for server in reading.servers),
        left=tuple(left for reading in readings for left in reading.left),
    )


def _is_list(text: str) -> bool:
    """Whether it is a list in JSON, also a broken one, and not the head of a table in TOML."""
    return re.match(r"\[\s*([\[{\"\d\]]|$)", text) is not None and re.match(r"\[+[\w.\"-]+\]", text) is None


def _refuse_prose(found: Reading) -> None:
    for server in found.servers:
        program = server.fields.get("command")
        if isinstance(program, str) and shutil.which(program) is None:
            raise CannotTakeOver(
                what=f"there is no program {program!r} on this machine",
                advice="if it is a command all the same: hatchlock add -- COMMAND ARGUMENT…; else paste an application's JSON",
            )


def _reading(found: Iterable[Proposed | Left]) -> Reading:
    everything = list(found)
    return Reading(
        file=PASTED,
        title=_TITLE,
        servers=tuple(item for item in everything if isinstance(item, Proposed)),
        left=tuple(item for item in everything if isinstance(item, Left)),
    )


def _link(text: str, *, name: str) -> Reading:
    found = entry_in_link(text)
    if found is None:
        raise Unreadable(
            place=Place(file=PASTED), why="the link holds no server", advice="paste the JSON that it is for"
        )
    own, entry = found
    return _json(json.dumps(entry), name=name or own)


def _json(text: str, *, name: str) -> Reading:
    value = _loaded(text)
    if _is_entry(value) and not mistyped(value):
        shown = name or (value["name"] if isinstance(value.get("name"), str) else "")
        found = _file('{"mcpServers": {' + json.dumps(shown or "server") + ": " + text.rstrip() + "\n}}", "pasted.json")
        return found if shown else replace(found, servers=tuple(map(_named, found.servers)))
    if isinstance(value, dict) and value and all(_is_entry(item) for item in value.values()):
        text = '{"mcpServers": ' + text.rstrip() + "\n}"
    return _file(text, "pasted.json")


def _loaded(text: str) -> Any:
    try:
        return json_lines.load(text.encode(), file=PASTED).value
    except Unreadable as problem:
        problem.advice = problem.advice or _WHOLE
        raise


def _named(server: Proposed) -> Proposed:
    """Return a server with a name of what it is, where nobody has given it one."""
    place = str(server.fields.get("source") or server.fields.get("url") or "")
    return replace(server, name=server_from_source(place)[0]) if place else server


def _is_entry(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    command = value.get("command")
    return isinstance(command, (str, list)) or any(isinstance(value.get(key), str) for key in _ADDRESSES)


def _file(text: str, name: str) -> Reading:
    path, data = Path(name), text.encode()
    client = application_like(path, data)
    if client is None:
        raise no_servers(data, name=name, file=PASTED, advice=_ADVICE, mend=_WHOLE) or AssertionError(name)
    try:
        return read_application(client, data, file=PASTED, is_its_own=False).reading
    except Unparsable as problem:
        place = Place(file=PASTED, line=problem.line)
        raise Unreadable(place=place, why=f"it cannot be read: {problem.why}") from problem
