"""Whether the directories that a lock names are still what was locked of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import File, Lock, Package
from hatchlock.paths import Home
from hatchlock.sources.projects.problems import LeadsOut, MissingProject
from hatchlock.sources.projects.snapshot import snapshot
from hatchlock.usecases.live import are_unchanged, changed_directories, signatures
from hatchlock.usecases.project import Project
from support.trees import plant


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with two directories, one of them outside of its own."""
    plant(tmp_path, {"work/server/main.py": "VALUE = 1\n", "core/core.py": "VALUE = 2\n"})
    return Project(
        manifest=tmp_path / "work" / "hatchlock.toml",
        home=Home(root=tmp_path / "store", is_default=False),
        environ={},
        manifest_bytes=b"",
        overlay_bytes=b"",
        lock_bytes=None,
    )


def package(project: Project, location: str, kind: Kind = Kind.PATH) -> Package:
    found = snapshot(project.directory / location)
    file = File(name="x.tar", sha256=found.sha256, size=found.size)
    return Package(kind=kind, name=location.rpartition("/")[2], version="1", location=location, files=(file,))


@pytest.fixture
def lock(project: Project) -> Lock:
    return Lock(project="p", platforms=(), packages=(package(project, "../core"), package(project, "./server")))


def server(project: Project) -> Path:
    return project.directory / "server" / "main.py"


def test_nothing_changed(project: Project, lock: Lock) -> None:
    assert changed_directories(project, lock) == ()
    marks = signatures(project, lock)
    assert sorted(marks) == sorted(str(project.directory / name) for name in ("../core", "./server"))
    assert are_unchanged(marks, project)


def test_a_changed_one_is_named_by_its_package_and_its_place(project: Project, lock: Lock) -> None:
    marks = signatures(project, lock)
    (project.directory.parent / "core" / "new.py").write_text("")
    (reason,) = changed_directories(project, lock)
    assert str(reason) == "path:core: ../core changed since it was locked"
    assert not are_unchanged(marks, project)


def test_the_same_size_and_another_content_is_a_change(project: Project, lock: Lock) -> None:
    server(project).write_text("VALUE = 9\n")
    assert [reason.address for reason in changed_directories(project, lock)] == ["path:server"]


def test_a_mark_that_says_too_much_is_corrected_by_the_content(project: Project, lock: Lock) -> None:
    marks = signatures(project, lock)
    os.utime(server(project), ns=(1, 1))
    assert not are_unchanged(marks, project), "a quick look cannot know better"
    assert changed_directories(project, lock) == ()


def test_a_mode_that_matters_is_a_change(project: Project, lock: Lock) -> None:
    server(project).chmod(0o755)
    assert [reason.address for reason in changed_directories(project, lock)] == ["path:server"]


def test_what_the_project_ignores_is_none(project: Project) -> None:
    (project.directory / "server" / ".gitignore").write_text("*.log\n")
    lock = Lock(project="p", platforms=(), packages=(package(project, "./server"),))
    marks = signatures(project, lock)
    (project.directory / "server" / "today.log").write_text("x")
    assert are_unchanged(marks, project)
    assert changed_directories(project, lock) == ()


def test_our_own_store_in_it_is_none(project: Project) -> None:
    inside = replace(project, home=Home(root=project.directory / "server" / ".store", is_default=False))
    lock = Lock(project="p", platforms=(), packages=(package(project, "./server"),))
    marks = signatures(inside, lock)
    plant(inside.home.root, {"cache/memo/x.json": "{}"})
    assert are_unchanged(marks, inside)
    assert changed_directories(inside, lock) == ()
    assert changed_directories(project, lock) != (), "elsewhere it would be one"


def test_a_directory_that_is_gone_is_said_and_never_taken_for_unchanged(project: Project, lock: Lock) -> None:
    marks = signatures(project, lock)
    shutil.rmtree(project.directory / "server")
    assert not are_unchanged(marks, project)
    for look in (changed_directories, signatures):
        with pytest.raises(MissingProject, match="server"):
            look(project, lock)


def test_what_no_project_may_have_is_said(project: Project, lock: Lock) -> None:
    marks = signatures(project, lock)
    (project.directory / "server" / "link").symlink_to("/etc/passwd")
    assert not are_unchanged(marks, project)
    with pytest.raises(LeadsOut, match="/etc/passwd"):
        changed_directories(project, lock)


def test_only_directories_are_looked_at(project: Project) -> None:
    git = package(project, "./server", Kind.GIT)
    server(project).write_text("VALUE = 9\n")
    lock = Lock(project="p", platforms=(), packages=(git,))
    assert (signatures(project, lock), changed_directories(project, lock)) == ({}, ())
    assert are_unchanged({}, project)
