"""Mounts of a server that runs: where they lead, and when they are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from hatchlock.launch import WORKSPACE, Mount, Sandbox
from support.runs import BARE, Run, apply_records, python_record, run_command
from support.unavailable import need_isolation


@pytest.fixture
def project(tmp_path: Path) -> Path:
    need_isolation()
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
    with start(tmp_path / "home", Mount(source=WORKSPACE, target="/notes"), project) as run:
        assert "serverInfo" in run.hello()
        assert "a note" in run.attempt("read", "/notes/notes.txt")
        assert "Read-only" in run.attempt("write", "/notes/new")


def test_a_workspace_that_no_server_may_see_is_refused_before_it_starts(tmp_path: Path, project: Path) -> None:
    with start(tmp_path / "home", Mount(source=WORKSPACE, target="/notes"), Path("/")) as run:
        status, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"server:echo: the mount of workspace at /notes is refused: it is /, and it is the whole machine" in err
    assert b"hint: let the application start it in a project's directory" in err


def test_a_source_that_was_replaced_by_a_link_is_refused_when_it_starts(project: Path, tmp_path: Path) -> None:
    mount = Mount(source=str(project), target="/notes")
    project.rename(tmp_path / "moved")
    project.symlink_to("/etc")
    with start(tmp_path / "home", mount, tmp_path) as run:
        status, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"it has become a link to /etc since it was applied" in err


def test_a_link_inside_of_a_mount_leads_nowhere_else(project: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("not for servers")
    (project / "out").symlink_to(tmp_path / "secret.txt")
    with start(tmp_path / "home", Mount(source=str(project), target="/notes"), tmp_path) as run:
        assert "serverInfo" in run.hello()
        assert "No such file" in run.attempt("read", "/notes/out")


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_mount_inside_of_another_one_is_not_put_through_a_link(
    project: Path, tmp_path: Path, mode: Literal["ro", "rw"]
) -> None:
    """Bubblewrap makes what it mounts on: through a link that a server has made, that would be outside, as whoever starts it."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (project / "link").symlink_to(f"/oldroot{victim}")
    (tmp_path / "inner").mkdir()
    mounts = (
        Mount(source=str(project), target="/notes", mode=mode),
        Mount(source=str(tmp_path / "inner"), target="/notes/link/made"),
    )
    record = python_record(sandbox=Sandbox(mounts=mounts, reason="a test"))
    apply_records(tmp_path / "home", [record])
    with Run(command=run_command(tmp_path / "home"), env=BARE, cwd=tmp_path) as run:
        status, out, err = run.end()
    assert not list(victim.iterdir())
    assert (status, out) == (1, b"")
    wanted = {"ro": "/notes/link/made, ", "rw": "a mount at /notes/link/made inside of /notes, which is rw"}
    assert wanted[mode].encode() in err


def test_a_mount_is_put_inside_of_another_one_where_something_is(project: Path, tmp_path: Path) -> None:
    (project / "docs").mkdir()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "other.txt").write_text("another note")
    mounts = (
        Mount(source=str(project), target="/notes"),
        Mount(source=str(tmp_path / "inner"), target="/notes/docs"),
    )
    apply_records(tmp_path / "home", [python_record(sandbox=Sandbox(mounts=mounts, reason="a test"))])
    with Run(command=run_command(tmp_path / "home"), env=BARE, cwd=tmp_path) as run:
        assert "serverInfo" in run.hello()
        assert "another note" in run.attempt("read", "/notes/docs/other.txt")
