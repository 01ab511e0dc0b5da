"""A server that an application has started with `docker run`, token and mount included: imported, and a container of ours."""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.engine_images import untag_all
from support.project import TrialProject
from support.runs import SERVERS

pytestmark = [pytest.mark.engine, pytest.mark.full]

TOKEN = "ghp_Zq8Lw3Xk5Vn2Rt7Yb4Mc6Pd9"
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[registries."{registry}"]
plain-http = true
"""


def test_it_is_the_same_server_pinned_and_without_its_token(
    tmp_path: Path, engine: str, registry: str, base_image: str
) -> None:
    name = f"import-{secrets.token_hex(4)}"
    manifest = MANIFEST.format(name=name, platform=host_platform(), registry=registry)
    project = TrialProject(tmp_path, manifest, name=name, DOCKER_HOST=engine)
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(SERVERS / "echo.py", data)
    words = ["run", "-i", "--rm", "--network", "none", "-e", "GITHUB_TOKEN", "-v", f"{data}:/data:ro", base_image]
    entry = {"command": "docker", "args": [*words, "python3", "/data/echo.py"], "env": {"GITHUB_TOKEN": TOKEN}}
    file = project.user_home / ".cursor/mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"mcpServers": {"boxed": entry}}))
    before = file.read_bytes()
    try:
        project.ok("import", "--keep-secrets")
        project.ok("up", "--yes", "--no-probe")
        assert "echo" in project.tools("boxed")
        assert TOKEN.encode() not in file.read_bytes()
        assert TOKEN not in project.manifest.read_text() + project.lock.read_text()
        assert project.run("plan", "--check").status == 0
        project.ok("destroy", "--yes")
        assert file.read_bytes() == before
    finally:
        untag_all(engine, name)
