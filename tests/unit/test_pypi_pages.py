from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.version import Version

from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python.simple import ProjectPage

URL = "https://example.com/simple/thing/"


def _file(name: str, **more: Any) -> dict[str, Any]:
    return {"filename": name, "url": f"https://example.com/files/{name}", "hashes": {"sha256": "AB" * 32}, **more}


def _page(*files: dict[str, Any], api: str = "1.1") -> ProjectPage:
    document = {"meta": {"api-version": api}, "name": "thing", "files": list(files)}
    return ProjectPage.from_json(json.dumps(document).encode(), URL)


def test_versions_are_newest_first_by_pep_440() -> None:
    names = ["1.9", "1.10", "2.0a1", "1!0.1", "2.0", "1.10.post1"]
    page = _page(*(_file(f"thing-{name}-py3-none-any.whl") for name in names))
    assert [str(version) for version in page.versions] == ["1!0.1", "2.0", "2.0a1", "1.10.post1", "1.10", "1.9"]


def test_names_that_are_no_package_files_and_versions_that_are_none_are_left_out() -> None:
    names = ["thing-1.0.exe", "thing-1.0-py3.egg", "thing-what-py3-none-any.whl", "thing.whl", "thing-1.0.tar.gz.asc"]
    assert list(_page(*(_file(name) for name in names)).versions) == []


def test_two_spellings_of_one_version_are_one_version() -> None:
    page = _page(_file("thing-1.0-py3-none-any.whl"), _file("thing-1.0.0.tar.gz"))
    assert len(page.versions) == 1
    assert [file.name for file in page.files(Version("1.0"))] == ["thing-1.0-py3-none-any.whl", "thing-1.0.0.tar.gz"]


def test_a_local_version_is_read_from_its_escaped_name() -> None:
    page = _page(_file("thing-1.0+cu118-cp311-cp311-linux_x86_64.whl"))
    assert list(page.versions) == [Version("1.0+cu118")]


def test_the_facts_of_a_file_are_read() -> None:
    page = _page(
        _file(
            "thing-1.0-py3-none-any.whl",
            **{
                "requires-python": ">=3.10",
                "size": 7,
                "yanked": "broken",
                "upload-time": "2026-01-01T00:00:00Z",
                "core-metadata": {"sha256": "cd" * 32},
            },
        )
    )
    (file,) = page.files(Version("1.0"))
    assert (file.sha256, file.size, file.requires_python) == ("ab" * 32, 7, ">=3.10")
    assert (file.yanked, file.uploaded, file.core_metadata) == (True, "2026-01-01T00:00:00Z", "cd" * 32)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ""),
        ({"core-metadata": True}, "?"),
        ({"core-metadata": False, "dist-info-metadata": True}, ""),
        ({"dist-info-metadata": {"sha256": "x"}}, "x"),
    ],
)
def test_core_metadata_goes_before_its_old_name(keys: dict[str, Any], expected: str) -> None:
    (file,) = _page(_file("thing-1.0-py3-none-any.whl", **keys)).files(Version("1.0"))
    assert file.core_metadata == expected


def test_a_relative_address_is_relative_to_the_page() -> None:
    file = _file("thing-1.0.zip") | {"url": "../../files/thing-1.0.zip"}
    assert _page(file).files(Version("1.0"))[0].url == "https://example.com/files/thing-1.0.zip"


def test_a_page_survives_the_cache() -> None:
    page = _page(
        _file("thing-1.0-py3-none-any.whl", size=7), _file("thing-2.0-py3-none-any.whl"), _file("thing-2.0.zip")
    )
    again = ProjectPage.from_cache(page.to_cache())
    assert list(again.versions) == list(page.versions)
    assert [again.files(version) for version in again.versions] == [page.files(version) for version in page.versions]
    assert again.to_cache() == page.to_cache()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"meta": {}, "files": []}', b"<html>", b'{"meta": 1, "files": 2}']
)
def test_something_else_than_a_page_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer, match=r"example\.com/simple/thing"):
        ProjectPage.from_json(data, URL)


