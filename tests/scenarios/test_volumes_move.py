"""Volumes of real engines that move with their servers' names, are adopted, or are another store's: no data is ever lost."""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hatchlock.address import Address
from hatchlock.engines import volume_copy
from hatchlock.engines.api import Engine
from hatchlock.engines.volume_copy import VolumeNotCopied
from hatchlock.engines.volumes import find_volume, list_volumes, remove_volume
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.volume import VolumeInUse, VolumeResource, VolumeSpec, volume_place
from hatchlock.state.project import ProjectState
from support.links_image import links_image

pytestmark = pytest.mark.engine

MOVED = Handover(moved={"old": "new"})
USER = "10001:10001"


@pytest.fixture(scope="module", params=["engine", "podman"])
def image(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Yield an engine's address and the tag of an image in it."""
    address = request.getfixturevalue(request.param)
    with links_image(address) as tag:
        yield address, tag


@dataclass(frozen=True, kw_only=True)
class World:
    """A store, a project of its own, and an engine with an image."""

    home: Home
    project: str
    engine: str
    image: str

    @property
    def state(self) -> ProjectState:
        return ProjectState(self.home.project(self.project))

    def place(self, server: str) -> str:
        record = LaunchRecord(
            project=self.project,
            server=server,
            runtime="container",
            argv=("/x",),
            key="k",
            sandbox=Sandbox(writable=("/data",)),
        )
        return volume_place(self.home, record, "/data")

    def volumes(self, *servers: str, handover: Handover | None = None, anew: bool = False) -> VolumeResource:
        specs = [
            VolumeSpec(
                server=server,
                path="/data",
                place=self.place(server),
                user=USER,
                runtime="container",
                engine=self.engine,
                image=self.image,
            )
            for server in servers
        ]
        said = handover or (NO_HANDOVER if "old" in servers else MOVED)
        return VolumeResource(
            specs, home=self.home, project=self.project, state=self.state, engine=self.engine, handover=said, anew=anew
        )

    def plan(self, *servers: str, handover: Handover | None = None, anew: bool = False) -> Plan:
        found = self.volumes(*servers, handover=handover, anew=anew)
        observed = list(found.observe())
        return diff(found.desired(), observed, found.problems)

    def apply(self, *servers: str, handover: Handover | None = None, anew: bool = False) -> list[str]:
        """Do what is planned, and return the causes."""
        plan, found = (
            self.plan(*servers, handover=handover, anew=anew),
            self.volumes(*servers, handover=handover, anew=anew),
        )
        for step in plan.steps:
            found.apply(step)
            seen = found.observe_one(step.address)
            assert (seen.key if seen else "") == step.after
        return [f"{step.action} {step.address} {step.cause}" for step in plan.steps]

    def fill(self, volume: str, files: dict[str, bytes]) -> None:
        """Put something into a volume as a server would, with a link and a directory that others may not enter."""
        data = io.BytesIO()
        prefix, path = ("./", "/v") if Engine(self.engine).is_podman else ("v/", "/")
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, kind, link in (("d", tarfile.DIRTYPE, ""), ("d/link", tarfile.SYMTYPE, "/etc/passwd")):
                entry = tarfile.TarInfo(prefix + name)
                entry.type, entry.linkname, entry.mode = kind, link, 0o700
                entry.uid = entry.gid = 10001
                archive.addfile(entry)
            for name, content in files.items():
                entry = tarfile.TarInfo(prefix + name)
                entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o640, 10001, 10001
                archive.addfile(entry, io.BytesIO(content))
            size = archive.offset + 1024
        with self.holding(volume) as (engine, container):
            engine.ask("PUT", f"/containers/{container}/archive?{urlencode({'path': path})}", data.getvalue()[:size])

    def holding(self, volume: str) -> _Holding:
        return _Holding(Engine(self.engine), volume, self.image)

    def content(self, volume: str) -> dict[str, tuple[str, str, int]]:
        """Return path -> content or link, kind and owner of what is in a volume."""
        with self.holding(volume) as (engine, container):
            data = engine.read(f"/containers/{container}/archive?{urlencode({'path': '/v'})}")
        found = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for item in archive:
                file = archive.extractfile(item) if item.isreg() else None
                inside = (file.read().decode() if file else item.linkname)[:20]
                found[item.name.partition("/")[2]] = (inside, f"{item.type.decode()} {item.mode & 0o777:o}", item.uid)
        found.pop("", None)
        return found


class _Holding:
    """A container that never runs and has a volume at `/v`."""

    def __init__(self, engine: Engine, volume: str, image: str) -> None:
        self.engine = engine
        config = {"Image": image, "Entrypoint": ["/none"], "HostConfig": {"Binds": [f"{volume}:/v:nocopy"]}}
        self.id = engine.create(f"holder-{secrets.token_hex(4)}", config)

    def __enter__(self) -> tuple[Engine, str]:
        return self.engine, self.id

    def __exit__(self, *_: object) -> None:
        self.engine.remove(self.id)


@pytest.fixture
def world(image: tuple[str, str], tmp_path: Path) -> Iterator[World]:
    made = world_in(tmp_path / "home", image, f"trial-{secrets.token_hex(4)}")
    yield made
    engine = Engine(made.engine)
    assert engine.list({"dev.hatchlock.project": made.project}) == []
    for volume in list_volumes(engine, {"dev.hatchlock.project": made.project}):
        remove_volume(engine, volume.name)


def world_in(root: Path, image: tuple[str, str], project: str) -> World:
    root.mkdir(mode=0o700)
    return World(home=Home(root=root, is_default=False), project=project, engine=image[0], image=image[1])


FILES = {"a": b"kept", "d/big": b"x" * 300_000}


def test_what_a_server_keeps_moves_with_its_name(world: World) -> None:
    world.apply("old")
    world.fill(world.place("old"), FILES)
    before = world.content(world.place("old"))
    assert before.keys() == {"a", "d", "d/big", "d/link"}
    plan = world.plan("new")
    assert (plan.losses, plan.is_mass_removal) == ((), False)
    assert world.apply("new") == ["update volume:new/data moved from volume:old/data"]
    assert world.content(world.place("new")) == before
    assert find_volume(Engine(world.engine), world.place("old")) is None
    assert world.plan("new").steps == ()
    assert world.plan("new", handover=NO_HANDOVER).steps == ()
    volume = find_volume(Engine(world.engine), world.place("new"))
    assert volume
    assert volume.labels["dev.hatchlock.server"] == "new"


class Killed(BaseException):
    """Ends an apply in the middle."""


@pytest.mark.parametrize(
    "instant",
    [
        "half of the copy",
        "after",
        *(
            pytest.param(name, marks=pytest.mark.full)
            for name in ("before the copy", "after the copy", "before it is noted")
        ),
    ],
)
def test_an_apply_that_is_killed_while_data_moves_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    world.apply("old")
    world.fill(world.place("old"), FILES)
    before = world.content(world.place("old"))

    def killed(*_: object, **__: object) -> None:
        raise Killed

    whole = volume_copy.copy_volume

    def half(engine: Engine, source: str, target: str, **options: object) -> None:
        if instant == "half of the copy":
            world.fill(target, {"a": b"wrong", "half": b"of it"})
        elif instant == "after the copy":
            whole(engine, source, target, **options)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patched:
        if instant == "before it is noted":
            patched.setattr(ProjectState, "supersede_volume", killed)
        elif instant == "after":
            patched.setattr("hatchlock.resources.volume_engine.EngineVolumes.remove", killed)
        else:
            patched.setattr(volume_copy, "copy_volume", half)
        with pytest.raises(Killed):
            world.apply("new")
    plan = world.plan("new")
    assert plan.losses == ()
    world.apply("new")
    assert world.plan("new").steps == ()
    assert world.content(world.place("new")) == before
    assert find_volume(Engine(world.engine), world.place("old")) is None
    assert world.state.superseded_volumes() == world.state.begun_volumes() == ()


@pytest.fixture
def half_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """What `old` kept is in the volume of `new`, and the apply was killed before the old volume was removed."""

    def killed(*_: object) -> None:
        raise Killed

    world.apply("old")
    world.fill(world.place("old"), FILES)
    with monkeypatch.context() as patched:
        patched.setattr("hatchlock.resources.volume_engine.EngineVolumes.remove", killed)
        with pytest.raises(Killed):
            world.apply("new")
    assert world.state.superseded_volumes() == (world.place("old"),)
    return world


def test_a_server_of_the_old_name_begins_with_nothing(half_gone: World) -> None:
    moved = half_gone.content(half_gone.place("new"))
    plan = half_gone.plan("new", "old")
    assert [(step.action, step.loss) for step in plan.steps] == [("update", "")]
    half_gone.apply("new", "old")
    assert half_gone.content(half_gone.place("old")) == {}
    assert half_gone.content(half_gone.place("new")) == moved
    half_gone.fill(half_gone.place("old"), FILES)
    assert half_gone.plan("new", "old").steps == ()
    assert half_gone.plan("new", handover=NO_HANDOVER).losses


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "there"])
def test_what_moves_back_is_what_was_kept_last_and_is_not_taken_for_superseded(half_gone: World, is_gone: bool) -> None:
    half_gone.fill(half_gone.place("new"), {"a": b"newer"})
    if is_gone:  # somebody has removed it by hand: nothing in the engine says any more that it was superseded
        remove_volume(Engine(half_gone.engine), half_gone.place("old"))
    kept = half_gone.content(half_gone.place("new"))
    back = Handover(moved={"new": "old"})
    half_gone.apply("old", handover=back)
    assert half_gone.content(half_gone.place("old")) == kept
    assert half_gone.state.superseded_volumes() == half_gone.state.begun_volumes() == ()
    assert half_gone.plan("old", handover=back).steps == ()
    assert half_gone.plan(handover=NO_HANDOVER).losses


