from __future__ import annotations

import pytest

from hatchlock.address import Kind
from hatchlock.errors import ManyErrors
from hatchlock.manifest.load import loads
from hatchlock.manifest.model import IndexSpec, Manifest

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
HASH = "0" * 64


def manifest(text: str) -> Manifest:
    return loads(HEAD + text, shown="m").manifest


def errors(text: str) -> list[str]:
    with pytest.raises(ManyErrors) as caught:
        manifest(text)
    return [f"{error.place}: {error}" for error in caught.value.errors]


@pytest.mark.parametrize(
    "source",
    [
        "npm:@scope/server@^1",
        "git:https://example.com/a/b.git@main",
        "path:./server",
        f"url:https://example.com/x#sha256={HASH}",
    ],
)
def test_what_images_are_not_yet_made_of_needs_a_process(source: str) -> None:
    (error,) = errors(f'[servers.a]\nsource = "{source}"\n')
    assert (
        error
        == f"m:5: servers.a.source: {source.partition(':')[0]}: is not yet put into images, and server 'a' runs in a container"
    )
    assert str(manifest(f'[servers.a]\nsource = "{source}"\nruntime = "process"\n').servers["a"].source) == source


def test_a_shared_environment_and_what_comes_with_a_server_count_too() -> None:
    text = '[environments.e]\ndependencies = ["pypi:a<2", "npm:b"]\n[servers.s]\nsource = "pypi:a<2"\n'
    assert len(errors(text + 'environment = "e"\n')) == 1
    assert len(errors(text + 'with = ["npm:b"]\n')) == 1
    assert manifest(text + 'environment = "e"\nruntime = "process"\n')


def test_a_table_of_platforms_is_one_source() -> None:
    found = manifest(
        f"""\
[servers.tool]
runtime = "process"
source = {{ "linux/arm64" = "url:https://example.com/arm#sha256={HASH}", "linux/amd64" = "url:https://example.com/amd#sha256={HASH}" }}
"""
    ).servers["tool"]
    assert found.source is not None
    assert found.source.kind is Kind.URL
    assert found.source.spec == (
        f"linux/amd64=https://example.com/amd#sha256={HASH} linux/arm64=https://example.com/arm#sha256={HASH}"
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("url:https://example.com/x", "does not say its hash"),
        ("url:ftp://example.com/x#sha256=" + HASH, "is no http(s) address"),
        ("npm:@scope", "names no npm package"),
        ("npm: ", "nothing follows"),
        ("git:nothing", "is no git repository"),
    ],
)
def test_malformed_sources_are_refused_with_their_place(source: str, why: str) -> None:
    (error,) = [item for item in errors(f'[servers.a]\nsource = "{source}"\nruntime = "process"\n') if why in item]
    assert error.startswith("m:5: servers.a.source: ")


def test_several_indexes_of_a_kind_have_names_and_say_what_they_serve() -> None:
    found = manifest(
        """\
[[indexes.pypi]]
url = "https://pypi.example.com/simple"
[[indexes.pypi]]
name = "acme"
url = "https://acme.example.com/simple"
packages = ["acme-*"]
[indexes.npm]
url = "https://npm.example.com/"
"""
    )
    assert found.indexes == {
        "pypi": (
            IndexSpec(name="pypi", url="https://pypi.example.com/simple"),
            IndexSpec(name="acme", url="https://acme.example.com/simple", packages=("acme-*",)),
        ),
        "npm": (IndexSpec(name="npm", url="https://npm.example.com/"),),
    }


def test_indexes_that_would_serve_the_same_names_are_refused() -> None:
    assert errors(
        """\
[[indexes.pypi]]
url = "https://a.example.com/simple"
[[indexes.pypi]]
url = "https://b.example.com/simple"
[[indexes.pypi]]
name = "c"
packages = ["c-*"]
"""
    ) == [
        "m:4: indexes.pypi[0]: several indexes are called 'pypi'",
        "m:6: indexes.pypi[1]: a second index without 'packages' would serve the same names",
        "m:6: indexes.pypi[1]: several indexes are called 'pypi'",
        "m:8: indexes.pypi[2]: an index of its own has no 'url'",
    ]
