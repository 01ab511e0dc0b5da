"""A group with version 2 of the TypeScript SDK on both of its sides: a client of either era, a server of the newest alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from hatchlock.launch import Sandbox
from hatchlock.sources.npm.program import find_npm
from hatchlock.state.groups import write_groups
from support.mcp_http import hatchlock
from support.npm_parts import NEWEST, installed
from support.runs import PATIENCE, SERVERS, apply_records, python_record

pytestmark = pytest.mark.network


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
def test_the_typescript_sdk_uses_a_group_and_is_a_part_of_one(tmp_path: Path, mode: str, version: str) -> None:
    tmp_path.chmod(0o700)
    node, modules = os.path.realpath(find_npm(os.environ).node), str(installed(*NEWEST))
    newest = python_record(
        server="newest",
        argv=(node, str(SERVERS / "ts_newest_only.mjs"), modules),
        read_only_paths=(str(Path(node).parents[1]), str(SERVERS), str(Path(modules).parent)),
        sandbox=Sandbox(memory="1g"),
        startup_timeout=PATIENCE,
    )
    one = python_record("--name", "one", script="chatty.py", server="one", startup_timeout=PATIENCE)
    apply_records(tmp_path, [newest, one])
    write_groups(tmp_path / "projects" / "trial", {"dev": ("newest", "one")})
    command = [
        node,
        str(SERVERS / "ts_newest_client.mjs"),
        modules,
        mode,
        *hatchlock(tmp_path, "run", "--group", "dev"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["version"] == version
    assert {"newest__greet", "one__ask"} < set(seen["tools"])
    assert seen["said"] == ["3", "Hello Ada", "one: yes"]
    assert seen["changes"] == 2