def test_a_session_that_begins_while_data_is_copied_keeps_what_it_writes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.apply("old")
    world.fill(world.place("old"), FILES)
    whole = volume_copy.copy_volume
    with contextlib.ExitStack() as stack:

        def begun(engine: Engine, source: str, target: str, **options: object) -> None:
            whole(engine, source, target, **options)  # type: ignore[arg-type]
            stack.enter_context(world.holding(source))

        with monkeypatch.context() as patched:
            patched.setattr(volume_copy, "copy_volume", begun)
            with pytest.raises(VolumeInUse, match="holder-"):
                world.apply("new")
        assert world.state.superseded_volumes() == ()
    world.fill(world.place("old"), {"a": b"newer"})
    kept = world.content(world.place("old"))
    world.apply("new")
    assert world.content(world.place("new")) == kept


def test_a_copy_that_is_not_whole_removes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.apply("old")
    world.fill(world.place("old"), FILES)
    (step,) = world.plan("new").steps
    post = Engine.post

    def empty(self: Engine, path: str, body: io.BytesIO, **options: str) -> Iterator[bytes]:
        body.seek(0)
        body.truncate()
        body.write(b"\0" * 1024)
        return post(self, path, body, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "post", empty)
        with pytest.raises(VolumeNotCopied, match="4 of 4 files differ afterwards"):
            world.volumes("new").apply(step)
    assert world.content(world.place("old")).keys() == {"a", "d", "d/big", "d/link"}
    world.apply("new")
    assert world.content(world.place("new")).keys() == {"a", "d", "d/big", "d/link"}


