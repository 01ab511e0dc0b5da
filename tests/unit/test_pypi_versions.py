from __future__ import annotations

import pytest
from packaging.version import Version

from hatchlock.sources.python import versions as module
from hatchlock.sources.python.versions import Versions

TEXTS = ("2.0", "1.0.post1", "1.0", "0.9")


def test_it_is_a_sequence_of_versions() -> None:
    versions = Versions(TEXTS)
    assert list(versions) == [Version(text) for text in TEXTS]
    assert (len(versions), versions[0], versions[-1]) == (4, Version("2.0"), Version("0.9"))
    assert versions[1:3] == (Version("1.0.post1"), Version("1.0"))
    with pytest.raises(IndexError):
        versions[4]


def test_a_version_is_found_in_any_spelling() -> None:
    versions = Versions(TEXTS)
    assert versions.spelling(Version("1.0.0")) == "1.0"
    assert Version("1.0.0") in versions
    assert Version("1.1") not in versions
    assert "1.0" not in versions


def test_only_what_is_looked_at_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def parse(text: str) -> Version:
        parsed.append(text)
        return Version(text)

    monkeypatch.setattr(module, "Version", parse)
    versions = Versions(TEXTS)
    for _ in range(2):
        next(iter(versions))
    assert parsed == ["2.0"]
