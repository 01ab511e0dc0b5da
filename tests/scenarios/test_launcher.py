"""The launcher that applications start, after the hatchlock that wrote it has gone."""

from __future__ import annotations

from pathlib import Path

from support.project import TrialProject

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[servers.cat]
command = "/bin/cat"
runtime = "process"
"""


def test_an_apply_without_steps_mends_the_launcher_and_doctor_says_so(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, MANIFEST)
    project.ok("up", "--yes", "--no-probe")
    launcher = project.store / "bin" / "hatchlock"
    good = launcher.read_text()
    for bad in ('#!/bin/sh\nexec /gone/bin/python -I -m hatchlock "$@"\n', "#!/bin/sh\nexec '\n", ""):
        launcher.write_text(bad)
        [check] = [item for item in project.run("doctor", "--json").document["checks"] if item["name"] == "launcher"]
        assert (check["state"], "hatchlock apply" in check["mend"]) == ("bad", True)
        assert "Nothing to do" in project.ok("apply", "--yes").out
        assert launcher.read_text() == good
    launcher.unlink()
    project.ok("apply", "--yes")
    assert launcher.read_text() == good
