"""The formats that `import` reads: their names are no application's, and the reference has them."""

from __future__ import annotations

import re

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.migrate.formats import FORMATS, format_of
from hatchlock.migrate.model import Format
from support.source_tree import ROOT


def test_each_has_a_name_of_its_own() -> None:
    names = [item.name for item in FORMATS]
    assert len(names) == len(set(names))
    assert set(names) & CLIENTS.keys() == set()
    assert [format_of(name) for name in names] == list(FORMATS)
    assert format_of("nothing") is None


def test_the_reference_lists_them() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()
    section = text[text.index("### `import`") : text.index("### `search`")]
    assert sorted(re.findall(r"^\* `([a-z-]+)`:", section, re.MULTILINE)) == sorted(item.name for item in FORMATS)


@pytest.mark.parametrize("form", FORMATS, ids=[item.name for item in FORMATS])
def test_files_of_applications_and_odd_ones_are_not_taken_for_theirs(form: Format) -> None:
    files = [path for path in sorted((ROOT / "fixtures/clients").rglob("*")) if path.is_file()]
    assert [path for path in files if form.matches(path, path.read_bytes())] == []
    for data in (b"", b"{}", b"[]", b"null", b"\xff\xfe\x00", b"a: b", b"key = 1", b'{"a": [1, {"b": null}]}', b"- 1"):
        for path in (ROOT / name for name in ("x", "x.json", "x.yaml", "x.toml", "settings.json", "config.yaml")):
            assert not form.matches(path, data), (path, data)
