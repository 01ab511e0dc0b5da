"""What is loaded at a start. Counted, not timed: a library that is not imported costs nothing on any machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("docker", "networkx", "pydantic", "resolvelib", "tomlkit", "structlog", "urllib3", "requests", "packaging"),
    *("http.client", "asyncio", "mcp", "rich", "filelock", "ssl"),
}
CODE = "import json, sys\nimport {module}\nprint(json.dumps(sorted(sys.modules)))"


def loaded_by(module: str) -> set[str]:
    command = [sys.executable, "-c", CODE.format(module=module)]
    return set(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


@pytest.mark.parametrize(
    "module",
    [
        "hatchlock.cli.main",
        "hatchlock.usecases.run",
        "hatchlock.reconcile.diff",
        "hatchlock.reconcile.planfile",
        "hatchlock.resources.client",
    ],
)
def test_no_heavy_library_is_loaded_at_a_start(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert loaded & HEAVY == set()


def test_the_list_of_heavy_libraries_would_be_noticed() -> None:
    assert loaded_by("hatchlock.manifest.schema") & HEAVY >= {"pydantic"}
