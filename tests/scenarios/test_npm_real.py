"""Real npm servers: the same tree as plain npm makes, from the user's own registry."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from hatchlock.net.http import Http
from hatchlock.sources.npm.program import find_npm, quiet_settings
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.npm.tree import NpmTree, resolve_tree

pytestmark = pytest.mark.network

SERVERS = [f"@modelcontextprotocol/server-{name}" for name in ("everything", "filesystem", "memory")]
PLAIN = ("install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def node_version() -> str:
    found = subprocess.run([find_npm(os.environ).node, "--version"], check=True, capture_output=True, text=True)
    return found.stdout.strip().removeprefix("v")


def by_plain_npm(directory: Path, registry: str) -> dict[str, tuple[str, str]]:
    npm = find_npm(os.environ)
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"private": True, "dependencies": dict.fromkeys(SERVERS, "*")}))
    environment = {key: value for key, value in os.environ.items() if not key.lower().startswith("npm_config_")}
    environment |= {**quiet_settings(directory), "npm_config_registry": registry}
    environment.setdefault("NODE_EXTRA_CA_CERTS", os.environ.get("SSL_CERT_FILE", ""))
    subprocess.run([*npm.argv, *PLAIN], cwd=directory, env=environment, check=True, capture_output=True)
    packages = json.loads((directory / "package-lock.json").read_text())["packages"]
    return {
        path: (entry["version"], entry["integrity"])
        for path, entry in packages.items()
        if path and not entry.get("inBundle")
    }


def by_us(tmp_path: Path, *, offline: bool) -> tuple[NpmTree, str]:
    with (
        Http(environ=os.environ, offline=offline) as http,
        NpmSource(http=http, cache_dir=tmp_path / "cache", environ=os.environ) as source,
    ):
        tree = resolve_tree(
            dict.fromkeys(SERVERS, "*"),
            overrides={},
            preferred={},
            node=node_version(),
            source=source,
            scratch=tmp_path / "scratch",
        )
        return tree, source.npmrc.registry or find_npm(os.environ).default_registry()


def test_real_servers_get_the_tree_that_plain_npm_makes_and_again_offline(tmp_path: Path) -> None:
    tree, registry = by_us(tmp_path, offline=False)
    by_id = {package.id: package for package in tree.packages}
    ours = {
        path: (by_id[found].version, "sha512-" + base64.b64encode(bytes.fromhex(by_id[found].files[0].sha512)).decode())
        for path, found in tree.paths.items()
    }
    assert len(ours) > 100
    assert ours == by_plain_npm(tmp_path / "plain", registry)
    assert by_us(tmp_path, offline=True)[0] == tree
    commands = {
        command for name in SERVERS for found in tree.packages if found.name == name for command in found.scripts
    }
    assert commands == {"mcp-server-everything", "mcp-server-filesystem", "mcp-server-memory"}
