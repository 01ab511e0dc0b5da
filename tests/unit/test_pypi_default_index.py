from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.sources.python.default_index import default_index


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr("hatchlock.sources.python.default_index._SYSTEM_FILE", tmp_path / "none")
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path / "none"),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PIP_INDEX_URL": "https://b.example.com/simple"}, "https://b.example.com/simple"),
        (
            {"UV_DEFAULT_INDEX": "https://a.example.com/s", "PIP_INDEX_URL": "https://b.example.com/"},
            "https://a.example.com/s",
        ),
        ({"UV_DEFAULT_INDEX": "main=https://a.example.com/s?x=1"}, "https://a.example.com/s?x=1"),
        ({"UV_DEFAULT_INDEX": "https://a.example.com/s?x=1"}, "https://a.example.com/s?x=1"),
    ],
)
def test_a_variable_goes_first(empty: dict[str, str], variables: dict[str, str], expected: str) -> None:
    assert default_index(empty | variables) == expected


def test_the_main_index_of_pips_configuration_is_used_and_never_an_extra_one(
    empty: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://main.example.com/simple\nextra-index-url = https://extra.example.com/simple\n"
        "find-links = /wheels\n"
    )
    assert default_index(empty) == "https://main.example.com/simple"
    config.write_text("[global]\nextra-index-url = https://extra.example.com/simple\nfind-links = /wheels\n")
    assert "example.com" not in default_index(empty)


def test_without_any_setting_it_is_the_public_index(empty: dict[str, str]) -> None:
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    assert default_index(empty) == PYPI_SIMPLE_ENDPOINT


def test_a_broken_pip_configuration_is_passed_over(empty: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("no section\n")
    assert default_index(empty).startswith("https://")
