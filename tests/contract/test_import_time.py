"""What is loaded at a start. Counted, not timed: a library that is not imported costs nothing on any machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.runs import apply_records, python_record, run_command
from support.unavailable import need_isolation

HEAVY = {
    *("docker", "networkx", "pydantic", "resolvelib", "tomlkit", "structlog", "urllib3", "requests", "packaging"),
    *("http.client", "asyncio", "mcp", "rich", "filelock", "ssl", "yaml"),
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


AT_THE_START = """
import json, sys
sys.path += json.loads(sys.argv.pop(1))
def hook(event, arguments):
    if event == "subprocess.Popen":
        print(json.dumps(sorted(sys.modules)), flush=True)
        import os
        os._exit(0)
sys.addaudithook(hook)
from hatchlock.cli.launched import main
main()
"""
LATER = {
    *("ast", "dis", "socket", "tempfile", "shutil", "logging", "argparse", "site", "_hashlib"),
    *("hatchlock.serve.session", "hatchlock.serve.traffic", "hatchlock.serve.gate", "hatchlock.launch_rare"),
    *("hatchlock.security.denials", "hatchlock.security.secrets.resolve", "hatchlock.serve.network.network"),
}


def test_a_server_is_started_before_what_its_session_needs_is_loaded(tmp_path: Path) -> None:
    need_isolation()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    apply_records(home, [python_record()])
    words = ["run", "--home", str(home), "--project", "trial", "echo"]
    # the first time bubblewrap is tried, which starts a program as well
    subprocess.run([*run_command(home)], stdin=subprocess.DEVNULL, check=False, capture_output=True)
    start = [sys.executable, "-I", "-S", "-c", AT_THE_START, json.dumps([path for path in sys.path if path]), *words]
    done = subprocess.run(start, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert {"hatchlock.serve.local", "hatchlock.serve.stdio"} <= loaded
    assert loaded & LATER == set()
