"""Images as requirements: what a spec says, and which tag it means."""

from __future__ import annotations

import pytest

from hatchlock.address import BadSource
from hatchlock.sources.oci_tags import UnknownTag, choose_tag, declared_oci, fitting_tags

WEB = (
    *("1", "1-alpine", "1.25", "1.25-alpine", "1.25.1", "1.25.2", "1.25.3", "1.25.3-alpine", "1.25.3-alpine3.18"),
    *("1.26", "1.26.0", "1.27", "1.27.0", "1.27.0-alpine", "1.27.0-bookworm-perl", "1.27.1", "1.27.1-alpine"),
    *("alpine", "latest", "mainline", "stable", "stable-alpine"),
)
SYSTEM = ("20190228", "20240923", "3", "3.18", "3.18.9", "3.19", "3.19.4", "3.20", "3.20.3", "edge", "latest")
LANGUAGE = (
    *("3", "3-slim", "3.11", "3.11-slim", "3.11.9", "3.11.9-slim", "3.12", "3.12.4", "3.12.4-slim", "3.13-rc"),
    *("3.13.0b3", "3.13.0b3-slim", "3.13-rc-slim", "latest", "slim"),
)
TOOL = ("v0.9.0", "v0.10.0", "0.11.0", "v0.11.0", "v1", "v1.0.0-rc.1", "sha-1a2b3c4", "1234567", "main", "latest")


def chosen(spec: str, tags: tuple[str, ...]) -> str:
    return choose_tag(declared_oci(spec), tags, registry="registry.example.com")


@pytest.mark.parametrize(
    ("spec", "tags", "expected"),
    [
        ("web>=1.25.0", WEB, "1.27.1"),
        ("web", WEB, "latest"),
        ("web:stable", WEB, "stable"),
        ("web==1.25.3", WEB, "1.25.3"),
        ("web<1.27", WEB, "1.26.0"),
        ("web!=1.27.1,>=1.25", WEB, "1.27.0"),
        ("web ~= 1.25.1", WEB, "1.25.3"),
        ("web==1.25.*", WEB, "1.25.3"),
        ("web==1.25", WEB, "1.25"),
        ("web==1.27.1,!=1.26", WEB, "1.27.1"),
        ("web:alpine>=1.25", WEB, "1.27.1-alpine"),
        ("web>=1.25-alpine,<1.27", WEB, "1.25.3-alpine"),
        ("web==1.25.3-alpine", WEB, "1.25.3-alpine"),
        ("web:alpine3.18>1", WEB, "1.25.3-alpine3.18"),
        ("system>=3.18", SYSTEM, "3.20.3"),
        ("system>=20200101", SYSTEM, "20240923"),
        ("language>=3.11", LANGUAGE, "3.12.4"),
        ("language>=3.11-slim", LANGUAGE, "3.12.4-slim"),
        ("tool>=0.9", TOOL, "v1"),
        ("tool<1", TOOL, "0.11.0"),
        ("tool<0.11", TOOL, "v0.10.0"),
        ("tool==v0.11.0", TOOL, "0.11.0"),
    ],
)
def test_a_requirement_means_the_highest_version_that_does_not_move(
    spec: str, tags: tuple[str, ...], expected: str
) -> None:
    assert chosen(spec, tags) == expected


@pytest.mark.parametrize(
    ("spec", "tags", "near"),
    [
        ("web==1.25.0", WEB, ("1", "1.25", "1.25.1", "1.25.2", "1.25.3")),
        ("web>=2", WEB, ("1.27", "1.27.0", "1.27.1")),
        ("web:perl>=1", WEB, ("1", "1-alpine", "1.25")),
        ("web:lates", WEB, ("latest",)),
        ("web:1.25.4", WEB, ("1.25.1", "1.25.2", "1.25.3", "1.26", "1.26.0", "1.27")),
        ("tool>=2,!=3", TOOL, ("v0.11.0", "0.11.0", "v1")),
        ("tool>=7654321", TOOL, ("0.11.0", "v1", "1234567")),
        ("tool:none", ("x", "y"), ("x", "y")),
    ],
)
def test_what_does_not_exist_is_refused_with_the_tags_around_it(
    spec: str, tags: tuple[str, ...], near: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownTag) as caught:
        chosen(spec, tags)
    assert caught.value.near == near
    assert str(caught.value) == f"registry.example.com has no image {declared_oci(spec)}"
    assert caught.value.hint == f"tags that it has: {', '.join(near)}"


def test_all_that_fit_are_told_the_best_first() -> None:
    assert fitting_tags(declared_oci("web>=1.25.3"), WEB) == ("1.27.1", "1.27.0", "1.26.0", "1.25.3")
    assert fitting_tags(declared_oci("web==1.25"), WEB) == ("1.25",)
    assert fitting_tags(declared_oci("web>9"), WEB) == ()


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("spec", "name", "version", "bounds"),
    [
        ("nginx>=1.25.0", "nginx", "", ">=1.25.0"),
        ("nginx!=1.27.0,>=1.25", "nginx", "", "!=1.27.0,>=1.25"),
        ("docker.io/library/nginx==1.25.3", "nginx", "", "==1.25.3"),
        ("docker.io/team/app", "team/app", "latest", ""),
        ("library/nginx:1", "nginx", "1", ""),
        ("library/team/app:1", "library/team/app", "1", ""),
        ("GHCR.io/x/y:1.2", "ghcr.io/x/y", "1.2", ""),
        (f"ghcr.io/x/y@{DIGEST}", "ghcr.io/x/y", DIGEST, ""),
        (f"localhost:5000/library/x:1@{DIGEST}", "localhost:5000/library/x", f"1@{DIGEST}", ""),
        ("registry.example.com:5000/x >= 1", "registry.example.com:5000/x", "", ">=1"),
    ],
)
def test_a_name_has_one_spelling_and_what_follows_says_which_image(
    spec: str, name: str, version: str, bounds: str
) -> None:
    found = declared_oci(spec)
    assert (found.name, found.version, found.bounds) == (name, version, bounds)
    assert declared_oci(str(found)).name == name


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "no image"),
        (">=1.2", "no image"),
        ("Nginx>=1", "no image reference"),
        ("nginx>=", "'>=' is no bound"),
        ("nginx>=1.2,", "one of its bounds is empty"),
        ("nginx=1.2", "'=1.2' is no bound"),
        ("nginx===1.2", "is no bound"),
        ("nginx>=1.2; rm", "is no bound"),
        ("nginx>=1.2.*", "are no bounds as in PEP 440"),
        (f"nginx@{DIGEST}>=1", "a digest is one image"),
        ("nginx:1.25>=1", "asks for the tag 1.25 and for bounds at once"),
        ("nginx:latest>=1", "asks for the tag latest and for bounds at once"),
        ("nginx:alpine>=1-slim", "several suffixes: alpine, slim"),
        ("nginx>=" + "9" * 5000, "is no bound"),
    ],
)
def test_what_is_no_requirement_is_refused_with_the_reason(spec: str, words: str) -> None:
    with pytest.raises(BadSource, match=words) as caught:
        declared_oci(spec)
    assert caught.value.hint


def test_a_tag_that_is_known_is_compared_with_the_bounds() -> None:
    bounded, plain = declared_oci("web:alpine>=1.25,<2"), declared_oci("web:1.2")
    assert [bounded.allows(tag) for tag in ("1.26-alpine", "v1.26-alpine", "1.26", "2-alpine", "latest", DIGEST)] == [
        *(True, True, False, False, False, False)
    ]
    assert (plain.allows("1.2"), plain.allows("1.2.0")) == (True, False)
