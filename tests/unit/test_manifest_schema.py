from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from hatchlock.manifest.problem import KeyPath
from hatchlock.usecases.manifest import json_schema

FIXTURES = Path(__file__).parents[2] / "fixtures" / "manifests"


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def objects(node: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(node, dict):
        if "properties" in node:
            yield path, node
        for key, value in node.items():
            yield from objects(value, (*path, key))


@pytest.mark.parametrize("name", ["supported.toml", "later.toml"])
def test_the_json_schema_accepts_what_the_manifest_accepts(validator: Any, name: str) -> None:
    document = tomllib.loads((FIXTURES / name).read_text())

    assert list(validator.iter_errors(document)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\n",
        "[project]\nname = 'Capital'\n",
        "[project]\nname = 'p'\nnmae = 'p'\n",
        "[project]\nname = 'p'\nplatforms = ['windows/amd64']\n",
        "[project]\nname = 'p'\n[servers.x]\ncomand = 'x'\n",
        "[project]\nname = 'p'\n[servers.x]\nargs = 'x'\n",
        "[project]\nname = 'p'\n[servers.x]\nenv.A = { secret = 'value' }\n",
        "[project]\nname = 'p'\n[servers.x.sandbox]\nnetwork = 'all'\n",
        "[project]\nname = 'p'\n[servers.x.sandbox]\npids = 0\n",
        "[project]\nname = 'p'\n[clients.emacs]\n",
    ],
)
def test_the_json_schema_refuses_what_the_manifest_refuses(validator: Any, text: str) -> None:
    assert list(validator.iter_errors(tomllib.loads(text))) != []


def test_the_json_schema_describes_every_key_and_closes_every_table() -> None:
    for path, table in objects(json_schema()):
        assert table.get("additionalProperties") is False, path
        assert table.get("description"), path
        for key, value in table["properties"].items():
            assert value.get("description"), (*path, key)


def test_the_json_schema_knows_no_null() -> None:
    assert "'null'" not in str(json_schema())
