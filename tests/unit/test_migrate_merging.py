"""Names of servers that import reads are such that one apply can put them into the files that have the entries."""

from __future__ import annotations

import pytest

from hatchlock.migrate.merging import Found, Origin, merged
from hatchlock.migrate.model import Proposed


def found(entry: str, name: str, source: str, *, file: str = "cursor") -> Found:
    server = Proposed(name=name, found_as=entry, line=1, fields={"source": source})
    return Found(server=server, origin=Origin(file=file, line=1, entry=entry, client=file, record=f"{file}/user/f"))


@pytest.mark.parametrize("is_first", [True, False])
def test_a_server_gets_no_name_that_another_entry_of_its_file_has(is_first: bool) -> None:
    items = [found("Weird Name!", "weird-name", "pypi:a"), found("weird-name", "weird-name", "pypi:b")]
    names = {server.fields["source"]: server.name for server in merged(items if is_first else items[::-1])}
    assert names == {"pypi:a": "weird-name-cursor", "pypi:b": "weird-name"}


def test_entries_that_would_change_places_are_called_otherwise() -> None:
    usual = [found("b", "b", "pypi:a", file=file) for file in ("zed", "vscode")]
    usual += [found("a", "a", "pypi:b", file=file) for file in ("zed", "vscode")]
    servers = merged([found("a", "a", "pypi:a"), found("b", "b", "pypi:b"), *usual])
    assert len(servers) == 2
    assert not {server.name for server in servers} & {"a", "b"}


def test_a_name_that_an_entry_of_another_file_has_is_free() -> None:
    servers = merged([found("A!", "a", "pypi:a"), found("b", "b", "pypi:b", file="zed")])
    assert [server.name for server in servers] == ["a", "b"]
