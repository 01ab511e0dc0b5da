"""Reading `hatch_metadata.json` of every version, what is behind `hatch:`, and what a server needs without saying so."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from hatchlock.address import BadSource
from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.sources.hatch.declared import HatchReference, declared_hatch, satisfies, version_of
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.model import read_document
from hatchlock.sources.hatch.places import places
from hatchlock.sources.hatch.server_code import implied_note, implied_requirements, server_tools
from hatchlock.sources.hatch.together import exclude_each_other
from support.hatch_registry import hatch_metadata
from support.source_tree import ROOT

FIXTURES = ROOT / "fixtures" / "hatch"
DIGEST = "sha256:" + "0a" * 32


def facts(name: str) -> HatchFacts:
    return read_document((FIXTURES / name / "hatch_metadata.json").read_bytes(), file=name).facts


def mistakes(document: Any) -> list[str]:
    data = document if isinstance(document, bytes) else json.dumps(document, indent=2).encode()
    with pytest.raises(HatchlockError) as caught:
        read_document(data, file="m.json")
    errors = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    return [f"{error.place}: {error} | {error.hint}" for error in errors]


def with_needs(**kinds: Any) -> dict[str, Any]:
    return hatch_metadata("app", dependencies=kinds)


def need(name: str, constraint: str = ">=1.0", **other: Any) -> dict[str, Any]:
    return {"name": name, "version_constraint": constraint, **other}


def second(**other: Any) -> dict[str, Any]:
    return {
        "hatch_schema_version": "2.0.0",
        "authors": [{"name": "Anna Example"}],
        "entry_point": {"mcp_server": "server.py", "hatch_mcp_server": "wrapper.py"},
    } | other


# Versions


def test_metadata_1_1_0_has_flat_dependencies_and_one_entry_point() -> None:
    found = facts("versions/v1_1_0")
    assert (found.schema_version, found.name, found.server_file, found.wrapper_file) == (
        "1.1.0",
        "first_pkg",
        "server.py",
        "",
    )
    assert found.dependencies == (
        "hatch:../../basic/base_pkg>=1.0.0",
        "hatch:utility_pkg",
        "pypi:requests>=2.25.0",
    )


def test_metadata_1_2_0_has_four_kinds_and_one_entry_point() -> None:
    found = facts("versions/v1_2_0")
    assert (found.server_file, found.wrapper_file) == ("server.py", "")
    assert found.dependencies == ("hatch:utility_pkg>=1.0.0", "pypi:requests>=2.25.0")
    assert (found.requires_python, found.requires_hatchling) == (">=3.9", ">=0.1.0")


def test_metadata_1_2_1_has_two_entry_points_and_all_that_people_want_to_know() -> None:
    found = facts("versions/v1_2_1")
    assert (found.server_file, found.wrapper_file) == ("mcp_server.py", "hatch_mcp_server_entry.py")
    assert (found.licence, found.licence_uri) == ("MIT", "https://example.com/licence")
    assert (found.authors, found.contributors) == (("Anna Example <anna@example.com>",), ("Ben Example",))
    assert (found.repository, found.documentation) == (
        "https://git.example.com/third",
        "https://docs.example.com/third",
    )
    assert found.citations == ("origin: Example, A. (2024)", "mcp: Example, B. (2025)")
    assert (found.tags, found.tools) == (("example",), (("say", "Returns its text"),))


def test_metadata_1_2_2_has_conda_channels() -> None:
    assert facts("versions/v1_2_2").dependencies == ("conda:colomoto::maboss>=2.5.0",)
    assert facts("dependencies/conda_dep_pkg").dependencies == (
        "conda:colomoto::maboss>=2.5.0",
        "conda:numpy>=1.20.0",
        "pypi:scipy>=1.9",
    )


def test_metadata_2_0_0_has_namespaces_real_names_and_digests() -> None:
    found = facts("versions/v2_0_0")
    assert (found.name, found.version) == ("io.github.anna/fifth", "1.0.0-rc.1")
    assert found.authors == ("Anna Example <anna@example.com>", "Ben Example")
    assert found.dependencies == (
        "deb:g++>=12",
        "deb:libssl-dev",
        "hatch:../v1_2_1>=1.0.0",
        "hatch:io.github.anna/other",
        f"oci:registry.example.com/team/image:1.2@{DIGEST}",
        "pypi:httpx",
    )
    assert found.citations == ("doi: 10.1000/182 (the method)", "url: https://example.com/paper")
    assert found.provenance == ("git_sha: 0123abc", "build_env: pip-compile")
    assert found.tools == (("say", "Returns its text"),)


def test_system_and_docker_dependencies_become_deb_and_oci() -> None:
    assert facts("dependencies/system_dep_pkg").dependencies == ("deb:curl>=7.0.0",)
    assert facts("dependencies/docker_dep_pkg").dependencies == ("oci:nginx>=1.25.0",)
    assert facts("dependencies/mixed_dep_pkg").dependencies == (
        "deb:git>=2.0.0",
        "hatch:../../basic/base_pkg>=1.0.0",
        "pypi:requests[socks]>=2.25.0",
    )


def test_the_oldest_metadata_reads_as_1_1_0_does() -> None:
    document = json.loads((FIXTURES / "versions/v1_1_0/hatch_metadata.json").read_text()) | {
        "package_schema_version": "1"
    }
    found = read_document(json.dumps(document).encode(), file="").facts
    assert replace(found, schema_version="1.1.0") == facts("versions/v1_1_0")


# Names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("base_pkg", "hatch:base_pkg>=1.0"),
        ("repo:base_pkg", "hatch:repo:base_pkg>=1.0"),
        ("./base_pkg", "hatch:./base_pkg>=1.0"),
        ("../base_pkg/", "hatch:../base_pkg>=1.0"),
        ("libs/base_pkg", "hatch:./libs/base_pkg>=1.0"),
        ("..\\libs\\base_pkg", "hatch:../libs/base_pkg>=1.0"),
        ("/opt/base_pkg", "hatch:/opt/base_pkg>=1.0"),
    ],
)
def test_a_hatch_dependency_is_a_name_or_a_path_by_how_it_is_written(name: str, text: str) -> None:
    found = read_document(json.dumps(with_needs(hatch=[need(name)])).encode(), file="").facts
    assert found.dependencies == (text,)
    assert str(declared_hatch(text.removeprefix("hatch:"))) == text.removeprefix("hatch:")


def test_since_metadata_2_0_0_a_name_with_a_namespace_is_a_registrys() -> None:
    names = ["io.github.anna/x", "a/b/c", "../x", "main:io.github.anna/y"]
    document = second(dependencies={"hatch": [{"name": name} for name in names]})
    found = read_document(json.dumps(document).encode(), file="").facts
    assert found.dependencies == (
        "hatch:../x",
        "hatch:./a/b/c",
        "hatch:io.github.anna/x",
        "hatch:main:io.github.anna/y",
    )


def test_python_packages_in_directories_are_projects() -> None:
    found = read_document(
        json.dumps(with_needs(python=[need("./libs/core"), need("My_Pkg.x")])).encode(), file=""
    ).facts
    assert found.dependencies == ("path:./libs/core", "pypi:my-pkg-x>=1.0")


@pytest.mark.parametrize(
    ("spec", "reference"),
    [
        ("base_pkg", HatchReference(name="base_pkg")),
        ("base_pkg >=1, <2", HatchReference(name="base_pkg", specifier=SpecifierSet(">=1,<2"))),
        ("repo:name==1.2", HatchReference(name="name", repository="repo", specifier=SpecifierSet("==1.2"))),
        ("./a/../base_pkg>=1", HatchReference(path="./base_pkg", specifier=SpecifierSet(">=1"))),
        ("../base_pkg >=1", HatchReference(path="../base_pkg", specifier=SpecifierSet(">=1"))),
        (".", HatchReference(path=".")),
        ("/opt/my pkg", HatchReference(path="/opt/my pkg")),
        ("io.github.anna/x~=1.0", HatchReference(name="io.github.anna/x", specifier=SpecifierSet("~=1.0"))),
    ],
)
def test_what_is_behind_hatch_is_read(spec: str, reference: HatchReference) -> None:
    assert declared_hatch(spec) == reference
    assert declared_hatch(str(reference)) == reference


@pytest.mark.parametrize(
    "spec", ["", "Base-Pkg", "a b", ">=1", "base_pkg>=", "base_pkg>=1,about 2", "a:b:c", "-x", "C:\\x"]
)
def test_what_is_behind_hatch_is_refused_if_it_is_something_else(spec: str) -> None:
    with pytest.raises(BadSource) as caught:
        declared_hatch(spec)
    assert caught.value.hint


def test_versions_compare_as_numbers_and_pre_releases_come_before() -> None:
    assert version_of("1.10.0") > version_of("1.9")
    assert version_of("1.0.0-rc.1") < version_of("1.0.0")
    assert version_of("1.0.0-next.alpha") < version_of("1.0.0")
    assert version_of("") < version_of("0.0.1")
    assert satisfies("1.0.0-rc.1", SpecifierSet("<=1.0"))
    assert not satisfies("1.0.0-next", SpecifierSet(">=1.0"))


@pytest.mark.parametrize(
    ("specifiers", "excluded"),
    [
        ([">=2", "<=1"], True),
        ([">=1", "<=1"], False),
        ([">=1", "<=1", "!=1"], True),
        (["==1.0", "==1"], False),
        (["==1.0", "==1.1"], True),
        (["!=1", "!=2"], False),
        (["<=1", "!=1"], False),
        ([">=1", "!=1"], False),
        ([">1", "<2"], False),
        (["~=1.4", ">=2"], True),
        ([], False),
        ([""], False),
    ],
)
def test_specifiers_exclude_each_other_if_no_version_can_be_all(specifiers: list[str], *, excluded: bool) -> None:
    assert exclude_each_other(map(SpecifierSet, specifiers)) is excluded


# Mistakes


def test_every_mistake_is_reported_at_once_with_its_line() -> None:
    document = with_needs(hatch=[need("C:\\x")], python=[need("numpy", "~=1"), need("scipy", channel="c")])
    document |= {"version": 1, "licence": document.pop("license"), "tags": None}
    text = json.dumps(document, indent=2)
    found = [found.removeprefix("m.json:") for found in mistakes(text.encode())]
    assert [item.partition(" | ")[0] for item in found] == [
        "1: 'license' is missing",
        "4: version: it must be a string, not a number",
        "6: tags: it must be a list, not null",
        "24: dependencies.hatch[0].name: 'C:\\\\x' is no name of a Hatch package",
        "31: dependencies.python[0].version_constraint: '~=1' is no version constraint of Hatch",
        "33: dependencies.python[1]: a channel is about conda",
        "40: licence: unknown key",
    ]
    assert [item.partition(" | ")[2] for item in found] == [
        'write "license": …',
        "",
        "",
        "write NAME, REPOSITORY:NAME, or ../DIRECTORY",
        "write one of ==, >=, <= and !=, then numbers with dots: >=1.2.0",
        'write "package_manager": "conda", or leave \'channel\' out',
        "did you mean 'license'?",
    ]
    assert text.splitlines()[23].strip().startswith('"name": "C:')


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"{", "it is not JSON"),
        (b"{\n\n!}", "m.json:3: it is not JSON"),
        (b"[]", "it must be an object"),
        (b'{"name": "\\ud800"}', "it holds half of a character, '\\ud800'"),
        (b"\xff\xfe{}", "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b" " * (1 << 21), "it is larger than"),
        (b"{}", "it does not say which version its metadata has"),
        (b'{"package_schema_version": "1.3.0"}', "'1.3.0' is no version of the metadata"),
        (b'{"package_schema_version": 1}', "1 is no version of the metadata"),
        (b'{"hatch_schema_version": "2.0.1"}', "it may be 1, 1.1.0, 1.2.0, 1.2.1, 1.2.2, 2.0.0"),
        (b'{"a":' + b"[" * 900 + b"]" * 900 + b"}", "it is nested too deeply"),
    ],
)
def test_a_file_that_is_no_metadata_says_why(data: bytes, what: str) -> None:
    (found,) = mistakes(data)
    assert what in found
    assert "Traceback" not in found


def test_a_key_that_is_there_twice_is_a_mistake() -> None:
    text = json.dumps(hatch_metadata("app"), indent=2).replace(
        '"version": "1.0.0",', '"version": "1.0.0",\n"version": "2",'
    )
    assert mistakes(text.encode()) == ["m.json:5: version: it is there twice | remove one"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"name": "My-Pkg"}, "'My-Pkg' is no name of a Hatch package"),
        ({"version": "1.0-rc1"}, "'1.0-rc1' is no version"),
        (
            {"entry_point": {"mcp_server": "s.py", "hatch_mcp_server": "w.py", "server": "x.py"}},
            "entry_point.server: unknown key | did you mean 'mcp_server'?",
        ),
        ({"entry_point": "server.py"}, "entry_point: it must be an object, not a string"),
        ({"entry_point": {"mcp_server": "server.py"}}, "'hatch_mcp_server' is missing"),
        (
            {"entry_point": {"mcp_server": "../server.py", "hatch_mcp_server": "w.py"}},
            "'../server.py' is no Python file",
        ),
        ({"compatibility": {"python": ">=3.8,<4"}}, "'>=3.8,<4' is no version constraint"),
        ({"dependencies": {"system": [need("libssl-dev")]}}, "names with -, + or . need metadata 2.0.0"),
        ({"dependencies": {"docker": [need("team/image")]}}, "names with /, - or . need metadata 2.0.0"),
        ({"dependencies": {"docker": [need("nginx", registry="other")]}}, "'other' is not dockerhub"),
        ({"dependencies": {"python": [need("x", package_manager="npm")]}}, "'npm' is not pip or conda"),
        ({"dependencies": {"python": [need("./x", package_manager="conda")]}}, "conda takes packages from channels"),
        ({"dependencies": {"hatch": [{"name": "x"}]}}, "'version_constraint' is missing"),
        ({"dependencies": {"hatch": [need("x", "1.0.2")]}}, "'1.0.2' is no version constraint"),
        ({"dependencies": {"hatch": [need("Base-Pkg")]}}, "'Base-Pkg' is no name of a Hatch package"),
        ({"package_schema_version": "1.1.0", "dependencies": {}}, "dependencies: unknown key"),
        ({"package_schema_version": "1.2.0"}, "entry_point: it must be a string, not an object"),
        ({"provenance": {"git_sha": "0123abc"}}, "provenance: unknown key"),
    ],
)
def test_metadata_1_is_held_to_its_form(change: dict[str, Any], what: str) -> None:
    assert any(what in found for found in mistakes(hatch_metadata("app") | change))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"name": "weather"}, "'weather' is no name of a package"),
        ({"version": "1.0"}, "'1.0' is no semantic version"),
        ({"authors": []}, "authors: it must not be empty"),
        ({"authors": [{"name": "A", "mail": "x"}]}, "authors[0].mail: unknown key | did you mean 'email'?"),
        ({"author": {"name": "A"}}, "author: unknown key | did you mean 'authors'?"),
        ({"description": "x" * 201}, "it has 201 characters"),
        ({"dependencies": {"docker": [{"name": "nginx"}]}}, "'digest' is missing"),
        ({"dependencies": {"docker": [{"name": "nginx", "digest": "sha256:0a"}]}}, "'sha256:0a' is no digest"),
        ({"dependencies": {"python": [{"name": "x", "extras": ["a"]}]}}, "extras: unknown key"),
        ({"tools": [{"name": "say", "description": "…"}]}, "'desc' is missing"),
        ({"citations": [{"format": "sandwich", "value": "x"}]}, "'sandwich' is not doi or arxiv"),
        ({"citations": [{"format": "doi", "value": "x"}]}, "'x' is no doi"),
        ({"provenance": {}}, "it says nothing"),
        ({"provenance": {"build_env": "poetry"}}, "'poetry' is not conda-lock or pip-compile or manual"),
        ({"repository": "https://example.com"}, "repository: unknown key"),
    ],
)
def test_metadata_2_is_held_to_its_form(change: dict[str, Any], what: str) -> None:
    assert any(what in found for found in mistakes(second() | change)), mistakes(second() | change)


def test_an_unknown_key_that_hatch_allows_is_left_out_with_a_note() -> None:
    document = with_needs(python=[need("numpy", comment="why")]) | {"author": {"name": "A", "orcid": "0"}}
    found = read_document(json.dumps(document).encode(), file="").facts
    assert found.dependencies == ("pypi:numpy>=1.0",)
    assert sorted(found.notes) == [
        "author.orcid is unknown, and left out",
        "dependencies.python[0].comment is unknown, and left out",
    ]


def test_lines_are_found_in_any_layout() -> None:
    text = '{"a": [1,\n{"b\\"": null, "c": [\n[], {}, "x]"]}], "d": -1e5,\n"e":true}'
    found = places(text)
    assert json.loads(text)
    assert {path: found.line(path) for path in [("a",), ("a", 1, 'b"'), ("a", 1, "c", 2), ("d",), ("e",)]} == {
        ("a",): 1,
        ("a", 1, 'b"'): 2,
        ("a", 1, "c", 2): 3,
        ("d",): 3,
        ("e",): 4,
    }
    assert found.line(("e", "nothing", 3)) == 4


# What a server's file says


@pytest.mark.parametrize(
    ("source", "declared", "implied"),
    [
        ("from mcp.server.fastmcp import FastMCP", (), ("pypi:mcp>=1.2,<2",)),
        ("import mcp.server.fastmcp as fast", (), ("pypi:mcp>=1.2,<2",)),
        ("from mcp.server.mcpserver import MCPServer", (), ("pypi:mcp>=2",)),
        ("from mcp.server import MCPServer", (), ("pypi:mcp>=2",)),
        ("import mcp", (), ("pypi:mcp",)),
        ("import fastmcp", (), ("pypi:fastmcp",)),
        ("from fastmcp import FastMCP", ("pypi:fastmcp>=2",), ()),
        ("import numpy", (), ()),
        ("from .mcp import server", (), ()),
        ("from mcp.server.fastmcp import FastMCP", ("pypi:mcp>=1.0.0",), ("pypi:mcp<2",)),
        ("from mcp.server.fastmcp import FastMCP", ("pypi:mcp[cli]>=1.9",), ("pypi:mcp<2",)),
        ("from mcp.server.fastmcp import FastMCP", ("pypi:mcp==1.20.0",), ()),
        ("from mcp.server.fastmcp import FastMCP", ("pypi:mcp==2.1.0",), ()),
        ("from mcp.server.mcpserver import MCPServer", ("pypi:mcp>=1.0",), ("pypi:mcp>=2",)),
        ("from mcp.server.mcpserver import MCPServer", ("pypi:mcp>=2.1",), ()),
        ("from mcp.server.fastmcp import FastMCP", ("pypi:mcp<=1.30",), ()),
        ("import mcp", ("pypi:mcp>=1.0",), ()),
        ("from mcp.server.fastmcp import FastMCP", ("conda:forge::mcp>=1.0",), ()),
        ("no python !", (), ()),
    ],
)
def test_a_server_needs_the_sdk_that_it_imports(
    source: str, declared: tuple[str, ...], implied: tuple[str, ...]
) -> None:
    found = HatchFacts(schema_version="1.2.2", name="x", version="1", server_file="server.py", dependencies=declared)
    assert implied_requirements(found, source.encode()) == implied
    note = implied_note(found, implied)
    assert bool(note) is bool(implied)
    assert all(text in note for text in implied)


def test_a_server_file_that_has_the_name_of_the_sdk_is_not_the_sdk() -> None:
    found = HatchFacts(schema_version="1.2.2", name="x", version="1", server_file="mcp.py")
    assert implied_requirements(found, b"import mcp") == ()


def test_tools_are_found_in_any_place_and_under_the_name_that_they_get() -> None:
    source = b"""
class Kit:
    @server.inner.tool("first")
    def a(self): ...
def make():
    @app.tool(description="x", name="second")
    async def b(): ...
    @app.resource("x://y")
    def not_a_tool(): ...
    app.add_tool(third)
    app.add_tool(kit.fourth)
    app.add_tool(lambda: 1, name="fifth")
    app.add_tool(lambda: 1)
@app.prompt()
def neither(): ...
@tool
def nor_this(): ...
"""
    assert server_tools(source) == {"first", "second", "third", "fourth", "fifth"}
