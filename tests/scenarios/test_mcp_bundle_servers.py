"""A server of the MCP registry that is a bundle: locked by its hash, laid out, started as its manifest says."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.archives import Item
from support.index import serving
from support.mcp_bundles import bundle_manifest, make_bundle
from support.mcp_registry import RegistryServer, published, serving_mcp
from support.project import TrialProject
from support.runs import SERVERS
from support.static_files import serving_files
from support.unavailable import need_isolation

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[indexes.pypi]
url = "{index}"

[indexes.mcp]
url = "{registry}"
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    directory = tmp_path / "served"
    directory.mkdir()
    manifest = bundle_manifest("python")
    manifest["server"]["entry_point"] = "server/echo.py"
    manifest["server"]["mcp_config"] = {
        "command": "python",
        "args": ["${__dirname}/server/echo.py"],
        "env": {"GREETING": "it's", "OWN": "${__dirname}/x"},
    }
    echo = Item("server/echo.py", (SERVERS / "echo.py").read_bytes())
    return make_bundle(directory / "tiny.mcpb", manifest, echo, main=False)


@pytest.fixture
def project(tmp_path: Path, bundle: Path) -> Iterator[tuple[TrialProject, RegistryServer]]:
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    with serving_files(bundle.parent) as files, serving() as index, serving_mcp() as registry:
        package = {"registryType": "mcpb", "identifier": f"{files}/{bundle.name}", "fileSha256": digest}
        registry.entries = [published("io.github.acme/tiny", packages=[package])]
        manifest = MANIFEST.format(platform=host_platform(), index=index.url, registry=registry.url)
        yield TrialProject(tmp_path, manifest), registry


def test_a_bundle_becomes_a_server_that_runs(project: tuple[TrialProject, RegistryServer]) -> None:
    need_isolation()
    trial, _ = project
    trial.ok("add", "mcp:io.github.acme/tiny", "--runtime", "process")
    assert f'python = "{VERSION}"\nruntime = "process"\n' in trial.manifest.read_text()
    trial.ok("apply", "--yes", "--no-probe")
    assert trial.tools("tiny") == ["echo", "large", "attempt"]
    assert trial.steps() == []


def test_a_bundle_with_other_bytes_is_refused_before_anything_changes(
    project: tuple[TrialProject, RegistryServer], bundle: Path
) -> None:
    trial, registry = project
    before = trial.manifest.read_bytes()
    good = bundle.read_bytes()
    bundle.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refused = trial.fails("add", "mcp:io.github.acme/tiny", "--runtime", "process")
    assert registry.entries[0]["server"]["packages"][0]["fileSha256"] in refused.err
    assert trial.manifest.read_bytes() == before
    assert not trial.lock.exists()
    bundle.write_bytes(good)
    trial.ok("add", "mcp:io.github.acme/tiny", "--runtime", "process")
    bundle.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    trial.ok("cache", "clear")
    for blob in (trial.store / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    assert "tiny.mcpb" in trial.fails("apply", "--yes", "--no-probe").err
    assert not list((trial.store / "envs").glob("*"))
