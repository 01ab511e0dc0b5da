"""`plan --assume`: what a changed lock would do, on a machine that nobody looks at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.cats import CatProject
from support.index import serving
from support.project import TrialProject, server_release

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
clients = ["cursor"]

[indexes.pypi]
url = "URL"

[servers.tiny]
source = "pypi:tiny-server"

[servers.kept]
command = ["/opt/nowhere/program", "--old"]

[servers.gone]
command = ["/opt/nowhere/program"]
[servers.gone.sandbox]
writable = ["/data"]
reason = "it remembers"
"""


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    """A project with a commit, and changes since; no engine, no interpreter, no program and no store is there."""
    with serving(server_release(tmp_path / "wheels")) as index:
        project = CatProject(tmp_path, MANIFEST.replace("URL", index.url))
        project.ok("lock")
        project.lock.with_name("old.lock").write_bytes(project.lock.read_bytes())
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.invalid", "-C", str(project.directory)]
        for words in (["init", "-q"], ["add", "hatch.lock"], ["commit", "-q", "-m", "x"]):
            subprocess.run([*git, *words], check=True)
        index.releases.append(server_release(tmp_path / "newer", version="2.0"))
        text = project.manifest.read_text().partition("[servers.gone]")[0].replace("--old", "--new")
        project.write(text + '[servers.fresh]\nsource = "pypi:tiny-server"\n')
        project.ok("lock", "--upgrade", "--refresh")
    # whoever looks at one of them fails: there is a file where a directory is read
    broken = tmp_path / "broken"
    broken.write_text("")
    project.env |= {"HATCHLOCK_HOME": str(broken), "DOCKER_HOST": "unix:///nowhere/docker.sock", "PATH": "/nowhere"}
    return project


STEPS = [
    ("create", "env:fresh", "not found"),
    ("create", "env:tiny", "not found"),
    ("create", "server:fresh", "not found"),
    ("delete", "server:gone", "not declared any more"),
    ("delete", "volume:gone/data@process", "not declared any more"),
    ("update", "server:kept", "arguments, launch record changed"),
    ("update", "server:tiny", "from, launch record changed"),
    ("create", "client:cursor/fresh", "not found"),
]


def test_it_says_what_would_be_made_changed_and_removed_and_why(project: TrialProject) -> None:
    document = project.ok("plan", "--assume", "old.lock", "--json").document
    found = [(step["action"], step["address"], step["cause"]) for step in document["steps"]]
    assert sorted(found) == sorted(STEPS)
    assert (document["problems"], document["unchanged"]) == ([], 2)
    (volume,) = [step for step in document["steps"] if step["address"].startswith("volume:")]
    assert volume["loss"] == "what gone keeps in /data"


def test_it_is_asked_as_a_check_and_written_as_markdown(project: TrialProject) -> None:
    done = project.run("plan", "--assume", "old.lock", "--check")
    assert (done.status, "for linux/" in done.err) == (2, True)
    assert project.ok("plan", "--assume", "hatch.lock", "--check").out.startswith("Nothing to do: 8 resources are")
    text = project.ok("plan", "--assume", "old.lock", "--markdown").out
    assert "* `-` `server:gone` `not declared any more`\n" in text
    assert "  * **destructive**: `what gone keeps in /data`\n" in text
    assert "From a machine that is as `old.lock` says, for linux/" in text


def test_a_platform_can_be_named_and_has_to_be_one_of_the_locks(project: TrialProject) -> None:
    here = project.ok("plan", "--assume", "old.lock", "--json", "--platform", "linux/amd64").document
    there = project.ok("plan", "--assume", "old.lock", "--json", "--platform", "linux/arm64").document
    assert [step["address"] for step in here["steps"]] == [step["address"] for step in there["steps"]]
    assert project.run("plan", "--assume", "old.lock", "--platform", "darwin/arm64").status == 1
    assert project.run("plan", "--assume", "old.lock", "--platform", "amiga/68k").status == 64
    assert project.run("plan", "--platform", "linux/amd64").status == 64


def test_a_revision_is_a_lock_too(project: TrialProject) -> None:
    project.env["PATH"] = "/usr/bin:/bin"
    documents = [project.ok("plan", "--assume", name, "--json").document for name in ("HEAD", "old.lock")]
    assert [document["versions"].pop("since") for document in documents] == ["HEAD", "old.lock"]
    assert documents[0] == documents[1]


def test_the_versions_that_differ_are_said_too(project: TrialProject) -> None:
    change = {"what": "pypi:tiny-server", "sign": "~", "before": "1.0", "after": "2.0"}
    document = project.ok("plan", "--assume", "old.lock", "--json").document
    assert document["versions"] == {"since": "old.lock", "changes": [change]}
    text = project.ok("plan", "--assume", "old.lock", "--markdown").out
    assert "\nSince `old.lock`:\n\n* `~ pypi:tiny-server 1.0 -> 2.0`\n" in text
    assert project.ok("plan", "--assume", "old.lock").out.endswith(
        "\n\nSince old.lock:\n  ~ pypi:tiny-server 1.0 -> 2.0\n"
    )
    same = project.ok("plan", "--assume", "hatch.lock", "--json").document
    assert same["versions"] == {"since": "", "changes": []}


def test_what_is_no_lock_and_what_cannot_go_together_is_an_error(project: TrialProject) -> None:
    assert "there is no lock 'none.lock'" in project.fails("plan", "--assume", "none.lock").err
    for words in (["--out", "plan.json"], ["--only", "server:tiny"], ["--replace", "server:tiny"]):
        done = project.run("plan", "--assume", "old.lock", *words)
        assert (done.status, "applied nowhere" in done.err) == (64, True)
    project.edit("--new", "--newer")
    assert "does not satisfy" in project.fails("plan", "--assume", "old.lock").err
