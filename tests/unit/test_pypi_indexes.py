from __future__ import annotations

import pytest

from hatchlock.net.credentials import Credentials
from hatchlock.sources.python.indexes import ClaimedTwice, Indexes, NoIndex, PythonIndex

PUBLIC = PythonIndex(name="pypi", url="https://example.com/simple")


def _own(*packages: str, name: str = "acme") -> PythonIndex:
    return PythonIndex(name=name, url=f"https://{name}.example.com/", packages=packages)


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["acme-*"], "acme-thing", "acme"),
        (["acme-*"], "acme", "pypi"),
        (["Acme.Thing"], "acme-thing", "acme"),
        (["acme_?"], "acme-1", "acme"),
        (["other", "thing"], "Thing", "acme"),
    ],
)
def test_one_index_serves_a_name(patterns: list[str], name: str, expected: str) -> None:
    assert Indexes([PUBLIC, _own(*patterns)], Credentials({})).serving(name).name == expected


def test_two_default_indexes_are_refused() -> None:
    indexes = Indexes([PUBLIC, PythonIndex(name="more", url="https://example.org")], Credentials({}))
    with pytest.raises(ClaimedTwice, match="pypi and more"):
        indexes.serving("thing")


def test_a_name_that_nobody_may_serve_is_refused() -> None:
    with pytest.raises(NoIndex, match="thing"):
        Indexes([_own("acme-*")], Credentials({})).serving("thing")


def test_addresses_end_in_a_slash_and_lose_their_passwords() -> None:
    credentials = Credentials({})
    index = PythonIndex(name="pypi", url="https://a:b@example.com/simple", mirrors=("https://c:d@example.org/x/",))
    assert Indexes([index], credentials).serving("x").bases == ("https://example.com/simple/", "https://example.org/x/")
    assert credentials.authorization("https://example.com/simple/thing/")
    assert credentials.authorization("https://example.org/x/thing/")


@pytest.mark.parametrize(("ttl", "age", "keeps"), [(None, 599, True), (None, 600, False), (5, 4, True), (0, 0, False)])
def test_a_page_is_kept_for_the_ttl(ttl: float | None, age: float, keeps: bool) -> None:
    assert PythonIndex(name="pypi", url="", ttl=ttl).keeps(age) == keeps
