"""Runs that are killed in random ways, at random moments: nothing is left of any, and another run of the same server lives on."""

from __future__ import annotations

import contextlib
import functools
import random
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine
from hatchlock.launch import LaunchRecord, Sandbox
from support.links_image import links_image, programs
from support.orphans import Place, children_of, groups_of, strike_all
from support.runs import BARE, Run, apply_records, python_record, run_command, wait_for
from support.unavailable import need_isolation

GRACE = 0.3
PATIENCE = 60.0
AT_ONCE = 12
SANDBOX = Sandbox(stop_grace=GRACE)


def place(tmp_path: Path, record: LaunchRecord, tag: str, **more: object) -> Place:
    home, scratch = tmp_path / "home", tmp_path / "tmp"
    for directory in (home, scratch):
        directory.mkdir(mode=0o700)
    apply_records(home, [record])
    env = {**BARE, "TMPDIR": str(scratch)}
    return Place(home=home, tag=tag, env=env, command=run_command(home, project=record.project), **more)  # type: ignore[arg-type]


@pytest.fixture
def tag() -> str:
    return f"tag-{secrets.token_hex(6)}"


@pytest.fixture
def process(tmp_path: Path, tag: str) -> Place:
    need_isolation()
    return place(tmp_path, python_record("--stderr", tag, sandbox=SANDBOX), tag)


@pytest.fixture
def container(tmp_path: Path, tag: str, engine: str) -> Iterator[Place]:
    project = f"trial-{secrets.token_hex(4)}"
    with links_image(engine) as image:
        base = python_record("--stderr", tag, project=project)
        sandbox = replace(SANDBOX, mounts=programs(*base.read_only_paths), reason="the image is empty")
        record = replace(base, runtime="container", read_only_paths=(), image=image, engine=engine, sandbox=sandbox)

        def containers() -> list[str]:
            return [item.name for item in Engine(engine).list({"dev.hatchlock.project": project})]

        yield place(tmp_path, record, tag, containers=containers)


def servers_of(run: int) -> Sequence[int]:
    """Return bubblewrap's process, or the watchdog where there is none: whoever started the server."""
    return [pid for pid in children_of(run) if b"bwrap" in _name(pid)]


def _name(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def killed(place: Place, number: int, record_property: Callable[[str, object], None]) -> None:
    seed = secrets.randbelow(10**6)
    chosen = random.Random(seed)
    with Run(command=place.command, env=place.env) as bystander:
        bystander.hello()
        before = place.traces()
        left = number
        while left:
            pids = strike_all(place, chosen, min(left, AT_ONCE), longest=1.5, servers=servers_of)
            assert wait_for(lambda: place.traces() == before, PATIENCE), (seed, before, place.traces())
            assert wait_for(lambda: list(groups_of(pids)) == [], PATIENCE), (seed, list(groups_of(pids)))  # noqa: B023
            left -= len(pids)
        assert bystander.call("echo", text="still here") == "still here"
        assert bystander.end()[0] == 0
    assert wait_for(lambda: not any(place.traces().values())), place.traces()
    record_property("runs killed, nothing left", number)


@pytest.mark.parametrize("number", [AT_ONCE, pytest.param(100, marks=pytest.mark.full)])
def test_of_processes_nothing_is_left(
    process: Place, number: int, record_property: Callable[[str, object], None]
) -> None:
    killed(process, number, record_property)


@pytest.mark.engine
@pytest.mark.parametrize("number", [AT_ONCE, pytest.param(100, marks=pytest.mark.full)])
def test_of_containers_nothing_is_left(
    container: Place, number: int, record_property: Callable[[str, object], None]
) -> None:
    killed(container, number, record_property)


class Wire:
    """A way to an engine that can be cut: what is connected breaks off, and new connections are made as before."""

    def __init__(self, path: Path, engine: str) -> None:
        self.address = f"unix://{path}"
        self._engine = engine.removeprefix("unix://")
        self._ends: dict[socket.socket, bytes] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def cut(self, what: bytes = b"") -> None:
        """Cut every connection, or those that have asked for something with this word."""
        for end, asked in list(self._ends.items()):
            if what in asked:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._engine)
                self._ends |= {near: b"", far: b""}
                for one, other in ((near, far), (far, near)):
                    self._begin(functools.partial(self._carry, one, other))

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self._ends[one] += data[:200]
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.mark.engine
@pytest.mark.parametrize("which", ["all", "its streams"])
def test_when_the_connection_with_its_engine_is_cut_a_session_ends(
    container: Place, tmp_path: Path, which: str
) -> None:
    [active] = container.home.glob("projects/*/active.json")
    [path] = active.parent.glob("launch/*.json")
    record = LaunchRecord.from_json(path.read_bytes())
    wire = Wire(tmp_path / "wire", record.engine)
    try:
        apply_records(container.home, [replace(record, engine=wire.address, argv=(*record.argv, "--deaf"))])
        with Run(command=container.command, env=container.env) as run:
            run.hello()
            assert len(container.containers()) == 1
            wire.cut(b"/attach?" if which == "its streams" else b"")
            assert run.wait() != 0
            said = run.end()[2]
            assert which == "all" or b"the connection with its engine was cut, so it was ended" in said
    finally:
        wire.close()
    assert wait_for(lambda: not any(container.traces().values()), PATIENCE), container.traces()
