"""The real entries of the fixture through `add` and `lock`, with their images served on loopback under their own names.

Whatever has no mirror here goes to a proxy that refuses: nothing leaves this machine.
"""

from __future__ import annotations

import gzip
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from hatchlock.resolve.wanted import container_platforms
from support.mcp_registry import RegistryServer, published, real_entries, serving_mcp
from support.ports import closed_address
from support.project import TrialProject
from support.registry import push_index, serving_registry

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[indexes.mcp]
url = "{registry}"

[registries]
{mirrors}
"""
LAYER = gzip.compress(bytes(10_240), mtime=0)
MIRRORED = ("docker.io", "ghcr.io", "public.ecr.aws", "quay.io")
AWAY = "us-central1-docker.pkg.dev"
ENTRIES = {item["server"]["name"]: item["server"] for item in real_entries()}


def split(identifier: str) -> tuple[str, str, str]:
    """Return registry, repository and tag of an image's name."""
    first, slash, rest = identifier.partition("/")
    registry, name = (first, rest) if slash and "." in first else ("docker.io", identifier)
    repository, _, tag = name.rpartition(":")
    return registry, repository, tag


def image_of(entry: Mapping[str, Any]) -> str:
    return str(entry["packages"][0]["identifier"])


def answers(entry: Mapping[str, Any]) -> list[str]:
    """Return what `add` has to be told of an entry: secrets as references."""
    words: list[str] = []
    for variable in entry["packages"][0].get("environmentVariables", []):
        if variable.get("isRequired") and "default" not in variable:
            name = variable["name"]
            words += ["--secret", f"{name}=env:{name}"] if variable.get("isSecret") else ["--env", f"{name}=7"]
    return words


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with an image under the name that each entry has for its own."""
    architecture = container_platforms([host_platform()])[0].partition("/")[2]
    with serving_registry(tmp_path_factory.mktemp("images")) as address:
        for entry in ENTRIES.values():
            registry, repository, tag = split(image_of(entry))
            if registry in MIRRORED:
                push_index(address, repository, [tag], [architecture], layers=[LAYER])
        yield address


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    nuget = {"registryType": "nuget", "identifier": "Acme.Server", "version": "1.0.0"}
    remote = {"type": "streamable-http", "url": "https://mcp.example.com/mcp"}
    secret = {"token": {"isSecret": True, "isRequired": True}}
    headers = [
        {"name": "Authorization", "value": "Bearer {token}", "variables": secret, "isRequired": True},
        {"name": "X-Region", "value": "eu"},
    ]
    guarded = {"type": "sse", "url": "https://mcp.example.com/sse", "headers": headers}
    with serving_mcp(
        *real_entries(),
        published("io.github.acme/dotnet", packages=[nuget]),
        published("io.github.acme/far", remotes=[remote]),
        published("io.github.acme/guarded", remotes=[guarded]),
    ) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, images: str, registry: RegistryServer) -> TrialProject:
    mirrors = "\n".join(f'"{host}" = {{ mirrors = ["{images}"] }}' for host in MIRRORED)
    manifest = MANIFEST.format(platform=host_platform(), registry=registry.url, mirrors=mirrors)
    nobody = closed_address()
    return TrialProject(
        tmp_path, manifest, HTTPS_PROXY=nobody, https_proxy=nobody, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1"
    )


def servers(project: TrialProject) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(project.manifest.read_text()).get("servers", {})
    return found


def test_the_fixture_has_twelve_entries_of_one_unmirrored_registry() -> None:
    assert len(ENTRIES) == 12
    assert [name for name in ENTRIES if split(image_of(ENTRIES[name]))[0] not in MIRRORED] == [
        "io.github.stacklok/genai-toolbox"
    ]


def test_every_entry_whose_image_is_mirrored_becomes_a_server_with_a_locked_image(project: TrialProject) -> None:
    mirrored = {name: entry for name, entry in ENTRIES.items() if split(image_of(entry))[0] in MIRRORED}
    for name, entry in mirrored.items():
        project.ok("add", f"mcp:{name}", *answers(entry))
    found = servers(project)
    assert len(found) == len(mirrored) == 11
    lock = read_lock(project.lock)
    by_entry = {package.name: package for package in lock.packages}
    assert sorted(by_entry) == sorted(mirrored)
    for name, entry in mirrored.items():
        package = by_entry[name]
        assert package.dependencies == (f"oci:{image_of(entry)}",), name
        assert package.version == entry["version"]
        server = lock.server(_of(found, name))
        assert lock.image(server.image).digest.startswith("sha256:")
        assert set(package.needs) <= set(found[server.name].get("env", {}))
    for text in (project.manifest.read_text(), project.lock.read_text()):
        assert "env:GITHUB_PERSONAL_ACCESS_TOKEN" in text
    first = project.lock.read_bytes()
    project.ok("lock", "--upgrade")
    assert project.lock.read_bytes() == first
    project.ok("lock", "--check")


def _of(found: Mapping[str, Any], name: str) -> str:
    return next(key for key, server in found.items() if server["source"].startswith(f"mcp:{name}@"))


def test_an_entry_whose_registry_cannot_be_reached_is_refused_with_its_name_and_nothing_is_kept(
    project: TrialProject,
) -> None:
    before = project.manifest.read_bytes()
    done = project.fails("add", "mcp:io.github.stacklok/genai-toolbox")
    assert AWAY in done.err
    assert "toolbox/toolbox:0.21.0" in done.err
    assert (project.manifest.read_bytes(), project.lock.exists()) == (before, False)


def test_of_an_entry_that_runs_elsewhere_its_address_is_written(project: TrialProject) -> None:
    project.ok("add", "mcp:io.github.acme/far")
    missing = project.fails("add", "mcp:io.github.acme/guarded")
    assert "token" in missing.err
    project.ok("add", "mcp:io.github.acme/guarded", "--secret", "token=env:FAR_TOKEN")

    assert servers(project) == {
        "far": {"url": "https://mcp.example.com/mcp"},
        "guarded": {
            "url": "https://mcp.example.com/sse",
            "transport": "sse",
            "headers": {"Authorization": {"secret": "env:FAR_TOKEN", "format": "Bearer {}"}, "X-Region": "eu"},
        },
    }


def test_entries_that_nobody_can_start_or_lock_are_refused_by_name(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    dotnet = project.fails("add", "mcp:io.github.acme/dotnet")
    assert "mcp:io.github.acme/dotnet@1.0.0" in dotnet.err
    assert "nuget" in dotnet.err
    assert project.manifest.read_bytes() == before
    for name in ("far", "dotnet"):
        project.write(f'{before.decode()}\n[servers.{name}]\nsource = "mcp:io.github.acme/{name}"\n')
        done = project.fails("lock")
        assert f"mcp:io.github.acme/{name}" in done.err
        assert not project.lock.exists()


def test_an_entry_that_lacks_a_variable_it_needs_is_refused_by_lock_with_the_words_that_set_it(
    project: TrialProject,
) -> None:
    text = project.manifest.read_text()
    project.write(f'{text}\n[servers.github]\nsource = "mcp:io.github.stacklok/github"\n')
    done = project.fails("lock")
    assert "server:github" in done.err
    assert 'write env.GITHUB_PERSONAL_ACCESS_TOKEN = { secret = "env:GITHUB_PERSONAL_ACCESS_TOKEN" }' in done.err
    assert not project.lock.exists()
