"""Mounts of a server that runs: where they lead, and when they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.engines.process import check_isolation
from hatchlock.launch import WORKSPACE, Mount, Sandbox
from support.runs import BARE, Run, apply_records, python_record, run_command
from support.unavailable import unavailable


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if problem := check_isolation():
        unavailable(problem)
    tmp_path.chmod(0o755)
    directory = tmp_path / "project"
    directory.mkdir(mode=0o755)
    (directory / "notes.txt").write_text("a note")
    return directory


def start(home: Path, mount: Mount, workspace: Path) -> Run:
    record = python_record(sandbox=Sandbox(mounts=(mount,), reason="a test"))
    apply_records(home, [record])
    return Run(command=run_command(home), env=BARE, cwd=workspace)


def test_the_workspace_is_where_the_application_started_it(project: Path, tmp_path: Path) -> None:
    with start(tmp_path / "home", Mount(source=WORKSPACE, target="/work"), project) as run:
        assert "serverInfo" in run.hello()
        assert "a note" in run.attempt("read", "/work/notes.txt")
        assert "Read-only" in run.attempt("write", "/work/new")


def test_a_workspace_that_no_server_may_see_is_refused_before_it_starts(tmp_path: Path, project: Path) -> None:
    with start(tmp_path / "home", Mount(source=WORKSPACE, target="/work"), Path("/")) as run:
        status, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"server:echo: the mount of workspace at /work is refused: it is /, and it is the whole machine" in err
    assert b"hint: let the application start it in a project's directory" in err


def test_a_source_that_was_replaced_by_a_link_is_refused_when_it_starts(project: Path, tmp_path: Path) -> None:
    mount = Mount(source=str(project), target="/work")
    project.rename(tmp_path / "moved")
    project.symlink_to("/etc")
    with start(tmp_path / "home", mount, tmp_path) as run:
        status, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"it has become a link to /etc since it was applied" in err


def test_a_link_inside_of_a_mount_leads_nowhere_else(project: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("not for servers")
    (project / "out").symlink_to(tmp_path / "secret.txt")
    with start(tmp_path / "home", Mount(source=str(project), target="/work"), tmp_path) as run:
        assert "serverInfo" in run.hello()
        assert "No such file" in run.attempt("read", "/work/out")
