"""What servers keep, on real engines: it is theirs from the start, stays, is nobody else's, and goes only when it is told to."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.engines.api import Engine, EngineError
from hatchlock.engines.host import host_facts
from hatchlock.engines.volumes import ForeignVolume, find_volume, list_volumes, make_volume, remove_volume, volume_sizes
from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.paths import Home
from hatchlock.process import owner
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action
from hatchlock.resources.volume import VolumeInUse, VolumeResource, VolumeSpec, volume_place
from hatchlock.security.container import server_user
from hatchlock.state.project import ProjectState
from hatchlock.store.blobs import Blobs
from support.links import links_record
from support.links_image import OPEN, links_image
from support.runs import Run, apply_records, run_command

pytestmark = pytest.mark.engine

KEPT = Sandbox(stop_grace=0.3, writable=("/data",))
DECLARED = "/declared"
"""A directory for which the image declares a volume."""
WISHES = (
    *(f"VOLUME {DECLARED}", "USER 0:0", 'ENTRYPOINT ["/bin/false"]', 'CMD ["--serve"]', "EXPOSE 80"),
    "LABEL dev.hatchlock.owner=nobody",
)
"""What the image says of how it wants to be started."""
NO_SOCKETS = b'{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ERRNO"}]}'


@pytest.fixture(scope="module", params=["engine", "podman"])
def image(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Yield an engine's address and the tag of an image in it."""
    address = request.getfixturevalue(request.param)
    health = ["HEALTHCHECK --interval=1s CMD /bin/true"] if request.param == "engine" else []  # Podman imports none
    with links_image(address, *WISHES, *health) as tag:
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

    def record(self, server: str, *options: str, **fields: Any) -> LaunchRecord:
        record = links_record(self.engine, self.image, self.project, *options, server=server, **fields)
        places = {path: volume_place(self.home, record, path) for path in record.sandbox.writable}
        return replace(record, server=server, volumes=places)

    def volumes(self, *records: LaunchRecord) -> VolumeResource:
        specs = [
            VolumeSpec(
                server=record.server,
                path=path,
                place=place,
                user=server_user(record.sandbox, host_facts()),
                runtime="container",
                engine=record.engine,
                image=record.image,
            )
            for record in records
            for path, place in record.volumes.items()
        ]
        return VolumeResource(specs, home=self.home, project=self.project, state=self.state, engine=self.engine)

    def plan(self, *records: LaunchRecord) -> Plan:
        found = self.volumes(*records)
        return diff(found.desired(), found.observe(), found.problems)

    def apply(self, *records: LaunchRecord) -> Plan:
        """Make the volumes as `apply` does, and the records active."""
        plan, found = self.plan(*records), self.volumes(*records)
        for step in plan.steps:
            found.apply(step)
            seen = found.observe_one(step.address)
            assert (seen.key if seen else "") == step.after
        apply_records(self.home.root, records)
        return plan

    def run(self, server: str) -> Run:
        return Run(command=run_command(self.home.root, server, self.project))


@pytest.fixture
def world(image: tuple[str, str], tmp_path: Path) -> Iterator[World]:
    engine, tag = image
    root = tmp_path / "home"
    root.mkdir(mode=0o700)
    name = f"trial-{secrets.token_hex(4)}"
    made = World(home=Home(root=root, is_default=False), project=name, engine=engine, image=tag)
    yield made
    labels = {"dev.hatchlock.project": name}
    containers = Engine(engine).list(labels)
    for volume in list_volumes(Engine(engine), labels):
        remove_volume(Engine(engine), volume.name)
    assert containers == []


def test_what_a_server_writes_is_there_in_its_next_session_and_in_no_other_server(world: World) -> None:
    # one covers nothing of the image, the other a directory of root's into which everybody could write
    records = [
        world.record("notes", sandbox=replace(KEPT, writable=("/data", OPEN))),
        world.record("other", sandbox=KEPT),
    ]
    made = [str(step.address) for step in world.apply(*records).steps]
    assert made == ["volume:notes/data", f"volume:notes{OPEN}", "volume:other/data"]
    assert world.plan(*records).steps == ()

    with world.run("notes") as run:
        run.hello()
        assert [run.attempt("write", f"{path}/a") for path in ("/data", OPEN)] == ["written", "written"]
        assert "Read-only file system" in run.attempt("write", "/elsewhere")
        run.end()
    with world.run("notes") as run, world.run("other") as other:
        run.hello(), other.hello()
        assert [run.attempt("read", f"{path}/a") for path in ("/data", OPEN)] == ["was here", "was here"]
        assert other.attempt("list", "/data") == ""
        run.end(), other.end()
    stranger = replace(records[0], sandbox=replace(records[0].sandbox, user="10002:10002"))
    apply_records(world.home.root, [stranger])
    with world.run("notes") as run:
        run.hello()
        assert all("Permission denied" in run.attempt("list", path) for path in ("/data", OPEN))
        run.end()


def test_a_container_that_a_killed_command_has_left_does_not_hold_a_volume_and_one_at_work_does(world: World) -> None:
    engine, name = Engine(world.engine), f"hatchlock-{world.project}-left"
    labels = {"dev.hatchlock.project": world.project}
    make_volume(engine, name, labels=labels, image=world.image, user="10001:10001")
    with subprocess.Popen(["sleep", "60"]) as process:
        config = {
            "Image": world.image,
            "Entrypoint": ["/none"],
            "Labels": {**labels, "dev.hatchlock.owner": owner(process.pid)},
            "HostConfig": {"Binds": [f"{name}:/data:nocopy"]},
        }
        engine.create(f"{name}-maker", config)
        with pytest.raises(EngineError):
            remove_volume(engine, name)
        process.kill()
    remove_volume(engine, name)
    assert find_volume(engine, name) is None
    assert engine.list(labels) == []


