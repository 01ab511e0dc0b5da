"""Volumes of processes, which are directories of the store; those of engines are tried on engines."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from hatchlock.address import Address, ResourceKind
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.manifest.handover import Handover
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action, Problem
from hatchlock.resources.server import ServerResource, ServerSpec
from hatchlock.resources.volume import VolumeInUse, VolumeResource, VolumeSpec, volume_place
from hatchlock.resources.volume_directories import make_directory
from hatchlock.state.project import ProjectState

OWNER = f"{os.getuid()}:{os.getgid()}"


class Kept:
    """A project whose servers keep something."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root=root, is_default=False)
        self.state = ProjectState(self.home.project("p"))

    def place(self, path: str, server: str = "notes") -> Path:
        record = LaunchRecord(project="p", server=server, runtime="process", argv=("x",), key="")
        return Path(volume_place(self.home, record, path))

    def resource(self, *paths: str, user: str = OWNER, applied: Mapping[Address, str] | None = None) -> VolumeResource:
        specs = [
            VolumeSpec(server="notes", path=path, place=str(self.place(path)), user=user, runtime="process")
            for path in paths
        ]
        return VolumeResource(specs, home=self.home, project="p", state=self.state, engine="", applied=applied)

    def plan(self, *paths: str, user: str = OWNER) -> Plan:
        found = self.resource(*paths, user=user)
        return diff(found.desired(), found.observe(), found.problems)

    def apply(self, *paths: str, user: str = OWNER) -> None:
        for step in self.plan(*paths, user=user).steps:
            self.resource(*paths, user=user).apply(step)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_directory_of_its_own_is_made_once(kept: Kept) -> None:
    (step,) = kept.plan("/var/lib/x").steps
    assert (step.action, str(step.address), step.loss) == (Action.CREATE, "volume:notes/var/lib/x@process", "")
    kept.apply("/var/lib/x")
    facts = kept.place("/var/lib/x").stat()
    assert (facts.st_mode & 0o777, facts.st_uid) == (0o700, os.getuid())
    assert kept.plan("/var/lib/x").steps == ()


@pytest.mark.parametrize("path", ["/data", "/a/b", "/a%2Fb", "/.x", "/ü b"])
def test_a_directory_says_which_path_it_is_for(kept: Kept, path: str) -> None:
    kept.apply(path)
    (seen,) = kept.resource().observe()
    assert (seen.address.name, seen.facts["for"]) == (f"notes{path}@process", path)


def test_what_is_lost_is_said_and_nothing_is_lost_with_an_empty_directory(kept: Kept) -> None:
    kept.apply("/data", "/more")
    (kept.place("/data") / "deep").mkdir()
    (kept.place("/data") / "deep" / "a").write_bytes(b"x" * 1500)
    losses = {str(step.address): step.loss for step in kept.plan().steps}
    assert losses == {"volume:notes/data@process": "1.5 kB that notes keeps in /data", "volume:notes/more@process": ""}
    kept.apply()
    assert kept.plan().existing == 0
    assert not kept.place("/data").parent.exists()


def test_directories_and_files_without_a_byte_are_nothing_as_in_an_engine_which_tells_bytes_alone(kept: Kept) -> None:
    kept.apply("/data")
    (kept.place("/data") / "deep").mkdir()
    (kept.place("/data") / "deep" / "a").touch()
    assert [step.loss for step in kept.plan().steps] == [""]


