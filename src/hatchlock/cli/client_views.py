"""How `client` shows applications, their files and entries."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hatchlock.cli.layout import printable, table

if TYPE_CHECKING:
    from hatchlock.usecases.client_entries import Application, ApplicationFile, ListedEntry

__all__ = ["application_lines", "application_to_dict", "by_application", "by_server"]


def application_to_dict(item: Application) -> dict[str, Any]:
    """Return an application as JSON values, without anything that may be a secret."""
    return {
        "name": item.name,
        "title": item.title,
        "installed": item.is_installed,
        "lacks": list(item.lacks),
        "files": [
            {
                "scope": file.scope,
                "path": file.path,
                "directory": file.directory,
                "exists": file.exists,
                "problem": file.problem,
                "servers": [_entry_to_dict(entry) for entry in file.entries],
            }
            for file in item.files
        ],
    }


def _entry_to_dict(entry: ListedEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": entry.state,
        "detail": entry.detail,
        "project": entry.project,
        "server": entry.server,
        "entry": entry.shown,
    }


def by_application(applications: Iterable[Application]) -> str:
    """Return a row for each file of applications."""
    rows = [("APPLICATION", "INSTALLED", "SCOPE", "SERVERS", "OF THEM", "FILE")]
    rows += [
        (
            item.name,
            "yes" if item.is_installed else "no",
            file.scope,
            "?" if file.problem else str(sum(entry.value is not None for entry in file.entries)),
            _counted(file) or "-",
            _place(file),
        )
        for item in applications
        for file in item.files
    ]
    return table(rows)


def by_server(applications: Iterable[Application]) -> str:
    """Return a row for each entry, by the server's name."""
    rows = [
        (printable(entry.name), item.name, file.scope, entry.state, printable(_whose(entry)), printable(entry.detail))
        for item in applications
        for file, entry in item.entries
    ]
    return table([("SERVER", "APPLICATION", "SCOPE", "STATE", "PROJECT", ""), *sorted(rows)])


def application_lines(item: Application) -> Iterator[str]:
    """Yield an application with each of its entries."""
    yield f"{item.title} ({item.name}){'' if item.is_installed else ', not installed'}"
    for file in item.files:
        yield f"  {file.scope}  {_place(file)}"
        if file.problem:
            yield f"    ! {printable(file.problem)}"
        for entry in file.entries:
            yield from _entry_lines(entry)


def _place(file: ApplicationFile) -> str:
    alone = f" (in {printable(file.directory)} alone)" if file.directory else ""
    return f"{printable(file.path)}{alone}{'' if file.exists else ' (not there)'}"


def _entry_lines(entry: ListedEntry) -> Iterator[str]:
    yield f"    {printable(entry.name)}  {entry.state}{f': {printable(entry.detail)}' if entry.detail else ''}"
    for name, value in entry.shown.items() if isinstance(entry.shown, dict) else [("", entry.shown)]:
        yield f"      {f'{printable(str(name))} = ' if name else ''}{_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return printable(value)
    if value and isinstance(value, list) and all(isinstance(word, str) for word in value):
        return printable(shlex.join(value).replace("'…'", "…"))
    return printable(json.dumps(value, ensure_ascii=False))


def _counted(file: ApplicationFile) -> str:
    counted = Counter(entry.state for entry in file.entries)
    return ", ".join(f"{number} {state}" for state, number in sorted(counted.items()))


def _whose(entry: ListedEntry) -> str:
    return entry.project or "-"