def test_another_major_version_of_the_api_is_refused_and_a_minor_one_is_not() -> None:
    assert list(_page(_file("thing-1.0.zip"), api="1.9").versions) == [Version("1.0")]
    with pytest.raises(BadAnswer, match=r"version 2\.0"):
        _page(api="2.0")


def test_an_html_page_gives_the_same_facts() -> None:
    digest = "ab" * 32
    text = f"""<!DOCTYPE html><html><body>
    <a href="../../files/thing-1.0-py3-none-any.whl#sha256={digest}" data-requires-python="&gt;=3.10" data-yanked="bad"
       data-core-metadata="sha256=12">thing</a>
    <a href="https://example.org/thing-1.1.tar.gz">thing</a></body></html>"""
    page = ProjectPage.from_html(text.encode(), URL)
    (wheel,) = page.files(Version("1.0"))
    assert wheel.url == "https://example.com/files/thing-1.0-py3-none-any.whl"
    assert (wheel.sha256, wheel.requires_python, wheel.yanked, wheel.core_metadata) == (digest, ">=3.10", True, "12")
    (sdist,) = page.files(Version("1.1"))
    assert (sdist.url, sdist.sha256, sdist.yanked) == ("https://example.org/thing-1.1.tar.gz", "", False)


@pytest.mark.parametrize("directory", ["../../", "/etc/cron.d/", "a/", "..\\\\", "-"])
def test_a_file_whose_name_leads_elsewhere_does_not_exist(directory: str) -> None:
    assert list(_page(_file(f"{directory}thing-1.0-py3-none-any.whl")).versions) == []


@pytest.mark.parametrize("digest", [5, None, "", "../../../precious", "ab" * 31, "ab" * 32 + "/.."])
def test_what_is_no_sha256_is_none(digest: object) -> None:
    page = _page(_file("thing-1.0-py3-none-any.whl", hashes={"sha256": digest}, size="7"))
    (file,) = page.files(Version("1.0"))
    assert (file.sha256, file.size) == ("", 0)


def test_why_a_file_was_yanked_and_whether_it_is_signed_is_read() -> None:
    page = _page(
        _file("thing-1.0-py3-none-any.whl", yanked="broken", provenance="https://example.com/p"),
        _file("thing-1.1-py3-none-any.whl", yanked=True, provenance=None, **{"gpg-sig": True}),
        _file("thing-1.2-py3-none-any.whl"),
    )
    facts = [
        (file.yanked, file.yanked_reason, file.signature) for version in page.versions for file in page.files(version)
    ]
    assert facts == [(False, "", "unsigned"), (True, "", "signed"), (True, "broken", "attested")]


def test_an_html_page_says_the_same_of_them() -> None:
    text = """<a href="thing-1.0.zip" data-yanked="" data-gpg-sig="true">thing</a>
    <a href="thing-1.1.zip" data-yanked="bad" data-provenance="https://example.com/p">thing</a>"""
    page = ProjectPage.from_html(text.encode(), URL)
    facts = [
        (file.yanked, file.yanked_reason, file.signature) for version in page.versions for file in page.files(version)
    ]
    assert facts == [(True, "bad", "attested"), (True, "", "signed")]


def test_an_address_loses_its_password() -> None:
    page = _page(_file("thing-1.0.zip") | {"url": "https://anna:geheim@example.com/thing-1.0.zip"})
    assert page.files(Version("1.0"))[0].url == "https://example.com/thing-1.0.zip"


def test_a_wheel_with_a_malformed_build_tag_does_not_exist() -> None:
    assert list(_page(_file("thing-1.0-x1-py3-none-any.whl")).versions) == []


@pytest.mark.parametrize("change", [{"url": 5}, {"hashes": None}, {"url": None}])
def test_a_file_that_is_none_is_reported_when_it_is_asked_for(change: dict[str, Any]) -> None:
    page = _page(_file("thing-1.0.zip") | change, _file("thing-2.0.zip"))
    assert page.files(Version("2.0"))
    with pytest.raises(BadAnswer, match=r"example\.com/simple/thing"):
        page.files(Version("1.0"))
