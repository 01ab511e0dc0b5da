"""What is said where processes cannot be isolated: by plan and status, and by doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.project import TrialProject

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[servers.loose]
command = "/bin/cat"
runtime = "process"
isolation = "best-effort"
clients = []

[servers.tight]
command = "/bin/cat"
runtime = "process"
clients = []
"""
SAID = "not isolated: bubblewrap does not work (bwrap: No permissions to create new namespace)"


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    fake = tmp_path / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    project = TrialProject(tmp_path / "project", MANIFEST, PATH=f"{fake.parent}:/usr/bin:/bin")
    project.ok("lock")
    return project


def test_best_effort_is_told_each_time_and_required_refused(project: TrialProject) -> None:
    planned = project.fails("plan").out
    assert f"! {SAID}" in planned
    assert "! server:tight  this server must be isolated, and that is not possible here" in planned
    project.run("apply", "--yes", "--no-probe")
    assert list(project.active()) == ["loose"]
    assert f"! {SAID}" in project.run("status").out
    again = project.fails("plan").out
    assert "No steps: 1 resource is as declared, 1 cannot be planned" in again


def test_doctor_says_what_is_missing_and_how_limits_bind(project: TrialProject) -> None:
    found = {check["name"]: check for check in project.run("doctor", "--json").document["checks"]}
    assert found["bubblewrap"]["state"] == "missing"
    assert "No permissions to create new namespace" in found["bubblewrap"]["found"]
    assert found["process limits"]["state"] in {"ok", "missing"}
    assert (found["process limits"]["mend"] == "") == (found["process limits"]["state"] == "ok")
