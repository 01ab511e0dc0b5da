"""Whatever a document holds, it is read or its mistakes are reported; nothing else happens."""

from __future__ import annotations

import copy
import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatchlock.errors import ManyErrors
from hatchlock.manifest.lines import lines
from hatchlock.manifest.load import load
from hatchlock.manifest.problem import KeyPath

FIXTURES = Path(__file__).parents[2] / "fixtures" / "manifests"
DOCUMENTS = [tomllib.loads((FIXTURES / name).read_text()) for name in ("supported.toml", "later.toml")]
OVERLAY = tomllib.loads(
    """
[defaults]
clients = ["cursor"]
[servers.notes]
runtime = "process"
env.KEY = { secret = "env:KEY" }
sandbox.mounts = [{ source = "/srv", target = "/data" }]
[indexes.pypi]
url = "http://127.0.0.1/simple"
"""
)
WORDS = [
    "",
    "x",
    "pypi:",
    "pypi:a @ b",
    "oci:X",
    "0",
    "99999999999999999999g",
    "0" * 5000,
    "file:",
    "env:",
    "{}{}",
    "\0",
]
SCALARS = (
    st.sampled_from(WORDS)
    | st.integers(-(1 << 62), 1 << 62)
    | st.floats()
    | st.booleans()
    | st.sampled_from([date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), time(1, 2)])
)
VALUES = (
    SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.sampled_from([*WORDS, "source"]), SCALARS, max_size=2)
)


def places(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*path, key), *places(item, (*path, key)))]


def changed(document: dict[str, Any], path: KeyPath, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(document)
    node: Any = result
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return result


@st.composite
def strange(draw: st.DrawFn, document: dict[str, Any]) -> str:
    return tomlkit.dumps(changed(document, draw(st.sampled_from(places(document))), draw(VALUES)))


@given(main=st.sampled_from(DOCUMENTS).flatmap(strange), local=strange(OVERLAY))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_strange_value_anywhere_is_read_or_reported(tmp_path: Path, main: str, local: str) -> None:
    path, overlay = tmp_path / "hatchlock.toml", tmp_path / "hatchlock.local.toml"
    path.write_text(main)
    overlay.write_text(local)
    try:
        loaded = load(path, overlay)
    except ManyErrors as problems:
        shown = [(error.place, str(error)) for error in problems.errors]
        assert all(place is not None and place.line > 0 for place, _ in shown)
        assert all(message for _, message in shown)
    else:
        assert loaded.manifest.project.name


@pytest.mark.parametrize("name", ["supported.toml", "later.toml", "mistakes.toml"])
def test_every_key_of_the_examples_has_its_line(name: str) -> None:
    text = (FIXTURES / name).read_text()
    written = text.splitlines()

    for path, line in lines(text).items():
        if isinstance(path[-1], str):
            assert path[-1] in written[line - 1]
