from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.manifest.model import moment, seconds
from hatchlock.usecases.manifest import ManifestExists, add, init, remove, validate

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_init_writes_a_manifest_and_what_git_has_to_know(tmp_path: Path) -> None:
    directory = tmp_path / "Acme Agents"
    directory.mkdir()
    written = init(directory)

    assert [path.name for path in written] == ["hatchlock.toml", ".gitattributes", ".gitignore"]
    assert (directory / ".gitattributes").read_text() == "hatch.lock linguist-generated=true\n"
    assert (directory / ".gitignore").read_text() == "hatchlock.local.toml\n"
    loaded = validate(directory / "hatchlock.toml")
    assert loaded.manifest.project.name == "acme-agents"
    assert loaded.manifest.project.platforms != ()
    assert loaded.warnings == ()
    assert written[0].stat().st_mode & 0o777 == 0o644


def test_init_keeps_what_the_git_files_hold(tmp_path: Path) -> None:
    (tmp_path / ".gitattributes").write_bytes(b"* text=auto\r\n*.png binary")
    (tmp_path / ".gitignore").write_text("build/\nhatchlock.local.toml\n*.log\n")
    (tmp_path / ".gitattributes").chmod(0o600)
    written = init(tmp_path, name="p", platforms=["linux/arm64"])

    assert [path.name for path in written] == ["hatchlock.toml", ".gitattributes"]
    assert (tmp_path / ".gitattributes").read_bytes() == (
        b"* text=auto\r\n*.png binary\r\nhatch.lock linguist-generated=true\r\n"
    )
    assert (tmp_path / ".gitignore").read_text() == "build/\nhatchlock.local.toml\n*.log\n"
    assert (tmp_path / ".gitattributes").stat().st_mode & 0o777 == 0o600


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "hatchlock.toml").write_text("mine")
    with pytest.raises(ManifestExists):
        init(tmp_path)

    assert (tmp_path / "hatchlock.toml").read_text() == "mine"
    assert not (tmp_path / ".gitignore").exists()


@pytest.mark.parametrize("arguments", [{"name": "Not A Name"}, {"platforms": ["windows/amd64"]}])
def test_init_writes_nothing_that_the_manifest_would_not_accept(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ManyErrors):
        init(tmp_path, **arguments)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", datetime(2026, 2, 22, 12, tzinfo=UTC)),
        ("12h", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_exclude_newer_means_a_moment_in_utc(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected
    assert moment(text, NOW.astimezone(timezone(timedelta(hours=5)))) == expected
    assert moment(text, NOW).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "7", "7y", "2026-02-30", "2026-01-31T12:00:00", "999999w"])
def test_anything_else_means_no_moment(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text, NOW)


def test_durations_are_in_seconds() -> None:
    assert [seconds(text) for text in ("30s", "10m", "12h", "7d", "2w")] == [30, 600, 43200, 604800, 1209600]


def test_the_values_need_no_schema_library() -> None:
    program = """
        import sys
        import hatchlock.manifest.model, hatchlock.manifest.problem, hatchlock.usecases.manifest
        print([name for name in ("pydantic", "tomlkit", "packaging") if name in sys.modules])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "other"), [("hatchlock.manifest.load", "tomlkit"), ("hatchlock.manifest.edit", "pydantic")]
)
def test_reading_and_editing_do_not_load_each_others_library(module: str, other: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print({other!r} in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert result.stdout.strip() == "False"


def test_adding_to_a_manifest_with_mistakes_reports_those_first() -> None:
    with pytest.raises(ManyErrors) as caught:
        add("[project]\nname = 'p'\nnmae = 'q'\n", "x", {"command": "x"})

    assert [str(error.place) for error in caught.value.errors] == ["hatchlock.toml:3"]


def test_a_server_that_the_manifest_would_not_accept_is_not_added() -> None:
    with pytest.raises(ManyErrors) as caught:
        add("[project]\nname = 'p'\n", "Bad Name", {"command": "x"})

    assert "'Bad Name' is no name" in str(caught.value.errors[0])
    assert caught.value.errors[0].place is None  # no file has that line


def test_a_broken_manifest_is_not_edited() -> None:
    with pytest.raises(ManyErrors) as caught:
        remove("[project]\nname = \n", ["x"])

    assert str(caught.value.errors[0].place) == "hatchlock.toml:2"
