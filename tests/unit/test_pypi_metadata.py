from __future__ import annotations

import pytest

from hatchlock.sources.python.metadata import WheelMetadata, is_static, read_scripts


def _parse(*lines: str) -> WheelMetadata:
    return WheelMetadata.parse("\n".join(["Metadata-Version: 2.4", "Name: thing", *lines]).encode())


def test_requirements_extras_and_python_are_read_as_written() -> None:
    found = _parse(
        "Requires-Dist: a>=1", "Requires-Dist: b ; extra == 'x'", "Requires-Python: >=3.10", "Provides-Extra: x"
    )
    assert found.requires_dist == ("a>=1", "b ; extra == 'x'")
    assert (found.requires_python, found.extras) == (">=3.10", ("x",))


def test_the_description_is_no_header() -> None:
    assert _parse("", "Requires-Dist: trap").requires_dist == ()


def test_crlf_and_folded_lines_are_read() -> None:
    data = b"Metadata-Version: 2.1\r\nName: thing\r\nAuthor: Anna\r\n  Berta\r\n\r\nText"
    assert WheelMetadata.parse(data).authors == "Anna Berta"


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: MIT", "License: other"], "MIT"),
        (["License: BSD"], "BSD"),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"], "MIT License"),
        (["License: Permission is hereby granted,\n        free of charge"], ""),
        ([], ""),
    ],
)
def test_the_licence_is_the_expression_else_short_words_else_the_classifier(lines: list[str], licence: str) -> None:
    assert _parse(*lines).licence == licence


@pytest.mark.parametrize(
    ("lines", "authors"),
    [
        (["Author: Anna", "Author-email: a@example.com"], "Anna"),
        (['Author-email: "Anna, B." <a@example.com>'], "Anna, B."),
        (["Author-email: a@example.com"], "a@example.com"),
        (["Maintainer: Berta"], "Berta"),
        ([], ""),
    ],
)
def test_the_authors_is_the_author_else_the_maintainer(lines: list[str], authors: str) -> None:
    assert _parse(*lines).authors == authors


@pytest.mark.parametrize(
    ("lines", "repository"),
    [
        (["Project-URL: Source Code, https://example.com/r"], "https://example.com/r"),
        (
            ["Project-URL: Docs, https://example.com/d", "Project-URL: Repository, https://example.com/r"],
            "https://example.com/r",
        ),
        (["Home-page: https://github.com/a/b"], "https://github.com/a/b"),
        (["Home-page: https://example.com/"], ""),
    ],
)
def test_the_repository_is_a_labelled_url_or_a_home_on_a_forge(lines: list[str], repository: str) -> None:
    assert _parse(*lines).repository == repository


def test_a_file_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="Name"):
        WheelMetadata.parse(b"Version: 1")


@pytest.mark.parametrize("scripts", [None, {}, {"a": "m:f"}])
def test_it_survives_the_cache_and_unknown_scripts_stay_unknown(scripts: dict[str, str] | None) -> None:
    metadata = WheelMetadata.parse(b"Name: thing\nRequires-Dist: a\n", scripts=scripts)
    assert WheelMetadata.from_json(metadata.to_json()) == metadata


def test_console_scripts_keep_their_case_and_lose_their_extras() -> None:
    text = b"[gui_scripts]\nwin = m:g\n[console_scripts]\nThing = m.n:f [extra]\nother=m:o\n"
    assert read_scripts(text) == {"Thing": "m.n:f", "other": "m:o"}


def test_no_console_scripts_are_none() -> None:
    assert read_scripts(b"[pytest11]\nx = y\n") == {}


def test_a_broken_entry_points_file_is_refused() -> None:
    with pytest.raises(ValueError, match="section"):
        read_scripts(b"thing = m:f\n")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Metadata-Version: 2.2", True),
        ("Metadata-Version: 2.10", True),
        ("Metadata-Version: 2.1", False),
        ("Name: thing", False),
        ("Metadata-Version: 2.4\nDynamic: License\nDynamic: Version", True),
        ("Metadata-Version: 2.4\nDynamic: Provides-Extra", False),
    ],
)
def test_metadata_of_a_source_distribution_is_static_by_pep_643(lines: str, expected: bool) -> None:
    assert is_static(lines.encode()) == expected