def test_several_may_ask_at_once_how_much_is_in_volumes(world: World) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda _: volume_sizes(Engine(world.engine)), range(8)))) == 8


def test_a_volume_stays_when_its_server_changes_and_with_a_lost_state(world: World) -> None:
    record = world.record("notes", sandbox=KEPT)
    world.apply(record)
    changed = world.record("notes", "--stderr", "x", sandbox=replace(KEPT, memory="256m", writable=("/data", "/more")))
    assert [str(step.address) for step in world.plan(changed).steps] == ["volume:notes/more"]
    (world.state.root / "volumes.json").unlink()
    assert world.plan(record).steps == ()


def test_what_is_not_declared_any_more_goes_and_the_plan_says_what_is_lost(world: World) -> None:
    record = world.record("notes", sandbox=KEPT)
    world.apply(record)
    with world.run("notes") as run:
        run.hello()
        run.attempt("write", "/data/a")
        (step,) = world.plan().steps
        assert step.action is Action.DELETE
        assert step.loss == "8 bytes that notes keeps in /data"
        with pytest.raises(VolumeInUse):
            world.volumes().apply(step)
        run.end()
    world.apply()
    assert world.plan().steps == ()
    assert find_volume(Engine(world.engine), record.volumes["/data"]) is None


def test_nothing_is_lost_with_a_volume_into_which_nobody_has_written(world: World) -> None:
    world.apply(world.record("notes", sandbox=KEPT))
    (step,) = world.plan().steps
    assert (step.action, step.loss) == (Action.DELETE, "")


def test_a_volume_of_somebody_else_is_named_and_left_alone(world: World) -> None:
    record = world.record("notes", sandbox=KEPT)
    engine, name = Engine(world.engine), record.volumes["/data"]
    engine.ask("POST", "/volumes/create", {"Name": name})
    plan = world.plan(record)
    assert plan.steps == ()
    with pytest.raises(ForeignVolume):
        make_volume(engine, name, labels={"dev.hatchlock.project": "x"}, image=world.image, user="10001:10001")
    (problem,) = plan.problems
    assert (problem.code, name in problem.what) == ("foreign-volume", True)
    assert world.plan().steps == ()
    remove_volume(engine, name)


def test_a_volume_whose_making_was_killed_is_finished_by_the_next_apply(world: World) -> None:
    record = world.record("notes", sandbox=KEPT)
    world.apply(record)
    world.state.begin_volume(record.volumes["/data"], world.engine)
    (step,) = world.plan(record).steps
    assert (step.action, step.loss) == (Action.UPDATE, "")
    world.apply(record)
    assert world.plan(record).steps == ()


def test_what_an_image_wishes_beyond_the_profile_it_does_not_get(world: World) -> None:
    apply_records(world.home.root, [world.record("notes")])
    engine = Engine(world.engine)
    with world.run("notes") as run:
        run.hello()
        assert run.attempt("write", f"{DECLARED}/a") == "written"
        (container,) = engine.list({"dev.hatchlock.project": world.project})
        facts = engine.inspect(container.id)
        temporary = facts["HostConfig"]["Tmpfs"]
        assert {DECLARED, "/tmp", "/home/hatchlock"} <= temporary.keys()
        for options in temporary.values():
            assert {"noexec", "nosuid", "nodev", "size=67108864"} <= set(options.split(","))
        assert [item for item in facts["Mounts"] if item["Type"] == "volume"] == []
        assert facts["Config"]["Healthcheck"]["Test"] == ["NONE"]
        assert facts["Config"]["User"] == "10001:10001"
        assert json.loads(run.attempt("facts"))["uid"] == 10001
        assert facts["Config"]["StopSignal"] in {"SIGTERM", "15"}
        assert not any((facts["NetworkSettings"].get("Ports") or {}).values())
        assert facts["Config"]["Labels"]["dev.hatchlock.owner"] != "nobody"
        run.end()


def test_what_is_mounted_below_a_read_only_source_is_not_writable(world: World, tmp_path: Path) -> None:
    below = tmp_path / "source" / "below"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "none", below], check=True)
    try:
        mounts = (Mount(source=str(tmp_path / "source"), target="/source"),)
        apply_records(world.home.root, [world.record("notes", sandbox=Sandbox(stop_grace=0.3, mounts=mounts))])
        with world.run("notes") as run:
            run.hello()
            assert "Read-only file system" in run.attempt("write", "/source/below/a")
            run.end()
    finally:
        subprocess.run(["umount", below], check=True)


def test_a_profile_of_the_projects_own_binds_and_a_damaged_copy_of_it_starts_nothing(world: World) -> None:
    digest = sha256_bytes(NO_SOCKETS)
    blobs = Blobs(world.home.blobs)
    with blobs.add(digest) as writer:
        writer.write(NO_SOCKETS)
    strict = replace(KEPT, writable=(), seccomp="./strict.json", seccomp_sha256=digest)
    apply_records(world.home.root, [world.record("notes"), world.record("strict", sandbox=strict)])
    with world.run("notes") as run, world.run("strict") as bound:
        run.hello(), bound.hello()
        assert "refused" in run.attempt("connect", "127.0.0.1:9")
        assert "Operation not permitted" in bound.attempt("connect", "127.0.0.1:9")
        run.end(), bound.end()
    blobs.path(digest).chmod(0o600)
    blobs.path(digest).write_bytes(b"{}")
    with world.run("strict") as bound:
        status, out, err = bound.end()
    assert (status, out) == (1, b"")
    assert b"no undamaged copy of its seccomp profile ./strict.json" in err
