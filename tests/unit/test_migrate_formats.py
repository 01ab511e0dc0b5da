"""Every format of `import`: what holds for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.errors import HatchlockError
from hatchlock.migrate.formats import FORMATS
from hatchlock.migrate.model import Format, Reading
from support import imports

each_format = pytest.mark.parametrize("kind", FORMATS, ids=[kind.name for kind in FORMATS])


@each_format
@given(data=st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_no_file_is_too_strange_to_be_asked(kind: Format, data: bytes) -> None:
    for name in ("file", "file.json", "file.yaml", "file.toml"):
        kind.matches(Path(name), data)


BROKEN = [
    b"",
    b"{",
    b"[",
    b"\xff\xfe",
    b"a: [",
    b"null",
    b"[]",
    b"{}",
    b"a: &a [*a]",
    b'{"servers": {"a": null}}',
    b"servers: 1",
]
"""What no tool would take, or what it takes for nothing."""


@each_format
@pytest.mark.parametrize("data", BROKEN)
def test_what_is_broken_is_an_error_of_ours_with_a_place(kind: Format, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(data)
    reading = read_or_refused(kind, path, data)
    assert reading is None or reading.servers == () or kind.name == "finch"  # an empty file of finch-mcp is a whole one


def read_or_refused(kind: Format, path: Path, data: bytes) -> Reading | None:
    """What is read; None if it is refused, with what to do about it."""
    try:
        return kind.read(path, data)
    except HatchlockError as error:
        refused = error
    assert refused.hint
    assert refused.place is None or refused.place.file
    return None


def files() -> list[Path]:
    return sorted(
        path
        for path in imports.IMPORTS.rglob("*")
        if path.is_file() and path.suffix in {".json", ".yaml", ".yml", ".toml"}
    )


@pytest.mark.parametrize("path", files(), ids=[str(path.relative_to(imports.IMPORTS)) for path in files()])
def test_a_file_that_is_cut_off_anywhere_is_read_or_refused(path: Path) -> None:
    data = path.read_bytes()
    kind = next((kind for kind in FORMATS if kind.matches(path, data)), None)
    if kind is None:
        return
    for end in range(0, len(data), max(1, len(data) // 8)):
        reading = read_or_refused(kind, path, data[:end])
        if reading is not None:
            imports.manifest(reading)
