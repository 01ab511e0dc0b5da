"""The official conformance suite against one server, over its own HTTP and through `serve`: the same result.

The server is written with the TypeScript SDK, which speaks both; so is another client of `serve`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.sources.npm.program import find_npm
from support.mcp_http import serving
from support.npm_parts import CONFORMANCE, installed
from support.runs import SERVERS, apply_records, python_record

pytestmark = pytest.mark.network

SHORT = ("tools-call-sampling", "dns-rebinding-protection")
BETTER = {"server-sse-polling: 0 passed, 1 failed": "server-sse-polling: 1 passed, 1 failed"}
"""What `serve` does and the SDK's transport, as it is started here, does not: it sends an event to come back to first."""


@pytest.fixture(scope="session")
def modules() -> Path:
    return installed(*CONFORMANCE)


@pytest.fixture(scope="session")
def node() -> str:
    return os.path.realpath(find_npm(os.environ).node)


def node_record(node: str, modules: Path) -> LaunchRecord:
    return python_record(
        server="conformance",
        argv=(node, str(SERVERS / "conformance.mjs"), str(modules), "stdio"),
        read_only_paths=(str(Path(node).parents[1]), str(SERVERS), str(modules.parent)),
        sandbox=Sandbox(memory="1g"),
    )


@pytest.fixture(scope="module")
def direct(node: str, modules: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [node, str(SERVERS / "conformance.mjs"), str(modules), "http"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, node: str, modules: Path) -> Path:
    home = tmp_path_factory.mktemp("store")
    home.chmod(0o700)
    apply_records(home, [node_record(node, modules), python_record(script="chatty.py", server="chatty")])
    return home


def results(node: str, modules: Path, url: str, *options: str) -> set[str]:
    """What the suite says of each scenario."""
    suite = modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    command = [node, str(suite), "server", "--url", url, *options]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=modules.parent).stdout
    if "--scenario" in options:
        found = re.findall(r"Passed: (\d+)/(\d+)", said)
        assert found, said
        return {f"{options[-1]}: {passed} of {count}" for passed, count in found}
    return set(re.findall(r"^[✓✗] (.*)$", said, re.MULTILINE))


def test_a_server_conforms_through_serve_as_it_does_by_itself(
    direct: str, store: Path, node: str, modules: Path
) -> None:
    with serving(store, "conformance", "--no-token") as front, ThreadPoolExecutor(2) as pool:

        def both(scenario: str) -> tuple[set[str], set[str]]:
            options = ("--scenario", scenario)
            return results(node, modules, direct, *options), results(node, modules, front.url, *options)

        for by_itself, served in pool.map(both, SHORT):
            assert served == by_itself
            (said,) = served
            assert re.fullmatch(r"[\w-]+: (\d+) of \1", said)


@pytest.mark.full
def test_the_whole_suite_says_the_same(direct: str, store: Path, node: str, modules: Path) -> None:
    by_itself = results(node, modules, direct, "--suite", "all")
    with serving(store, "conformance", "--no-token") as front:
        served = results(node, modules, front.url, "--suite", "all")
    assert len(by_itself) == 32
    assert served == {BETTER.get(line, line) for line in by_itself}
    assert sum(" 0 failed" in line for line in served) == 31


def test_the_typescript_sdk_speaks_with_it(store: Path, node: str, modules: Path) -> None:
    with serving(store, "chatty") as front:
        command = [node, str(SERVERS / "ts_client.mjs"), str(modules), front.url, front.token]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        seen = json.loads(said.stdout)
    assert "echo" in seen["tools"]
    assert seen["echoed"] == 2_000_000 + len("chatty: ")
    assert (seen["asked"], seen["progress"]) == ("chatty: yes", [0, 1, 2])
    assert seen["logged"] == ["0", "1"]
    assert len(seen["session"]) == 32
