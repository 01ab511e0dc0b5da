"""Addresses, sources, image references, digests and paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.address import Address, BadSource, ImageReference, Kind, ResourceKind, Source
from hatchlock.digest import canonical_json, digest_file, key_of, sha256_bytes
from hatchlock.paths import Home, find_manifest, global_manifest
from hatchlock.place import Place

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "kind", "spec"),
    [
        ("pypi:mcp-server-time>=2026.1", Kind.PYPI, "mcp-server-time>=2026.1"),
        ("npm:@scope/tool@^1.2", Kind.NPM, "@scope/tool@^1.2"),
        ("oci:127.0.0.1:5000/a:1", Kind.OCI, "127.0.0.1:5000/a:1"),
        ("url:https://example.com/a#sha256=0", Kind.URL, "https://example.com/a#sha256=0"),
        ("pypi: spaced ", Kind.PYPI, "spaced"),
    ],
)
def test_a_source_is_a_kind_and_a_spec(text: str, kind: Kind, spec: str) -> None:
    source = Source.parse(text)
    assert source == Source(kind=kind, spec=spec)
    assert Source.parse(str(source)) == source


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("mcp-server-time", "it names no kind", "write pypi:mcp-server-time if it is a Python package"),
        ("pip:x", "there is no kind 'pip'", "pypi, npm, deb"),
        ("PYPI:x", "there is no kind 'PYPI'", "pypi, npm, deb"),
        ("pypi:", "nothing follows pypi:", "write kind:spec"),
        ("pypi:  ", "nothing follows pypi:", "write kind:spec"),
        ("", "it names no kind", "write pypi:"),
    ],
)
def test_what_is_no_source_says_why(text: str, why: str, hint: str) -> None:
    with pytest.raises(BadSource) as caught:
        Source.parse(text)
    assert str(caught.value) == f"{text!r} is not a source: {why}"
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("python", "", "python", "", ""),
        ("python:3.11-slim", "", "python", "3.11-slim", ""),
        ("team/image", "", "team/image", "", ""),
        ("registry.example.com/team/image:1.2", "registry.example.com", "team/image", "1.2", ""),
        ("localhost/a", "localhost", "a", "", ""),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000", "a/b", "c", ""),
        ("host:5000/a", "host:5000", "a", "", ""),
        ("[::1]:5000/a", "[::1]:5000", "a", "", ""),
        (f"a@{DIGEST}", "", "a", "", DIGEST),
        (f"example.com/a__b/c-d:1@{DIGEST}", "example.com", "a__b/c-d", "1", DIGEST),
    ],
)
def test_an_image_reference_has_its_parts(text: str, registry: str, repository: str, tag: str, digest: str) -> None:
    found = ImageReference.parse(text)
    assert found == ImageReference(registry=registry, repository=repository, tag=tag, digest=digest)
    assert str(found) == text
    assert found.mutable == (not digest)
    assert found.reference == (digest or tag or "latest")


@pytest.mark.parametrize("text", ["", "Upper", "a//b", "a:", "a@sha256:00", "a b", "a:-x", "a/", "a@md5:0"])
def test_what_is_no_image_reference_is_refused(text: str) -> None:
    with pytest.raises(BadSource, match="that is no image reference"):
        ImageReference.parse(text)


def test_addresses_sort_as_plans_list_them() -> None:
    texts = ["client:cursor/a", "server:b", "server:a", "image:a", "env:z", "system:a"]
    ordered = sorted(map(Address.parse, texts), key=lambda address: address.order)
    assert list(map(str, ordered)) == ["system:a", "env:z", "image:a", "server:a", "server:b", "client:cursor/a"]
    assert [kind.value for kind in ResourceKind][-3:] == ["server", "endpoint", "client"]


@pytest.mark.parametrize("text", ["", "server", "server:", "nothing:a"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


def test_a_place_has_a_line_if_one_is_known() -> None:
    assert str(Place(file="hatchlock.toml", line=3)) == "hatchlock.toml:3"
    assert str(Place(file="hatch.lock")) == "hatch.lock"


def test_digests_are_those_of_sha256(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_bytes(b"") == empty
    file = tmp_path / "file"
    file.write_bytes(b"x" * (3 << 20))
    assert digest_file(file) == sha256_bytes(b"x" * (3 << 20))


def test_equal_values_have_the_same_canonical_json() -> None:
    assert canonical_json({"b": [1, True, None], "a": "ä"}) == b'{"a":"\\u00e4","b":[1,true,null]}'
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
    assert json.loads(canonical_json({"a": "\n"})) == {"a": "\n"}
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_a_key_depends_on_its_rule_and_on_where_its_parts_end() -> None:
    keys = [key_of("env:1", parts) for parts in (["ab"], ["a", "b"], ["b", "a"], [])]
    assert len({*keys, key_of("env:2", ["ab"])}) == 5
    assert key_of("env:1", ["ab"]) == keys[0]


@pytest.mark.parametrize(
    ("explicit", "environ", "root", "is_default"),
    [
        (None, {"HOME": "/h"}, "/h/.local/share/hatchlock", True),
        (None, {"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/d/hatchlock", False),
        (None, {"HOME": "/h", "HATCHLOCK_HOME": "/s"}, "/s", False),
        ("/e", {"HOME": "/h", "HATCHLOCK_HOME": "/s"}, "/e", False),
        (None, {"HOME": "/h", "HATCHLOCK_HOME": ""}, "/h/.local/share/hatchlock", True),
        ("/h/.local/share/hatchlock", {"HOME": "/h"}, "/h/.local/share/hatchlock", True),
    ],
)
def test_the_store_is_where_it_was_said_to_be(
    explicit: str | None, environ: dict[str, str], root: str, is_default: bool
) -> None:
    home = Home.locate(explicit=explicit, environ=environ)
    assert home == Home(root=Path(root), is_default=is_default)
    assert home.project("p") == Path(root, "projects", "p")


def test_the_store_has_one_name_however_it_is_named(tmp_path: Path) -> None:
    store = tmp_path.resolve() / "store"
    link = tmp_path / "link"
    link.symlink_to(store)
    for name in (f"{store}/", f"{store}/../store", str(link)):
        assert Home.locate(explicit=name, environ={"HOME": "/home/ada"}).root == store
    assert Home.locate(explicit="~nobody-of-this-name/x", environ={"HOME": "/home/ada"}).root.is_absolute()


def test_the_manifest_is_looked_for_upwards_to_the_repositorys_root(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "hatchlock.toml").touch()
    assert find_manifest(inner) == tmp_path / "hatchlock.toml"
    (tmp_path / "repository" / ".git").mkdir()
    assert find_manifest(inner) is None
    (tmp_path / "repository" / "hatchlock.toml").touch()
    assert find_manifest(inner) == tmp_path / "repository" / "hatchlock.toml"
    (inner / "hatchlock.toml").mkdir()
    assert find_manifest(inner) == tmp_path / "repository" / "hatchlock.toml"


def test_the_users_own_manifest_is_in_the_configuration_directory() -> None:
    assert global_manifest({"HOME": "/h"}) == Path("/h/.config/hatchlock/hatchlock.toml")
    assert global_manifest({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}) == Path("/c/hatchlock/hatchlock.toml")
