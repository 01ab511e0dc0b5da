"""Which package of an entry is installed: by kind, runtime and platform, the same every time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hatchlock.sources.mcp_registry.choose import Choice, NothingToRun, Runtime, choose
from hatchlock.sources.mcp_registry.entry import Entry, entry_of
from hatchlock.sources.url import url_references
from support.mcp_registry import published

LINUX = ("linux/amd64",)
HASH = "8220de07" * 8
NPM = {"registryType": "npm", "identifier": "@acme/thing", "version": "1.7.2"}
PYPI = {"registryType": "pypi", "identifier": "acme-thing", "version": "1.7.2"}
OCI = {"registryType": "oci", "identifier": "docker.io/acme/thing:1.7.2"}
MCPB = {"registryType": "mcpb", "identifier": "https://example.com/v1/thing.mcpb", "fileSha256": HASH}
NUGET = {"registryType": "nuget", "identifier": "Acme.Thing", "version": "1.7.2"}
HTTP = {"transport": {"type": "streamable-http", "url": "http://localhost:8080/mcp"}}


def entry(*packages: dict[str, Any], **other: Any) -> Entry:
    return entry_of(published(packages=packages, **other), what="a test")


def chosen(*packages: dict[str, Any], runtime: Runtime = "container", platforms: tuple[str, ...] = LINUX) -> Choice:
    return choose(entry(*packages), platforms=platforms, runtime=runtime)


@pytest.mark.parametrize(
    ("package", "requirement"),
    [
        (NPM, "npm:@acme/thing@1.7.2"),
        (PYPI, "pypi:acme-thing==1.7.2"),
        (OCI, "oci:docker.io/acme/thing:1.7.2"),
        (OCI | {"identifier": f"ghcr.io/acme/thing@sha256:{HASH}"}, f"oci:ghcr.io/acme/thing@sha256:{HASH}"),
        (MCPB, f"url:https://example.com/v1/thing.mcpb#sha256={HASH}&name=thing"),
    ],
)
def test_a_package_becomes_a_requirement_of_ours(package: dict[str, Any], requirement: str) -> None:
    assert chosen(package).requirement == requirement


def test_the_order_in_which_packages_are_listed_does_not_count_between_kinds() -> None:
    for order in itertools.permutations([NPM, PYPI, OCI, MCPB, NUGET]):
        container = chosen(*order)
        assert (container.kind, order[container.index]) == ("oci", OCI)
        assert container.why.startswith("oci goes before ")
        assert container.refused == (("nuget", "hatchlock cannot run nuget packages"),)
        process = chosen(*order, runtime="process")
        assert (process.kind, order[process.index]) == ("pypi", PYPI)
        assert dict(process.refused)["oci"] == "an image needs the container runtime"
    assert chosen(NPM, MCPB, runtime="process").kind == chosen(MCPB, NPM).kind == "npm"


def test_of_one_kind_the_first_is_taken() -> None:
    other = OCI | {"identifier": "ghcr.io/acme/thing:1.7.2"}
    assert chosen(other, OCI).requirement == "oci:ghcr.io/acme/thing:1.7.2"
    assert chosen(other, OCI).why == "the first of its oci packages"


def test_what_speaks_stdio_goes_before_what_does_not() -> None:
    assert chosen(OCI | HTTP, NPM).kind == "npm"
    assert chosen(OCI | HTTP, OCI).index == 1
    assert chosen(OCI | HTTP).kind == "oci"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("nuget", "hatchlock cannot run nuget packages"),
        ("cargo", "hatchlock cannot run crates"),
        ("go", "hatchlock cannot run Go modules"),
        ("teleport", "hatchlock does not know this kind of package"),
    ],
)
def test_trap_9_kinds_that_cannot_run_are_refused_by_name(kind: str, why: str) -> None:
    with pytest.raises(NothingToRun, match=f"{kind}: {why}") as caught:
        chosen({"registryType": kind, "identifier": "thing", "version": "v1.0.0"})
    assert caught.value.refused == ((kind, why),)


def test_an_image_alone_is_no_process_and_the_hint_says_so() -> None:
    with pytest.raises(NothingToRun, match="needs the container runtime") as caught:
        chosen(OCI, NUGET, runtime="process")
    assert caught.value.hint == 'give the server runtime = "container"'


def test_nothing_at_all_is_said_to_be_nothing() -> None:
    with pytest.raises(NothingToRun, match=r"io\.github\.acme/thing@1\.0\.0 has neither a package nor a remote"):
        chosen()


@pytest.mark.parametrize(
    ("package", "why"),
    [
        (PYPI | {"identifier": "thing @ https://evil.example.com/x.whl"}, "no name of a Python package"),
        (PYPI | {"version": "1.0,>=0"}, "no exact version"),
        (PYPI | {"version": "latest"}, "names no version"),
        (NPM | {"identifier": "thing@npm:evil"}, "no name of an npm package"),
        (NPM | {"version": "npm:evil@1"}, "no exact version"),
        (NPM | {"version": ""}, "names no version"),
        (NPM | {"version": "^1"}, "no exact version"),
        (OCI | {"identifier": "docker.io/Acme/thing:1 --privileged"}, "no image reference"),
        (MCPB | {"fileSha256": ""}, "has no fileSha256"),
        (MCPB | {"fileSha256": "abc"}, "is no sha256"),
        (MCPB | {"identifier": "http://example.com/x.mcpb"}, "can be read and changed on its way"),
        (MCPB | {"identifier": "https://user:pw@example.com/x.mcpb"}, "user name or password"),
        (MCPB | {"identifier": f"https://example.com/x.mcpb#sha256={'0' * 64}"}, "is no sha256"),
    ],
)
def test_what_is_not_what_its_kind_demands_is_passed_over(package: dict[str, Any], why: str) -> None:
    with pytest.raises(NothingToRun, match=why):
        chosen(package, runtime="container")
    assert chosen(package, NPM | {"identifier": "good"}).requirement == "npm:good@1.7.2"


@pytest.mark.parametrize(
    ("identifier", "base", "version", "image"),
    [
        ("mcp/filesystem", "https://docker.io", "1.0.2", "docker.io/mcp/filesystem:1.0.2"),
        ("acme/thing", "https://ghcr.io/", "v2", "ghcr.io/acme/thing:v2"),
        ("ghcr.io/acme/thing", "https://docker.io", "1.0.2", "ghcr.io/acme/thing:1.0.2"),
        ("ghcr.io/acme/thing:1.0.1", "", "1.0.2", "ghcr.io/acme/thing:1.0.1"),
        ("acme/thing", "", "1.0.2", "acme/thing:1.0.2"),
        ("ghcr.io/acme/thing", "", f"sha256:{HASH}", f"ghcr.io/acme/thing@sha256:{HASH}"),
    ],
)
def test_trap_7_old_images_in_three_parts_are_joined(identifier: str, base: str, version: str, image: str) -> None:
    package = {"registryType": "oci", "identifier": identifier, "registryBaseUrl": base, "version": version}
    assert chosen(package).requirement == f"oci:{image}"


def test_trap_8_several_packages_are_one_choice_that_says_why() -> None:
    airtable = entry(NPM, OCI, MCPB)
    first = choose(airtable, platforms=LINUX, runtime="container")
    assert first == choose(airtable, platforms=tuple(reversed(("linux/amd64", "linux/arm64"))), runtime="container")
    assert (first.kind, first.index, first.why) == ("oci", 1, "oci goes before npm, mcpb for the container runtime")


def test_trap_10_a_requirement_is_exact_and_only_a_bundle_has_its_hash() -> None:
    for package in (NPM, PYPI, OCI):
        requirement = chosen(package).requirement
        assert "1.7.2" in requirement
        assert "sha" not in requirement
    assert HASH in chosen(MCPB).requirement


def test_which_registry_an_entry_names_is_told_and_not_asked() -> None:
    package = NPM | {"registryBaseUrl": "https://npm.acme.example.com"}
    assert (chosen(package).requirement, chosen(package).base_url) == (
        "npm:@acme/thing@1.7.2",
        "https://npm.acme.example.com",
    )


def bundle(name: str, digit: str) -> dict[str, Any]:
    return {"registryType": "mcpb", "identifier": f"https://example.com/{name}.mcpb", "fileSha256": digit * 64}


def test_bundles_are_taken_for_the_platforms_that_they_name() -> None:
    linux, arm, mac = bundle("thing-linux-x64", "1"), bundle("thing_linux_arm64", "2"), bundle("thing-macos", "3")
    assert chosen(mac, linux).requirement.startswith("url:linux/amd64=https://example.com/thing-linux-x64.mcpb#")
    several = chosen(mac, linux, arm, platforms=("linux/arm64", "darwin/arm64", "linux/amd64")).requirement
    found = url_references(several.removeprefix("url:"))
    assert {platform: item.sha256[0] for platform, item in found.items()} == {
        "darwin/arm64": "3",
        "linux/amd64": "1",
        "linux/arm64": "2",
    }
    assert {item.name for item in found.values()} == {"thing"}
    with pytest.raises(NothingToRun, match="no bundle is for linux/arm64"):
        chosen(mac, linux, platforms=("linux/arm64", "linux/amd64"))


def test_a_word_of_the_servers_own_name_is_no_platform() -> None:
    linux = published("io.github.acme/mac-tools", packages=[bundle("mac-tools", "1")])
    choice = choose(entry_of(linux, what="a test"), platforms=LINUX, runtime="process")
    assert choice.requirement.endswith("&name=mac-tools")


def test_a_remote_is_the_last_resort_and_streamable_http_its_better_form() -> None:
    remotes = [
        {"type": "sse", "url": "https://mcp.example.com/sse"},
        {"type": "streamable-http", "url": "https://mcp.example.com/mcp"},
    ]
    alone = choose(entry(remotes=remotes), platforms=LINUX, runtime="container")
    assert (alone.kind, alone.index, alone.requirement, alone.why) == ("remote", 1, "", "it has no package")
    assert alone.remote is not None
    assert alone.remote.url == "https://mcp.example.com/mcp"
    both = choose(entry(NPM, remotes=remotes), platforms=LINUX, runtime="container")
    assert (both.kind, both.remote) == ("npm", None)
    neither = choose(entry(NUGET, remotes=remotes), platforms=LINUX, runtime="container")
    assert (neither.kind, neither.why) == ("remote", "no package of it can run here")


@pytest.mark.parametrize(
    "package",
    [
        OCI | {"identifier": "localhost:5000/acme/thing:1"},
        OCI | {"identifier": "127.0.0.1:5000/acme/thing:1"},
        MCPB | {"identifier": "http://127.0.0.1:8080/v1/thing.mcpb"},
        MCPB | {"identifier": "https://localhost/v1/thing.mcpb"},
    ],
)
def test_an_entry_leads_to_addresses_of_this_machine_only_if_its_registry_is_there(package: dict[str, Any]) -> None:
    with pytest.raises(NothingToRun, match="it is at an address of this machine"):
        chosen(package)
    assert chosen(package, NPM).kind == "npm"
    here = choose(entry(package), platforms=LINUX, runtime="container", local=True)
    assert here.kind == package["registryType"]
