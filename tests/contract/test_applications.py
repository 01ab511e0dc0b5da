"""`docs/reference/clients.md` says of each application what the catalogue does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.usecases import plan
from support.source_tree import ROOT

PAGE = ROOT / "docs/reference/clients.md"


def table(head: str, rows: Iterator[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows]) + "\n"


def _files() -> Iterator[str]:
    for client in CLIENTS.values():
        linux, darwin = client.user_files["linux"], client.user_files["darwin"]
        user = f"`~/{linux}`" + (f", on a Mac `~/{darwin}`" if darwin != linux else "")
        moved = f" (`${'`, `$'.join(client.variables)}`)" if client.variables else ""
        project = f"`{client.project_file}`" if client.project_file else "none"
        yield f"| `{client.name}` | {client.title} | {user}{moved} | {project} |"


def _limits() -> Iterator[str]:
    for client in CLIENTS.values():
        sentences = [client.no_project, *client.quirks]
        yield f"| `{client.name}` | {', '.join(client.lacks) or 'nothing'} | {'; '.join(filter(None, sentences))} |"


def _fields() -> Iterator[str]:
    for client in CLIENTS.values():
        for name, field in client.fields.items():
            yield f"| `{client.name}` | `{name}` | {field} | {field.about} |"


def _proofs() -> Iterator[str]:
    for client in CLIENTS.values():
        program = f"{client.tried.program} {client.tried.version}" if client.tried else ""
        yield f"| `{client.name}` | {client.proof('user')} | {client.proof('project')} | {program} |"


def _checked(client: Client) -> str:
    pages = "<br>".join(client.checked.pages)
    return f"| `{client.name}` | {pages or 'none'} | {client.checked.on} | {client.checked.unproved} |"


TABLES = {
    "Files": table("| name | application | user's file | project's file |", _files()),
    "What they cannot do": table("| name | cannot | what surprises |", _limits()),
    "Fields of their own": table("| name | field | holds | meaning |", _fields()),
    "What each has shown": table("| name | user's file | project's file | program |", _proofs()),
    "What this was compared with": table("| name | pages | on | not proved |", map(_checked, CLIENTS.values())),
}


@pytest.mark.parametrize("heading", TABLES)
def test_the_reference_has_what_the_catalogue_says(heading: str) -> None:
    part = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    assert TABLES[heading] in part


def test_the_memory_of_a_target_depends_on_every_variable_that_moves_a_file() -> None:
    assert {name for client in CLIENTS.values() for name in client.variables} <= set(plan._VARIABLES)
