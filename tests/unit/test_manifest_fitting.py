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
    ("text", "what"),
    [
        ('source = "deb:git"\n', "m:5: servers.a.source: deb: is a part of an environment, not a server"),
        ('source = "conda:numpy"\n', "m:5: servers.a.source: conda: is a part of an environment, not a server"),
        (
            'source = "pypi:a<2"\nwith = ["mcp:com.example/b"]\n',
            "m:6: servers.a.with[0]: mcp: describes a server, and is no part of an environment",
        ),
        (
            'source = "oci:example.com/a>=1.2"\n',
            "m:5: servers.a.source: a server is one image, and this leaves a choice of versions",
        ),
    ],
)
def test_a_kind_has_its_places(text: str, what: str) -> None:
    assert errors("[servers.a]\n" + text) == [what]


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
        ("git:./repo@v1", "is no address of a git repository"),
        ("git:~/repo", "is no address of a git repository"),
        ("git:acme/weather@v1", "is no address of a git repository"),
        ("oci:nginx>=x", "are no bounds on a version"),
        ("oci:nginx>=1.2,", "are no bounds on a version"),
        ("conda:__glibc", "names no conda package"),
        ("conda:acme::__glibc>=2", "names no conda package"),
    ],
)
def test_malformed_sources_are_refused_with_their_place(source: str, why: str) -> None:
    (error,) = [item for item in errors(f'[servers.a]\nsource = "{source}"\nruntime = "process"\n') if why in item]
    assert error.startswith("m:5: servers.a.source: ")


@pytest.mark.parametrize("source", ["numpy>>1", "numpy>=", "numpy>=1,", "numpy[version='>=1']", "num py 1 2 3"])
def test_malformed_requirements_of_conda_are_refused_with_their_place(source: str) -> None:
    (error,) = errors(f'[environments.e]\ndependencies = ["conda:{source}"]\n')
    assert error == f"m:5: environments.e.dependencies[0]: {f'conda:{source}'!r} names no conda package"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("deb:", "write kind:spec, with a kind of "),
        ("oci:example.com/Upper:1", "write oci:[host[:port]/]path[:tag][@sha256:…]"),
        ("ocl:example.com/a:1", "did you mean 'oci'?"),
        ("git:./repo@v1", "write git:/…, the repository's absolute path, or path:./repo for its files as they are"),
        ("git:acme/weather@v1", "write git:https://HOST/acme/weather@v1 with the host that it is on"),
    ],
)
def test_a_kind_is_only_guessed_where_there_is_none_of_its_name(source: str, hint: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f'{HEAD}[environments.e]\ndependencies = ["{source}"]\n', shown="m")
    assert caught.value.errors[0].hint.startswith(hint)


def test_what_is_no_id_of_a_snapshot_is_told_how_one_looks() -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f'{HEAD}[indexes.debian]\nsnapshot = "2026-07-01"\n', shown="m")
    (error,) = caught.value.errors
    assert str(error) == "indexes.debian.snapshot: '2026-07-01' is no id of a snapshot"
    assert error.hint == "write the moment in UTC, such as 20260701T000000Z"


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


MANAGED = "managed: interpreters are for processes, and"


def test_an_environment_with_a_base_is_for_containers_even_if_nobody_uses_it() -> None:
    text = '[environments.e]\nbase = "oci:python:3.11-slim@sha256:' + HASH + '"\ndependencies = ["npm:b"]\n'
    assert errors(text + 'python = "managed:3.11"\n') == [
        f"m:7: environments.e.python: {MANAGED} environment 'e' has a base: its base has the Python",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[servers.s]\nsource = "pypi:a<2"\npython = "managed:3.11"\n', "servers.s.python"),
        ('[defaults]\npython = "managed:3.11"\n[servers.s]\nsource = "pypi:a<2"\n', "defaults.python"),
        (
            '[environments.e]\npython = "managed:3.11"\n[servers.s]\nenvironment = "e"\nsource = "pypi:a<2"\n',
            "environments.e.python",
        ),
    ],
)
def test_a_managed_interpreter_is_no_image_s(text: str, place: str) -> None:
    (error,) = errors(text)
    assert f"{place}: {MANAGED} server 's' runs in a container" in error
    assert manifest(text + 'runtime = "process"\n').servers


@pytest.mark.parametrize(
    "source",
    [
        "git:https://user:s3cret@example.com/a/b",
        "git:https://s3cret@example.com/a/b@main",
        "git:git+https://user:s3cret@example.com/a/b",
        "git:ssh://git:s3cret@example.com/a/b",
        "git:https://user:s3/cret@example.com/a/b",
        "git:git:s3cret@example.com:a/b",
    ],
)
def test_a_repository_with_credentials_is_refused_without_showing_them(source: str) -> None:
    (error,) = errors(f'[servers.a]\nsource = "{source}"\nruntime = "process"\n')
    assert error.startswith("m:5: servers.a.source: it holds a user name or password")
    assert "s3" not in error


@pytest.mark.parametrize(
    "spec",
    [
        "https://example.com:8443/a/b@release/1.0",
        "ssh://git@example.com:22/a/b",
        "git+ssh://git@example.com/a/b",
        "git@example.com:a/b@main",
        "https://[::1]:8443/a/b",
        "/srv/a:b@main",
    ],
)
def test_a_repository_with_ports_users_of_ssh_and_refs_is_taken(spec: str) -> None:
    assert manifest(f'[servers.a]\nsource = "git:{spec}"\nruntime = "process"\n').servers
