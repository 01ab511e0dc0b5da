"""Why no server was found in a file or a text: it is broken or empty, or one of its words is misspelt or of another form."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import PurePath

from hatchlock.migrate import json_lines, toml_lines, yaml_lines
from hatchlock.migrate.document import Document, Part, Unreadable
from hatchlock.place import Place

__all__ = ["broken", "misspelt", "mistyped", "no_servers"]

_LOAD: Mapping[str, Callable[..., Document]] = {
    ".json": json_lines.load,
    ".jsonc": json_lines.load,
    ".toml": toml_lines.load,
    ".yaml": yaml_lines.load,
    ".yml": yaml_lines.load,
}
_LISTS = ("mcpServers", "mcp_servers", "context_servers", "servers", "extensions")
_OF_ENTRIES = ("command", "args", "url", "serverUrl", "httpUrl")
_FORMS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "command": ("a text", (str, list, Mapping)),
    "args": ("a list", (list,)),
    **dict.fromkeys(("url", "serverUrl", "httpUrl"), ("a text", (str,))),
}
"""Key of an entry -> what it has to be, and what some application takes."""
_CLOSE = 0.75


def no_servers(data: bytes, *, name: str, file: str, advice: str = "", mend: str = "") -> Unreadable | None:
    """Return why there is no server in what has the form of a file of this name.

    Args:
        data: What it holds.
        name: The file's name, whose ending says the form: JSON, TOML or YAML.
        file: What it is called where it is shown.
        advice: What to do about it where it is not broken.
        mend: What to do about it where it is.

    Returns:
        With the line of what is wrong; None if nothing is known of that form.
    """
    if not data.strip():
        return Unreadable(place=Place(file=file), why="it is empty", advice=advice)
    try:
        document = _loaded(data, name=name, file=file)
    except Unreadable as problem:
        problem.advice = problem.advice or mend
        return problem
    if document is None:
        return None
    if found := _mistyped_entry(document.root) or _mistyped_within(document.root) or _misspelt_within(document.root):
        line, why = found
        return Unreadable(place=Place(file=file, line=line), why=f"no server is in it; {why}", advice=advice)
    return Unreadable(place=Place(file=file), why="no server is in it", advice=advice)


def broken(data: bytes, *, name: str, file: str) -> Unreadable | None:
    """Return what is wrong with a file of a form that is known by its name, with the line; None if nothing is."""
    try:
        _loaded(data, name=name, file=file)
    except Unreadable as problem:
        return problem
    return None


def _loaded(data: bytes, *, name: str, file: str) -> Document | None:
    load = _LOAD.get(PurePath(name).suffix.lower())
    return load(data, file=file) if load else None


def misspelt(keys: Collection[object], known: Collection[str] = _OF_ENTRIES) -> tuple[str, str] | None:
    """Return a key that is probably misspelt, and what it was meant to be; None if none is."""
    for key in keys:
        close = get_close_matches(key, known, n=1, cutoff=_CLOSE) if isinstance(key, str) else []
        if close and key not in known and close[0] not in keys:
            return str(key), close[0]
    return None


def mistyped(entry: Mapping[object, object]) -> tuple[str, str] | None:
    """Return a key of an entry whose value no application takes, and what it has to be; None if there is none."""
    for key, (form, types) in _FORMS.items():
        if entry.get(key) is not None and not isinstance(entry[key], types):
            return key, form
    return None


def _mistyped_entry(part: Part) -> tuple[int, str] | None:
    """Return what is wrong with an entry, or with a document that is one; None for everything else."""
    if not isinstance(part.value, Mapping):
        why = f"`{part.key}` has to hold `command` and `args`, or `url`"
        return (part.line, why) if part.path else None
    if not (found := mistyped(part.value)):
        return None
    key, form = found
    whose = f" of `{part.key}`" if part.path else ""
    return part.document.line((*part.path, key)), f"`{key}`{whose} has to be {form}"


def _mistyped_within(part: Part) -> tuple[int, str] | None:
    if not isinstance(part.value, Mapping):
        return None
    check = _mistyped_entry if part.key in _LISTS else _mistyped_within
    return next((found for member in part.members() if (found := check(member))), None)


def _misspelt_within(part: Part) -> tuple[int, str] | None:
    if not isinstance(part.value, Mapping):
        return None
    if found := misspelt(part.value, _LISTS + _OF_ENTRIES):
        key, meant = found
        return part.document.line((*part.path, key)), f"is `{key}` meant to be `{meant}`?"
    return next((below for member in part.members() if (below := _misspelt_within(member))), None)
