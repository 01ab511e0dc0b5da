"""What of this machine a server may see."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

import pytest

from hatchlock.launch import WORKSPACE, Mount, target_problem
from hatchlock.security import mounts as mounts_module
from hatchlock.security.mounts import CREDENTIALS, MountRefused, Protected, mount_problem, settle


@pytest.fixture
def protected(tmp_path: Path) -> Protected:
    for name in ("home", "store", "project", "engines"):
        (tmp_path / name).mkdir()
    return Protected(
        home=str(tmp_path / "home"),
        store=str(tmp_path / "store"),
        engine=f"unix://{tmp_path}/engines/docker.sock",
    )


def mount(source: Path | str, mode: Literal["ro", "rw"] = "ro") -> Mount:
    return Mount(source=str(source), target="/data", mode=mode)


def refusal(source: Path | str, protected: Protected, mode: Literal["ro", "rw"] = "ro") -> str:
    with pytest.raises(MountRefused) as caught:
        settle([mount(source, mode)], protected)
    assert caught.value.hint
    return str(caught.value)


def test_a_directory_of_the_project_is_seen_where_it_really_is(tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "link").symlink_to("project")
    (found,) = settle([mount(tmp_path / "link", "rw")], protected)
    assert found == mount(tmp_path / "project", "rw")


SYSTEM = (
    "/",
    "/etc",
    "/etc/passwd",
    "/proc",
    "/proc/self",
    "/sys",
    "/dev",
    "/dev/null",
    "/run",
    "/usr",
    "/bin",
    "/home",
    "/var",
)


@pytest.mark.parametrize("source", [*SYSTEM, "/root", "/tmp", "/var/log"])
def test_directories_of_the_system_are_refused(source: str, protected: Protected) -> None:
    assert "is refused" in refusal(source, protected)


def test_what_links_to_them_is_refused_by_its_real_name(tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "project" / "data").symlink_to("/etc")
    assert refusal(tmp_path / "project" / "data", protected).endswith("it is /etc, and it is a directory of the system")


def test_programs_may_be_read_and_never_written(protected: Protected) -> None:
    (found,) = settle([mount("/usr/share")], protected)
    assert found.source == "/usr/share"
    assert "would be writable" in refusal("/usr/share", protected, "rw")


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_are_refused(name: str, tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "home" / name / "below").mkdir(parents=True)
    assert "where credentials are" in refusal(tmp_path / "home" / name, protected)
    assert "where credentials are" in refusal(tmp_path / "home" / name / "below", protected)


def test_what_has_them_below_it_is_refused(tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "home" / ".config" / "gh").mkdir(parents=True)
    assert f"{tmp_path}/home/.config/gh is below it" in refusal(tmp_path / "home" / ".config", protected)
    assert "a whole home directory" in refusal(tmp_path / "home", protected)
    assert "is below it" in refusal(tmp_path, protected)


def test_credentials_that_are_elsewhere_are_found_there(tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "home" / ".ssh").symlink_to(tmp_path / "keys")
    assert "where credentials are" in refusal(tmp_path / "keys", protected)


def test_the_store_is_refused_and_the_engine_with_its_socket(tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "store" / "envs").mkdir()
    assert "hatchlock's own store" in refusal(tmp_path / "store" / "envs", protected)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "engines" / "docker.sock"))
        assert "is refused" in refusal(tmp_path / "engines" / "docker.sock", protected)
        assert "the socket of a container engine" in refusal(tmp_path / "engines", protected)


def test_what_is_neither_a_file_nor_a_directory_is_refused(tmp_path: Path, protected: Protected) -> None:
    os.mkfifo(tmp_path / "project" / "pipe")
    assert "neither a file nor a directory" in refusal(tmp_path / "project" / "pipe", protected)


def test_a_missing_source_is_an_error_with_the_command_that_makes_it(tmp_path: Path, protected: Protected) -> None:
    with pytest.raises(MountRefused) as caught:
        settle([mount(tmp_path / "data")], protected)
    assert "there is no such file or directory" in str(caught.value)
    assert f"mkdir -p {tmp_path}/data" in caught.value.hint


def test_the_workspace_is_known_when_the_server_starts_and_checked_like_any_other(
    tmp_path: Path, protected: Protected
) -> None:
    asked = [mount(WORKSPACE)]
    assert settle(asked, protected) == tuple(asked)
    (found,) = settle(asked, protected, workspace=str(tmp_path / "project"))
    assert found.source == str(tmp_path / "project")
    with pytest.raises(MountRefused) as caught:
        settle(asked, protected, workspace=str(tmp_path / "home"))
    assert "a whole home directory" in str(caught.value)
    assert "`workspace` is the directory that `run` is started in" in caught.value.hint


def test_what_became_a_link_since_it_was_applied_is_refused(tmp_path: Path, protected: Protected) -> None:
    applied = settle([mount(tmp_path / "project")], protected)
    assert settle(applied, protected, settled=True) == applied
    (tmp_path / "project").rename(tmp_path / "moved")
    (tmp_path / "project").symlink_to("moved")
    with pytest.raises(MountRefused, match="become a link"):
        settle(applied, protected, settled=True)


def test_the_accounts_home_is_protected_also_where_an_application_has_another(
    tmp_path: Path, protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applications of snap and flatpak get a HOME of their own, and start servers in the user's."""
    account = tmp_path / "ada"
    (account / ".ssh").mkdir(parents=True)
    (account / "work").mkdir()
    assert mount_problem(str(account), "ro", protected) == ""
    monkeypatch.setattr(mounts_module, "account_home", lambda: str(account))
    assert "whole home directory" in mount_problem(str(account), "ro", protected)
    assert "credentials" in mount_problem(str(account / ".ssh"), "ro", protected)
    assert mount_problem(str(account / "work"), "ro", protected) == ""


def test_a_file_may_be_mounted(tmp_path: Path, protected: Protected) -> None:
    (tmp_path / "project" / "rules.txt").write_text("x")
    assert mount_problem(str(tmp_path / "project" / "rules.txt"), "rw", protected) == ""


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//",
        "//proc",
        "//run/secrets/x",
        "/proc",
        "/sys/fs",
        "/dev/shm",
        "/run",
        "/opt",
        "/data/../proc",
        "/run/secrets",
    ],
)
def test_some_places_inside_are_the_sandboxs_own(target: str) -> None:
    assert target_problem(target)


@pytest.mark.parametrize("target", ["/data", "/home/hatchlock/notes", "/srv/x", "/procs", "/opt/data"])
def test_others_are_free(target: str) -> None:
    assert target_problem(target) == ""
