"""339 entries of public catalogues and documentation: what becomes of each."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from hatchlock.clients.shape import Address, Start
from hatchlock.manifest.edit import add_tables
from hatchlock.manifest.load import loads
from hatchlock.migrate.merging import Found, Origin, merged
from hatchlock.migrate.model import Left, Proposed
from hatchlock.migrate.translate import translated
from support.source_tree import ROOT

MANIFEST = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
ROWS: list[dict[str, Any]] = json.loads((ROOT / "fixtures" / "imports" / "entries.json").read_text())


def meant(entry: dict[str, Any]) -> Start | Address:
    if "url" in entry:
        transport: Any = "sse" if entry.get("type") == "sse" else "http"
        return Address(url=entry["url"], transport=transport, headers=entry.get("headers", {}))
    return Start(command=entry["command"], args=tuple(entry.get("args", ())), env=entry.get("env", {}))


@pytest.fixture(scope="module")
def found() -> list[Proposed | Left]:
    return [translated(meant(row["entry"]), name=row["name"], line=number) for number, row in enumerate(ROWS, 1)]


def test_every_entry_has_its_source_and_is_there_once() -> None:
    assert all(row["source"] and row["name"] for row in ROWS)
    assert len({json.dumps(row, sort_keys=True) for row in ROWS}) == len(ROWS) == 339


def test_each_is_a_server_or_says_why_not(found: list[Proposed | Left]) -> None:
    kinds = Counter(
        "left" if isinstance(item, Left) else "url" if "url" in item.fields else _kind(item.fields) for item in found
    )
    assert kinds == {"npm": 108, "url": 74, "program": 51, "pypi": 50, "left": 30, "oci": 19, "git": 7}
    for row, item in zip(ROWS, found, strict=True):
        if isinstance(item, Left):
            assert item.what.startswith(f"`{row['name']}`: ")
            assert item.line == ROWS.index(row) + 1


def _kind(fields: Any) -> str:
    return str(fields.get("source", "program:")).partition(":")[0]


def test_those_that_are_left_have_one_of_these_reasons(found: list[Proposed | Left]) -> None:
    reasons = (
        "of the server looks like a secret",
        "holds a variable",
        "is named by a variable",
        "is a script of the shell",
        "uses a container that somebody else has made",
        "is a gateway to several servers",
        "http can be read and changed",
        "has the option -y",
    )
    whats = [item.what for item in found if isinstance(item, Left)]
    assert [what for what in whats if not any(reason in what for reason in reasons)] == []


def test_one_manifest_has_them_all(found: list[Proposed | Left]) -> None:
    proposed = [item for item in found if isinstance(item, Proposed)]
    servers = merged(Found(server=item, origin=Origin(file="f", line=item.line, entry=item.name)) for item in proposed)
    tables = {item.name: item.as_fields(dict.fromkeys(item.secrets, "keyring:value")) for item in servers}
    loaded = loads(add_tables(MANIFEST, "servers", tables), shown="m")
    assert set(loaded.manifest.servers) == set(tables)
    assert len(tables) > 280  # some entries are in several catalogues


def test_no_secret_of_an_entry_is_in_its_server(found: list[Proposed | Left]) -> None:
    text = repr([item for item in found if isinstance(item, Proposed)])
    invented = {"1f9b27c4", "Tr0ub4dor3", "9f1c27c4d8e04b7a", "eyJhbGciOiJIUzI1NiJ9"}
    assert {value for value in invented if value in json.dumps(ROWS)} == invented
    assert [value for value in invented if value in text and value != "1f9b27c4"] == []
    assert [item for item in text.split("'") if "1f9b27c4d8e0" in item] == []
