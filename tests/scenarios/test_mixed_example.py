"""`scripts/mixed-example` as somebody uses it who reads its page: one environment with packages of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.engine_images import untag_all
from support.source_tree import ROOT
from support.unavailable import need_isolation, unavailable

pytestmark = [pytest.mark.engine, pytest.mark.network]

KINDS = ("deb", "git", "hatch", "mcp", "npm", "oci", "path", "pypi", "url")
SCRIPT = """
export HOME="$RESULTS/user" HATCHLOCK_HOME="$RESULTS/store"
keep() { name=$1; shift; hatchlock "$@" >"$RESULTS/$name.out" 2>"$RESULTS/$name.err"; echo $? >"$RESULTS/$name.status"; }
keep lock lock && cp hatch.lock "$RESULTS/first.lock"
keep again lock && cp hatch.lock "$RESULTS/again.lock"
keep upgrade lock --upgrade && cp hatch.lock "$RESULTS/upgrade.lock"
keep check lock --check
mkdir "$CLONE" && cp -R hatchlock.toml dice toolbox "$CLONE"
(cd "$CLONE" && export HATCHLOCK_HOME="$RESULTS/other-store" && keep clone lock && cp hatch.lock "$RESULTS/clone.lock")
keep tree tree
keep why-dateutil why python-dateutil
keep why-node why deb:libnode108
keep why-entry why mcp-server-time
keep outdated outdated --all --json
keep plan plan --json
keep apply apply --yes
keep probe probe toolbox --json
keep probe-time probe time --json
keep greet exec time -- /opt/hatchlock/bin/greet
keep debs exec time -- dpkg-query -W -f '${Package}\n'
keep after plan --json
keep bundle fetch --to "$RESULTS/all.bundle"
(export HATCHLOCK_HOME="$RESULTS/third-store" && keep offline apply --yes --offline --from "$RESULTS/all.bundle")
"""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What each command left."""

    directory: Path

    def lock(self, name: str) -> bytes:
        return (self.directory / f"{name}.lock").read_bytes()

    def out(self, name: str) -> str:
        return (self.directory / f"{name}.out").read_text()

    def err(self, name: str) -> str:
        return (self.directory / f"{name}.err").read_text()

    def status(self, name: str) -> int:
        return int((self.directory / f"{name}.status").read_text())

    def document(self, name: str) -> Any:
        return json.loads(self.out(name))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Results]:
    root = tmp_path_factory.mktemp("mixed")
    directory = root / "results"
    (directory / "user").mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HATCHLOCK_", "XDG_", "PYTHON"))}
    env = {**kept, "RESULTS": str(directory), "CLONE": str(root / "clone"), "DOCKER_HOST": engine}
    untag_all(engine, "mixed")
    script = str(ROOT / "scripts" / "mixed-example")
    command = [sys.executable, script, str(root / "example"), "--", "sh", "-c", SCRIPT]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False)
    if not (directory / "lock.out").exists():
        unavailable(f"the example cannot be served: {(done.stderr.splitlines() or ['no reason was said'])[-1]}")
    yield Results(directory=directory)
    untag_all(engine, "mixed")


def test_the_lock_has_every_kind_and_is_the_same_each_time_also_in_another_place(results: Results) -> None:
    assert results.status("lock") == 0, results.err("lock")
    first = results.lock("first")
    assert [kind for kind in KINDS if f'kind = "{kind}"'.encode() not in first] == []
    for name in ("again", "upgrade", "clone"):
        assert (results.status(name), results.lock(name) == first) == (0, True), results.err(name)
    assert results.status("check") == 0
    assert str(results.directory.parent).encode() not in first


def test_the_ways_lead_across_kinds(results: Results) -> None:
    def names(way: str) -> list[str]:
        return [step.partition("@")[0] for step in way.split(" → ")]

    ways = [line.strip() for line in results.out("why-dateutil").splitlines()]
    assert ["hatch:toolbox", "hatch:units_kit", "pypi:python-dateutil"] in [names(way) for way in ways]
    assert "deb:nodejs@" in results.out("why-node")
    assert "mcp:io.github.acme/time@1.0.0" in results.out("why-entry")
    assert [kind for kind in KINDS if f"─ {kind}:" not in results.out("tree")] == []


def test_of_a_fresh_lock_only_the_image_that_the_manifest_holds_back_has_a_newer_version(results: Results) -> None:
    found = results.document("outdated")
    standings = {item["what"].rpartition("/")[2]: item for item in found["packages"]}
    image = standings["cache"]
    assert (image["current"], image["compatible"], image["newest"]) == ("7.4.1", "7.4.1", "8.0.0")
    assert [item["what"] for item in found["packages"] if item["state"]] == []
    assert found["asked"] > len(KINDS)


def test_a_plan_has_one_image_of_everything_and_the_image_beside_it(results: Results) -> None:
    plan = results.document("plan")
    steps = {step["address"]: step["details"] for step in plan["steps"]}
    assert plan["problems"] == []
    assert steps.keys() == {"env:toolbox", "server:toolbox", "image:mixed.cache", "image:time", "server:time"}
    facts = steps["image:time"]
    assert int(facts["Debian packages"]) > len(KINDS)
    assert [facts[name] for name in ("npm packages", "projects", "programs")] == ["1", "4", "1"]


def test_the_server_in_an_image_of_every_kind_answers_and_finds_what_it_is_made_of(results: Results) -> None:
    assert results.status("apply") == 0, results.err("apply")
    assert "get_current_time" in [tool["name"] for tool in results.document("probe-time")["tools"]]
    assert results.out("greet") == "Hello, world!\n"
    assert {"nodejs", "poppler-utils"} <= set(results.out("debs").split())


def test_the_server_that_is_a_process_answers(results: Results) -> None:
    need_isolation()
    assert results.status("probe") == 0, results.err("probe")
    assert [tool["name"] for tool in results.document("probe")["tools"]] == ["convert"]
    assert results.document("after")["steps"] == []


def test_a_bundle_is_all_that_another_store_needs(results: Results) -> None:
    need_isolation()
    assert results.status("bundle") == 0, results.err("bundle")
    assert (results.directory / "other-store" / "cache").is_dir()
    kept = {path.name for path in (results.directory / "third-store" / "cache").iterdir()}
    assert kept <= {"bases", "bytecode", "isolation", "layers-1", "memo", "seccomp"}, "nobody was asked anything"
    assert "server:toolbox  answered in" in results.err("offline")
