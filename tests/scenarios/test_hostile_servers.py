"""A hostile server, in Python and in Node, in both runtimes: whatever it tries fails, and outside of a sandbox it does not.

What it tries stands in `support/hostile.py`. How many attempts have failed is printed at the end of the test run.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hatchlock.launch import Sandbox
from support.engine import OwnEngine
from support.hostile import (
    ATTEMPTS,
    GRACE,
    PYTHON,
    Attempt,
    Language,
    Runtime,
    Scene,
    ask,
    ask_for_the_last_time,
    denied,
)
from support.hosts import World
from support.links_image import links_image
from support.podman import own_podman
from support.runs import processes_with, wait_for
from support.unavailable import need_isolation, unavailable

pytestmark = pytest.mark.engine

LANGUAGES: tuple[Language, ...] = ("python", "node")
MEMORY = {
    "of one process": ("memory", (300,)),
    "of several processes": ("memory-of-many", (3, 100)),
    "that is shared": ("shared-memory", (300,)),
}
LITTLE = "200m"
full = pytest.mark.full


@pytest.fixture(scope="module")
def process(world: World) -> Iterator[Scene]:
    need_isolation()
    with Scene(world, "process") as scene:
        yield scene


@pytest.fixture(scope="module")
def user(world: World) -> Iterator[Scene]:
    """What an ordinary user starts."""
    if not Path(PYTHON).exists():
        unavailable(f"an ordinary user needs a Python that it can read: {PYTHON}")
    with Scene(world, "user") as scene:
        yield scene


@pytest.fixture(scope="module")
def container(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """On an engine of the machine's own, whose bridge and gateway are there and nowhere else."""
    with (
        OwnEngine(tmp_path_factory.mktemp("engine"), prefix=world.enter) as engine,
        links_image(engine.address) as image,
        Scene(world, "container", engine=engine.address, image=image) as scene,
    ):
        yield scene


@pytest.fixture(scope="module")
def podman_container(world: World) -> Iterator[Scene]:
    with (
        own_podman(*world.enter) as engine,
        links_image(engine) as image,
        Scene(world, "podman", engine=engine, image=image) as scene,
    ):
        yield scene


def attempts(runtime: Runtime) -> pytest.MarkDecorator:
    tried = [attempt for attempt in ATTEMPTS if runtime in attempt.runtimes]
    return pytest.mark.parametrize("attempt", tried, ids=[attempt.name for attempt in tried])


languages = pytest.mark.parametrize("language", LANGUAGES)


@languages
@attempts("process")
def test_it_fails_in_a_process(
    process: Scene, language: Language, attempt: Attempt, failed: Callable[..., None]
) -> None:
    failed(process, language, attempt)


@attempts("user")
def test_it_fails_in_a_process_of_an_ordinary_user(user: Scene, attempt: Attempt, failed: Callable[..., None]) -> None:
    failed(user, "python", attempt)


@languages
@attempts("container")
def test_it_fails_in_a_container(
    container: Scene, language: Language, attempt: Attempt, failed: Callable[..., None]
) -> None:
    failed(container, language, attempt)


@full
@languages
@attempts("podman")
def test_it_fails_in_a_container_of_podman(
    podman_container: Scene, language: Language, attempt: Attempt, failed: Callable[..., None]
) -> None:
    failed(podman_container, language, attempt)