def test_what_cannot_be_looked_at_is_not_taken_for_nothing(kept: Kept) -> None:
    kept.apply("/data")
    above = os.open(kept.place("/data"), os.O_RDONLY)
    for _ in range(17):  # beyond what a path may have
        os.mkdir("x" * 250, dir_fd=above)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)
    assert [step.loss for step in kept.plan().steps] == ["what notes keeps in /data"]
    kept.apply()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_directory_of_another_user_is_made_anew_and_what_was_in_it_is_lost(kept: Kept) -> None:
    kept.apply("/data", user="4242:4242")
    (kept.place("/data") / "a").write_bytes(b"xx")
    (step,) = kept.plan("/data", user="4243:4243").steps
    assert (step.action, step.details["owner"]) == (Action.UPDATE, "4242:4242 -> 4243:4243")
    assert step.loss == "2 bytes that notes keeps in /data"
    kept.apply("/data", user="4243:4243")
    assert kept.place("/data").stat().st_uid == 4243
    assert list(kept.place("/data").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_directory_that_somebody_has_given_away_is_taken_back_with_what_is_in_it(kept: Kept) -> None:
    kept.apply("/data", user="4242:4242")
    (kept.place("/data") / "a").touch()
    address = Address.parse("volume:notes/data@process")
    applied = {address: f"{kept.place('/data')} 4242"}
    os.chown(kept.place("/data"), 0, 0)
    found = kept.resource("/data", user="4242:4242", applied=applied)
    (step,) = diff(found.desired(), found.observe(), applied=applied).steps
    assert (step.cause, step.drift, step.loss) == ("owner changed since it was applied", True, "")
    found.apply(step)
    assert kept.place("/data").stat().st_uid == 4242
    assert [path.name for path in kept.place("/data").iterdir()] == ["a"]
    assert diff(found.desired(), found.observe(), applied=applied).steps == ()


def test_one_is_seen_as_it_is_among_all_without_a_look_at_those_of_other_servers(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in ("first", "second", "notes", "other"):
        make_directory(kept.home, "p", kept.place("/data", server), OWNER)
    looked_at: list[str] = []
    stat = Path.stat

    def noted(path: Path, **options: bool) -> os.stat_result:
        looked_at.append(str(path))
        return stat(path, **options)

    chains: tuple[Mapping[str, str], ...] = ({}, {"first": "second", "second": "third"}, {"other": "notes"})
    for moved in chains:
        found = VolumeResource(
            [], home=kept.home, project="p", state=kept.state, engine="", handover=Handover(moved=moved)
        )
        seen = {item.address: item for item in found.observe()}
        assert len(seen) == 4
        with monkeypatch.context() as patched:
            patched.setattr(Path, "stat", noted)
            assert {address: found.observe_one(address) for address in seen} == seen
            looked_at.clear()
            found.observe_one(Address(kind=ResourceKind.VOLUME, name="other/data@process"))
        assert not any("/first/" in path or "/second/" in path for path in looked_at)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives servers users of their own")
def test_what_a_session_has_open_moves_when_it_has_ended(kept: Kept) -> None:
    make_directory(kept.home, "p", kept.place("/data", "old"), "61244:61244")
    (kept.place("/data", "old") / "a").write_text("kept")
    new = kept.place("/data", "new")
    spec = VolumeSpec(server="new", path="/data", place=str(new), user="61245:61245", runtime="process")
    found = VolumeResource(
        [spec],
        home=kept.home,
        project="p",
        state=kept.state,
        engine="",
        handover=Handover(moved={"old": "new"}),
    )
    (step,) = diff(found.desired(), found.observe()).steps
    with subprocess.Popen(["sleep", "60"], user=61244, group=61244) as session:
        try:
            with pytest.raises(VolumeInUse, match="runs under its name until now"):
                found.apply(step)
            assert not new.exists()
        finally:
            session.kill()
    found.apply(step)
    assert ((new / "a").read_text(), (new / "a").stat().st_uid) == ("kept", 61245)


def test_a_link_in_what_is_kept_is_deleted_and_not_followed(kept: Kept, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").touch()
    kept.apply("/data")
    (kept.place("/data") / "link").symlink_to(outside)
    kept.apply()
    assert (outside / "a").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_what_a_server_has_closed_to_its_own_user_goes_too() -> None:
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    # whom no other test has: this process counts as somebody who is at work meanwhile
    os.chown(root, 61246, 61246)
    os.seteuid(61246)
    try:
        kept = Kept(root / "store")
        kept.apply("/data", user="61246:61246")
        for name in ("a/b", "c"):
            (kept.place("/data") / name).mkdir(parents=True)
            (kept.place("/data") / name / "file").touch()
        for name, mode in (("a/b", 0), ("a", 0), ("c", 0o500)):
            (kept.place("/data") / name).chmod(mode)
        kept.apply()
        assert list(kept.resource().observe()) == []
    finally:
        os.seteuid(0)
        shutil.rmtree(root)


def test_a_server_that_cannot_be_planned_keeps_what_it_has(kept: Kept) -> None:
    kept.apply("/data")
    broken = Problem(address=Address(kind=ResourceKind.SERVER, name="notes"), code="x", what="x")
    other = Problem(address=Address(kind=ResourceKind.SERVER, name="note"), code="x", what="x")
    assert diff([], kept.resource().observe(), [broken]).steps == ()
    assert len(diff([], kept.resource().observe(), [other]).steps) == 1


def test_a_server_comes_after_what_it_keeps_and_goes_before_it(kept: Kept) -> None:
    record = LaunchRecord(
        project="p",
        server="notes",
        runtime="process",
        argv=("x",),
        key="",
        sandbox=Sandbox(writable=("/data",)),
        volumes={"/data": str(kept.place("/data"))},
    )
    servers = ServerResource([ServerSpec(record=record)], state=kept.state)
    volumes = kept.resource("/data")
    made = diff([*servers.desired(), *volumes.desired()], [])
    assert [str(step.address) for step in made.steps] == ["volume:notes/data@process", "server:notes"]
    for step in made.steps:
        (servers if step.address.kind is ResourceKind.SERVER else volumes).apply(step)
    gone = diff([], [*servers.observe(), *kept.resource().observe()])
    assert [str(step.address) for step in gone.steps] == ["server:notes", "volume:notes/data@process"]


def test_stores_and_projects_of_the_same_engine_do_not_share_a_name(tmp_path: Path) -> None:
    record = LaunchRecord(project="p", server="notes", runtime="container", argv=("x",), key="")
    homes = [Home(root=tmp_path / name, is_default=False) for name in ("a", "b")]
    names = {volume_place(home, record, path) for home in homes for path in ("/data", "/more")}
    assert len(names) == 4
    assert all(name.startswith("hatchlock-p-notes-") for name in names)
    assert volume_place(homes[0], record, "/data") == volume_place(homes[0], record, "/data")
