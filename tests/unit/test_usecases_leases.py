from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hatchlock.events import Event
from hatchlock.files import remove_tree
from hatchlock.paths import Home
from hatchlock.state.lease import LeaseHeld, lease
from hatchlock.state.project import ProjectState
from hatchlock.usecases.leases import all_leases, manifest_lease, project_lease


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(root=tmp_path / "store", is_default=False)
    for name in ("a", "b", "c"):
        made.project(name).mkdir(mode=0o700, parents=True)
    for directory in (made.root, made.root / "projects"):
        directory.chmod(0o700)
    return made


def held(home: Home, name: str) -> bool:
    """Whether somebody has a project's lease, found out by asking for it."""
    try:
        with project_lease(home, name, ProjectState(home.project(name)), purpose="test", timeout=0):
            return False
    except LeaseHeld:
        return True


def test_all_leases_are_those_of_every_project_and_of_those_to_come(home: Home) -> None:
    with all_leases(home, purpose="gc", timeout=0):
        assert [held(home, name) for name in ("a", "b", "c", "new")] == [True] * 4
    assert [held(home, name) for name in ("a", "b", "c", "new")] == [False] * 4


def test_who_waits_for_one_project_keeps_no_other_waiting(home: Home) -> None:
    told, got = threading.Event(), threading.Event()
    said: list[Event] = []

    def hear(event: Event) -> None:
        said.append(event)
        told.set()

    def collect() -> None:
        with all_leases(home, purpose="gc", timeout=60, emit=hear):
            got.set()

    collector = threading.Thread(target=collect)
    state = ProjectState(home.project("b"))
    with project_lease(home, "b", state, purpose="apply", timeout=0):
        collector.start()
        assert told.wait(60)
        assert "the project 'b', held by `apply`" in said[0].message
        assert [held(home, name) for name in ("a", "c", "new")] == [False] * 3
        assert not got.is_set()
    collector.join(60)
    assert got.is_set()


def test_who_waits_for_a_trial_that_ends_with_all_of_its_state_goes_on_without_it(home: Home) -> None:
    told, got = threading.Event(), threading.Event()

    def collect() -> None:
        with all_leases(home, purpose="gc", timeout=60, emit=lambda _: told.set()):
            got.set()

    collector = threading.Thread(target=collect)
    with project_lease(home, "b", ProjectState(home.project("b")), purpose="try", timeout=0):
        collector.start()
        assert told.wait(60)
        remove_tree(home.project("b"))  # as trials do: who waits may make the lock anew in it
    collector.join(60)
    assert got.is_set()


def test_it_is_given_up_after_the_timeout_and_holds_nothing(home: Home) -> None:
    with project_lease(home, "b", ProjectState(home.project("b")), purpose="apply", timeout=0):
        for timeout in (0, 0.2):
            with (
                pytest.raises(LeaseHeld, match="the project 'b' is held by `apply`"),
                all_leases(home, purpose="gc", timeout=timeout),
            ):
                pytest.fail("it has all")
    assert [held(home, name) for name in ("a", "b", "c", "new")] == [False] * 4


def test_a_manifest_has_one_lease_however_it_is_named(home: Home, tmp_path: Path) -> None:
    manifest = tmp_path / "hatchlock.toml"
    manifest.write_text("")
    (tmp_path / "link.toml").symlink_to(manifest)
    with manifest_lease(home, manifest, purpose="add", timeout=0):
        with (
            pytest.raises(LeaseHeld, match=r"the manifest .*link\.toml is held by `add`"),
            manifest_lease(home, tmp_path / "link.toml", purpose="remove", timeout=0),
        ):
            pytest.fail("two hold it")
        with manifest_lease(home, tmp_path / "other.toml", purpose="add", timeout=0):
            pass
    with lease(home.root / "locks" / "x.lock", what="it", purpose="test", timeout=0, lasting=False):
        pass
    assert list((home.root / "locks").iterdir()) == []
