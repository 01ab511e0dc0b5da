"""Clients that this project did not write, over stdio: the TypeScript SDK's and the inspector's; for the Python SDK's see the
tests of each runtime.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from hatchlock.engines.process import find_program
from hatchlock.launch import Sandbox
from support.npm_parts import CONFORMANCE, installed
from support.runs import SERVERS, apply_records, processes_with, python_record, run_command, wait_for
from support.unavailable import need_isolation, unavailable

pytestmark = pytest.mark.network

INSPECTOR = ("@modelcontextprotocol/inspector-cli@1.0.3", "@modelcontextprotocol/sdk@1.29.0")
TOOLS = ["echo", "large", "attempt"]


@pytest.fixture(scope="module")
def node() -> str:
    found = find_program("node", "/usr/bin")
    if found is None:
        unavailable("node is not installed")
    return found


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    need_isolation()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    apply_records(home, [python_record(sandbox=Sandbox(stop_grace=0.5))])
    return run_command(home)


def said_by(*words: str) -> dict[str, object]:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_the_typescript_sdk_lists_and_calls_tools(node: str, command: list[str]) -> None:
    found = said_by(node, str(SERVERS / "ts_stdio.mjs"), str(installed(*CONFORMANCE)), *command)
    assert found == {"tools": TOOLS, "echoed": 1_000_000, "large": 2_000_000}
    assert wait_for(lambda: processes_with(command[-3]) == [])


def test_the_inspector_lists_and_calls_tools(node: str, command: list[str], tmp_path: Path) -> None:
    inspector = installed(*INSPECTOR) / "@modelcontextprotocol" / "inspector-cli"
    # it looks for its name in the package that it is usually a part of, with a web page and more
    (inspector.parent / "package.json").write_text('{"name": "inspector", "version": "1.0.3"}')
    program = inspector / "build" / "index.js"
    start = tmp_path / "start"
    start.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n")
    start.chmod(0o755)
    asked = (node, str(program), str(start), "--method")
    listed = said_by(*asked, "tools/list")["tools"]
    assert isinstance(listed, list)
    assert [tool["name"] for tool in listed] == TOOLS
    called = said_by(*asked, "tools/call", "--tool-name", "echo", "--tool-arg", "text=hello")
    assert called["content"] == [{"type": "text", "text": "hello"}]
    assert wait_for(lambda: processes_with(command[-3]) == [])