@pytest.fixture
def failed(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Assert that an attempt fails, that nothing has arrived anywhere, and that its neighbour lives."""

    def check(scene: Scene, language: Language, attempt: Attempt) -> None:
        before = len(scene.world.arrived)
        answer = scene.attempt(attempt, language)
        assert denied(answer, attempt.stopped), answer
        assert scene.world.arrived[before:] == []
        assert scene.neighbour_lives()
        record_property("hostile attempt", f"{scene.runtime}, {language}")

    return check


ISOLATED: tuple[Runtime, ...] = ("process", "container")
everywhere = pytest.mark.parametrize("runtime", [*ISOLATED, pytest.param("podman", marks=full)])


@pytest.fixture
def scene(request: pytest.FixtureRequest, runtime: Runtime) -> Scene:
    scene = request.getfixturevalue({"podman": "podman_container"}.get(runtime, runtime))
    assert isinstance(scene, Scene)
    return scene


@pytest.fixture
def counted(record_property: Callable[[str, object], None], runtime: Runtime, language: Language) -> None:
    record_property("hostile attempt", f"{runtime}, {language}")


@pytest.mark.usefixtures("counted")
@languages
@everywhere
@pytest.mark.parametrize(("trick", "arguments"), MEMORY.values(), ids=MEMORY)
def test_memory_is_not_filled(scene: Scene, language: Language, trick: str, arguments: tuple[int, ...]) -> None:
    """It is refused, or the server is ended, within what it may have: less than usual, to be quick."""
    with scene.run(language, sandbox=Sandbox(memory=LITTLE, stop_grace=GRACE)) as run:
        run.hello()
        answer = ask_for_the_last_time(run, trick, *arguments)
        assert answer.startswith(("denied: ENOMEM", "denied: ENOSPC", "ended with status 137")), answer
    assert scene.neighbour_lives()


@languages
@pytest.mark.parametrize(("trick", "arguments"), MEMORY.values(), ids=MEMORY)
def test_outside_of_a_sandbox_memory_is_filled(
    process: Scene, language: Language, trick: str, arguments: tuple[int, ...]
) -> None:
    with process.outside(language) as run:
        run.hello()
        assert ask(run, trick, *arguments).startswith("done")


@pytest.mark.usefixtures("counted")
@languages
@everywhere
def test_the_log_is_not_filled(scene: Scene, language: Language) -> None:
    with scene.run(language, err=subprocess.DEVNULL) as run:
        run.hello()
        assert ask(run, "flood", 25) == "done"
        run.end()
    sizes = [path.stat().st_size for path in scene.log.glob(f"hostile-{language}.log*")]
    assert len(sizes) == 2
    assert max(sizes) <= 10 << 20


@pytest.mark.usefixtures("counted")
@languages
@everywhere
@pytest.mark.parametrize("end", ["stdin ends", "run is killed"])
def test_it_does_not_run_on_after_its_session(scene: Scene, language: Language, end: str) -> None:
    seconds = f"600.{secrets.randbelow(10**9):09}"
    with scene.run(language, "--deaf") as run:
        run.hello()
        assert ask(run, "escape", seconds) == "done"
        assert wait_for(lambda: sleeping(seconds) != [])
        if end == "stdin ends":
            assert run.end()[0] == 0
        else:
            run.process.kill()
    assert wait_for(lambda: sleeping(seconds) == [])


@languages
def test_outside_of_a_sandbox_it_runs_on(process: Scene, language: Language) -> None:
    seconds = f"600.{secrets.randbelow(10**9):09}"
    with process.outside(language) as run:
        run.hello()
        assert ask(run, "escape", seconds) == "done"
        assert wait_for(lambda: sleeping(seconds) != [])
        run.end()
    [left] = sleeping(seconds)
    os.kill(left, signal.SIGKILL)


def sleeping(seconds: str) -> list[int]:
    return processes_with(f"/bin/sleep\0{seconds}")


RELAXED = Sandbox(
    network=("host",), seccomp="unconfined", read_only=False, pids=600, files=8192, tmp="200m", stop_grace=GRACE
)
PERMITTED = [
    *("reach a host outside", "reach a metadata service", "ask a name server", "resolve a name"),
    *("reach the host by its first address", "reach a service on the host's loopback"),
    *("reach an abstract socket of the host", "reach another server", "make a user namespace"),
    *("fork without end", "start threads without end", "open files without end"),
    *("fill /tmp", "fill its home", "fill /dev/shm", "write to a directory of the image that is everybody's"),
]


@pytest.mark.parametrize("runtime", ISOLATED)
def test_what_is_permitted_succeeds(scene: Scene, runtime: Runtime) -> None:
    """So it is that part of the profile, and nothing else, that stops it."""
    with scene.run("python", sandbox=RELAXED) as run:
        run.hello()
        tried = [attempt for attempt in ATTEMPTS if attempt.name in PERMITTED and runtime in attempt.runtimes]
        answers = {attempt.name: scene.attempt(attempt, "python", run) for attempt in tried}
    assert {name: answer for name, answer in answers.items() if not answer.startswith("done")} == {}
    assert len(answers) == len(PERMITTED) - (runtime == "process")


STILL = [
    *("reach a metadata service", "ask a name server", "reach the host by its first address"),
    *("reach the host by its second address", "reach the host by its IPv6 address"),
    *("reach an abstract socket of the host", "reach the engine's socket", "open a raw socket"),
    *(
        "reach another server",
        "reach another server by the host",
        "make a network namespace",
        "enter the namespaces of another server",
    ),
]


@languages
def test_a_process_with_a_list_of_hosts_reaches_these_and_nothing_else(process: Scene, language: Language) -> None:
    world = process.world
    listed = Sandbox(network=(f"localhost:{world.port}", f"{world.name}:{world.web}"), stop_grace=GRACE)
    with process.run(language, sandbox=listed) as run:
        run.hello()
        for host, port, name in (("localhost", world.port, "machine"), (world.name, world.web, "outside")):
            assert f"this is {name}" in ask(run, "connect", host, port)
        before = len(world.arrived)
        refused = ("ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH")
        for host, port in (
            ("localhost", process.listening),
            (world.name, world.web + 1),
            (world.outside, world.web),
            ("127.0.0.1", process.listening),
        ):
            assert denied(ask(run, "connect", host, port), refused), (host, port)
        for name in ("other.test", "localhost.test"):
            assert denied(ask(run, "resolve", name), ("EAI", "EAI_AGAIN", "ENOTFOUND"))
        for attempt in (attempt for attempt in ATTEMPTS if attempt.name in STILL):
            answer = process.attempt(attempt, language, run)
            assert denied(answer, attempt.stopped), (attempt.name, answer)
        assert world.arrived[before:] == []


OUTSIDE = [attempt for attempt in ATTEMPTS if attempt.outside and "process" in attempt.runtimes]


@languages
@pytest.mark.parametrize("attempt", OUTSIDE, ids=[attempt.name for attempt in OUTSIDE])
def test_outside_of_a_sandbox_it_succeeds(process: Scene, language: Language, attempt: Attempt) -> None:
    """Else the tests above would show nothing."""
    answer = process.attempt_outside(attempt, language)
    assert not denied(answer, attempt.stopped), answer


@pytest.mark.parametrize("runtime", ["process", "user", "container"])
def test_there_are_more_than_twenty(runtime: Runtime) -> None:
    assert len({attempt.name for attempt in ATTEMPTS if runtime in attempt.runtimes}) > 60