def test_what_somebody_has_does_not_move(world: World) -> None:
    world.apply("old")
    (step,) = world.plan("new").steps
    with world.holding(world.place("old")):
        with pytest.raises(VolumeInUse, match="holder-"):
            world.volumes("new").apply(step)
        assert find_volume(Engine(world.engine), world.place("new")) is None


def test_somebody_elses_volume_is_adopted_and_stays(world: World) -> None:
    engine, theirs = Engine(world.engine), f"theirs-{secrets.token_hex(4)}"
    adopted = Handover(adopted={Address.parse("volume:new/data"): theirs})
    (problem,) = world.plan("new", handover=adopted).problems
    assert problem.code == "nothing-to-adopt"
    engine.ask("POST", "/volumes/create", {"Name": theirs})
    try:
        world.fill(theirs, FILES)
        (step,) = world.plan("new", handover=adopted).steps
        assert step.details["begins with"] == f"a copy of {theirs}"
        world.apply("new", handover=adopted)
        assert world.content(world.place("new")) == world.content(theirs)
        assert world.plan("new", handover=adopted).steps == ()
    finally:
        remove_volume(engine, theirs)
    assert world.plan("new", handover=adopted).problems == ()


def test_a_store_does_not_see_what_is_another_ones_in_the_same_engine(world: World, tmp_path: Path) -> None:
    other = world_in(tmp_path / "other", (world.engine, world.image), world.project)
    world.apply("old")
    assert other.apply("old") == ["create volume:old/data not found"]
    other.fill(other.place("old"), FILES)
    assert world.content(world.place("old")) == {}
    assert world.apply(handover=NO_HANDOVER) == ["delete volume:old/data not declared any more"]
    assert other.plan("old").steps == ()
    assert other.content(other.place("old")).keys() == {"a", "d", "d/big", "d/link"}


def test_volumes_of_another_engine_are_not_begun_anew_unasked(world: World) -> None:
    engine = Engine(world.engine)
    world.apply("old")
    if engine.is_podman:
        assert world.state.volume_engine_id() == ""  # it says another one whenever it is asked
        return
    own = world.state.volume_engine_id()
    assert own == engine.ask("GET", "/info")["ID"]
    remove_volume(engine, world.place("old"))
    assert world.plan("old").problems == ()  # somebody has removed it here
    world.state.begin_volume("x", world.engine, "ANOTHER")
    plan = world.plan("old")
    (problem,) = plan.problems
    assert (problem.code, plan.steps) == ("other-engine", ())
    assert "what it keeps is in another engine, which was at the same address" in problem.what
    assert "--takeover" in problem.hint
    world.apply("old", anew=True)
    assert world.plan("old").steps == ()
    assert world.state.volume_engine_id() == own
