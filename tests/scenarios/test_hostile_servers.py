"""A hostile server, in Python and in Node, in both runtimes: whatever it tries fails, and outside of a sandbox it does not.

What it tries stands in `support/hostile.py`. How many attempts have failed is printed at the end of the test run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import check_isolation
from support.engine import OwnEngine
from support.hostile import ATTEMPTS, PYTHON, Attempt, Language, Runtime, Scene, denied
from support.hosts import World
from support.links_image import links_image
from support.podman import own_podman
from support.unavailable import unavailable

pytestmark = pytest.mark.engine

LANGUAGES: tuple[Language, ...] = ("python", "node")
full = pytest.mark.full


@pytest.fixture(scope="module")
def process(world: World) -> Iterator[Scene]:
    if problem := check_isolation():
        unavailable(problem)
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
