"""Finding a page's files without decoding it gives what decoding it gives, for every page."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python import simple
from hatchlock.sources.python.page_text import outline
from hatchlock.sources.python.simple import IndexFile, ProjectPage

URL = "https://example.com/simple/thing/"

texts = st.text() | st.sampled_from(
    ['}, {"filename": "thing-9-py3-none-any.whl"', '"filename":', "},{", '"files": [', "\\", "}]"]
)
versions = st.sampled_from(["1.0", "1.0.0", "1", "2.0a1", "1!3", "1.0+cpu", "what", "3.0.post1"])
names = st.builds(
    str.format,
    st.sampled_from(
        [
            "thing-{}-py3-none-any.whl",
            "thing-{}.tar.gz",
            "thing-{}-1-py3-none-any.whl",
            "thing-{}.exe",
            "thi ng-{}.zip",
            "größe-{}.zip",
        ]
    ),
    versions,
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=3,
)
files = st.fixed_dictionaries(
    {"filename": names, "url": texts, "hashes": st.dictionaries(st.just("sha256"), texts)},
    optional={
        "core-metadata": st.booleans() | st.dictionaries(st.just("sha256"), texts),
        "yanked": st.booleans() | texts,
        "requires-python": st.none() | texts,
        "more": anything,
    },
)
pages = st.fixed_dictionaries(
    {"meta": st.fixed_dictionaries({"api-version": st.just("1.1")}), "files": st.lists(files, max_size=6)},
    optional={"name": texts, "versions": st.lists(texts), "more": anything},
)


def _read(text: bytes) -> dict[str, tuple[IndexFile, ...]] | None:
    try:
        page = ProjectPage.from_json(text, URL)
        return {str(version): page.files(version) for version in page.versions}
    except BadAnswer:
        return None


def _decoded(text: bytes) -> dict[str, tuple[IndexFile, ...]] | None:
    with mock.patch.object(simple, "outline", return_value=None):
        return _read(text)


def _file(**more: Any) -> dict[str, Any]:
    return {"filename": "thing-1.0-py3-none-any.whl", "url": "a", "hashes": {}, **more}


def _page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"files": list(items), "meta": {"api-version": "1.1"}}


@settings(max_examples=60, deadline=None)
@given(
    page=pages, sort=st.booleans(), indent=st.sampled_from([None, 0, 2]), close=st.booleans(), ascii_only=st.booleans()
)
@example(page=_page(_file(yanked='}, {"filename": "b"'), _file()), sort=True, indent=None, close=False, ascii_only=True)
@example(page=_page(_file(more={"filename": "b"}), _file()), sort=True, indent=None, close=True, ascii_only=True)
@example(page=_page(_file(more=[{"url": 1}, {"url": 2}]), _file()), sort=True, indent=None, close=True, ascii_only=True)
@example(page=_page({"url": "a", "hashes": {}}, _file()), sort=True, indent=None, close=True, ascii_only=True)
def test_the_short_way_through_a_page_leads_to_the_same_files(
    page: dict[str, Any], *, sort: bool, indent: int | None, close: bool, ascii_only: bool
) -> None:
    separators = (",", ":") if close else None
    text = json.dumps(page, sort_keys=sort, indent=indent, separators=separators, ensure_ascii=ascii_only)
    data = text.encode()
    assert _read(data) == _decoded(data)


@settings(max_examples=60, deadline=None)
@given(page=pages, cut=st.integers(min_value=0), put=st.binary(max_size=3))
def test_a_damaged_page_that_can_be_decoded_gives_the_same_files(page: dict[str, Any], cut: int, put: bytes) -> None:
    data = json.dumps(page, sort_keys=True).encode()
    place = cut % (len(data) + 1)
    broken = data[:place] + put + data[place + len(put) :]
    whole = _decoded(broken)
    # what is wrong between the files that are asked for may go unnoticed, but nothing is lost
    assert whole is None or _read(broken) == whole


@settings(max_examples=60, deadline=None)
@given(page=pages)
def test_a_page_is_the_same_from_the_cache(page: dict[str, Any]) -> None:
    data = json.dumps(page, sort_keys=True).encode()
    try:
        fresh = ProjectPage.from_json(data, URL)
    except BadAnswer:
        return
    kept = ProjectPage.from_cache(fresh.to_cache())
    assert list(kept.versions) == list(fresh.versions)
    assert kept.to_cache() == fresh.to_cache()


def test_the_usual_pages_take_the_short_way() -> None:
    page = _page(_file(), _file(filename="thing-1.0.tar.gz"), {"core-metadata": True, **_file()})
    assert outline(json.dumps(page).encode())
    assert outline(json.dumps(page, separators=(",", ":")).encode())
