"""Commands at the same time, of one project and of several that share a store: they end as if one came after another."""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.state.journal import Journal
from hatchlock.state.lease import lease
from support.engine_images import untag_all
from support.index import Index, Release, serving
from support.links_image import links_image
from support.project import TrialProject, server_release
from support.runs import wait_for
from support.traced import begin, events, held_twice, out_of_order
from support.unavailable import need_isolation

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[defaults]
runtime = "process"
clients = ["claude-code", "cursor"]

[indexes.pypi]
url = "{index}"

[servers.{name}-shared]
source = "pypi:tiny-server"

[servers.{name}-own]
source = "pypi:{package}"
"""
BOXED = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.boxed]
source = "oci:docker-daemon:{image}"
command = ["/bin/cat"]
"""
APPLY = ("apply", "--yes", "--no-probe")
PROJECTS = ("ant", "bee", "cow", "dog")
PAIRS = ("one-server", "two-server")
CLAUDE = '{\n  "theme": "dark",\n  "mcpServers": {"theirs": {"command": "their-server"}}\n}\n'
CURSOR = '{"mcpServers": {"theirs": {"command": "their-server"}},   "left": [1,2]}'


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    need_isolation()
    wheels = tmp_path_factory.mktemp("wheels")
    names = ("tiny-server", *PAIRS)
    with serving(*(server_release(wheels, name=name) for name in names)) as served:
        yield served


class Farm:
    """Projects of one user and one store."""

    def __init__(self, root: Path, index: Index) -> None:
        self.root = root
        self.user_home = root / "user"
        self.store = root / "store"
        self.claude = self.user_home / ".claude.json"
        self.cursor = self.user_home / ".cursor" / "mcp.json"
        self.cursor.parent.mkdir(parents=True)
        self.claude.write_text(CLAUDE)
        self.cursor.write_text(CURSOR)
        self.projects = {name: self._project(name, number, index) for number, name in enumerate(PROJECTS)}

    def _project(self, name: str, number: int, index: Index) -> TrialProject:
        text = MANIFEST.format(name=name, platform=host_platform(), index=index.url, package=PAIRS[number % 2])
        made = TrialProject(self.root / name, text, name=name, HOME=str(self.user_home), HATCHLOCK_HOME=str(self.store))
        made.user_home, made.store = self.user_home, self.store
        return made


@pytest.fixture(scope="module")
def locks(tmp_path_factory: pytest.TempPathFactory, index: Index) -> dict[str, bytes]:
    """Return the lock of each project."""
    made = Farm(tmp_path_factory.mktemp("locks"), index)
    locking = [
        subprocess.Popen(project.command("lock"), cwd=project.directory, env=project.env, stdout=subprocess.DEVNULL)
        for project in made.projects.values()
    ]
    assert [process.wait(120) for process in locking] == [0] * len(PROJECTS)
    return {name: project.lock.read_bytes() for name, project in made.projects.items()}


@pytest.fixture
def farm(tmp_path: Path, index: Index, locks: dict[str, bytes]) -> Farm:
    """Four projects, locked, that share an environment and two others in pairs, and both client files."""
    made = Farm(tmp_path, index)
    for name, project in made.projects.items():
        project.lock.write_bytes(locks[name])
    index.asked.clear()
    return made


def at_once(farm: Farm, index: Index, order: list[str]) -> None:
    """Start an apply of each of these projects at the same time, and look at what they have left."""
    report = farm.root / "events"
    running = [begin(farm.projects[name], report, *APPLY, "--lock-timeout", "120") for name in order]
    ended = [(process.communicate(timeout=240), process.returncode) for process in running]
    assert [status for _, status in ended] == [0] * len(order), [said for said, status in ended if status]
    found = events(report)
    assert (list(out_of_order(found)), list(held_twice(found))) == ([], [])
    built = Counter(item.name for item in found if item.event == "builds")
    assert set(built.values()) == {1}, "an environment is built once, whoever wants it"
    store = farm.projects["ant"]
    assert store.environments() == sorted(Path(path).name for path in built)
    assert len(built) == 1 + len(PAIRS)
    assert {line: count for line, count in Counter(index.asked_for("/files/")).items() if count > 1} == {}
    servers = {f"{name}-{kind}" for name in PROJECTS for kind in ("shared", "own")}
    for path in (farm.claude, farm.cursor):
        assert set(json.loads(path.read_text())["mcpServers"]) == {"theirs", *servers}
    assert farm.claude.read_text().startswith(
        '{\n  "theme": "dark",\n  "mcpServers": {"theirs": {"command": "their-server"}'
    )
    assert farm.cursor.read_text().endswith(',   "left": [1,2]}')
    for project in farm.projects.values():
        assert project.steps() == []
        states = project.store / "projects" / project.name / "generations"
        assert len(list(states.iterdir())) == 1, "those that came later had nothing to do"
    assert store.half_done() == []
    assert list((farm.store / "locks").glob("*.holder.json")) == []
    assert list((farm.store / "locks").glob("blob-*")) == []


def test_applies_of_several_projects_at_once_end_as_if_one_came_after_another(farm: Farm, index: Index) -> None:
    at_once(farm, index, [*PROJECTS, *PROJECTS, *PROJECTS])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
def test_so_they_do_in_any_order(farm: Farm, index: Index, seed: int) -> None:
    order = [*PROJECTS, *PROJECTS, *PROJECTS, *PROJECTS]
    random.Random(seed).shuffle(order)
    at_once(farm, index, order)


def test_what_one_project_waits_for_does_not_keep_another_waiting(farm: Farm) -> None:
    ant, bee = farm.projects["ant"], farm.projects["bee"]
    slow = next(step["after"] for step in ant.plan()["steps"] if step["address"] == "env:ant-own")
    path = farm.store / "locks" / f"env-{slow}.lock"
    with lease(path, what="it", purpose="build", timeout=0):
        refused = ant.fails(*APPLY, "--lock-timeout", "0")
        assert f"the environment ant-own ({slow}) is held by `build`, process" in refused.err
        assert "server:ant-shared" in refused.err, "what does not need it is done"
        waiting = subprocess.Popen(
            ant.command(*APPLY), cwd=ant.directory, env=ant.env, stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr
        bee.ok(*APPLY)
        for line in waiting.stderr:
            if line.startswith("waiting for"):
                break
        assert line.startswith(f"waiting for the environment ant-own ({slow}), held by `build`, process ")
        assert waiting.poll() is None
    assert waiting.wait(60) == 0
    waiting.stderr.close()
    assert ant.steps() == []


def test_two_applies_of_one_project_the_second_waits_or_says_who_is_at_work(farm: Farm) -> None:
    ant = farm.projects["ant"]
    with lease(ant.store / "projects" / "ant" / "lease.lock", what="it", purpose="rollback", timeout=0):
        refused = ant.fails(*APPLY, "--lock-timeout", "0")
        assert "the project 'ant' is held by `rollback`, process" in refused.err
        assert ant.environments() == []
        journal = Journal(ant.store / "projects" / "ant" / "journal.ndjson")
        journal.write("begin", command="rollback 1")
        assert "the project is held by `rollback`, process" in ant.ok("plan").err, "it runs, and was not interrupted"
        journal.close(finished=True)
        started = begin(ant, farm.root / "events", *APPLY)
        assert wait_for(lambda: (farm.root / "events").exists() and "wants" in (farm.root / "events").read_text())
        # what it was started for has changed when its turn comes
        ant.edit('source = "pypi:tiny-server"', 'source = "pypi:tiny-server"\nargs = ["--late"]')
        ant.ok("lock")
    said, _ = started.communicate(timeout=60)
    assert started.returncode == 0, said
    assert ant.steps() == [], "it has applied what there is by now"


def test_servers_that_are_added_and_removed_at_once_are_all_there_or_gone(farm: Farm) -> None:
    ant = farm.projects["ant"]
    ant.ok("add", "pypi:one-server", "--name", "gone")
    report = farm.root / "events"
    words = [("add", "pypi:tiny-server", "--name", f"more-{number}") for number in range(3)]
    running = [begin(ant, report, *each) for each in (*words, ("remove", "gone"), ("lock",), ("lock", "--upgrade"))]
    ended = [(process.communicate(timeout=120), process.returncode) for process in running]
    assert [status for _, status in ended] == [0] * len(running), ended
    assert list(out_of_order(events(report))) == []
    text = ant.manifest.read_text()
    assert [f"[servers.more-{number}]" in text for number in range(3)] == [True] * 3
    assert "gone" not in text
    ant.ok("lock", "--check")
    assert list((farm.store / "locks").iterdir()) == []


def test_a_fetch_keeps_what_would_take_its_files_away_waiting(farm: Farm, index: Index) -> None:
    ant = farm.projects["ant"]
    release = next(item for item in index.releases if item.name == "tiny-server")
    let_go = threading.Event()
    asked = threading.Event()

    class Slow(Release):
        @property
        def data(self) -> bytes:
            asked.set()
            let_go.wait(60)
            return super().data

    index.releases[0] = Slow(name=release.name, version=release.version, body=release.body, scripts=release.scripts)
    report = farm.root / "events"
    try:
        started = begin(ant, report, "fetch")
        assert asked.wait(60)
        # the other file is there, so that it is not that one which is waited for
        assert wait_for(lambda: '"frees", "name": "blob-' in report.read_text())
        for words in (("cache", "gc", "--older-than", "0s"), ("cache", "clear")):
            refused = ant.fails(*words, "--lock-timeout", "0")
            assert "the project 'ant' is held by `fetch`, process" in refused.err
        also = begin(farm.projects["cow"], report, "fetch", "--lock-timeout", "0.2")
        said, _ = also.communicate(timeout=60)[::-1]
        assert also.returncode == 1
        assert "the download of tiny_server-1.0-py3-none-any.whl is held by `fetch`, process" in said
    finally:
        let_go.set()
        index.releases[0] = release
    assert started.communicate(timeout=60)
    assert started.returncode == 0
    ant.ok(*APPLY, "--offline")


@pytest.mark.engine
def test_projects_that_share_an_image_make_it_one_after_the_other(tmp_path: Path, engine: str) -> None:
    report = tmp_path / "events"
    names = [f"shared-{secrets.token_hex(4)}" for _ in range(2)]
    with links_image(engine) as image:
        texts = [BOXED.format(name=name, platform=host_platform(), image=image) for name in names]
        variables = {"DOCKER_HOST": engine, "HATCHLOCK_HOME": str(tmp_path / "store")}
        projects = [
            TrialProject(tmp_path / name, text, name=name, **variables) for name, text in zip(names, texts, strict=True)
        ]
        for project in projects:
            project.store = tmp_path / "store"
            project.ok("lock")
        running = [begin(project, report, *APPLY) for project in projects]
        ended = [(process.communicate(timeout=120), process.returncode) for process in running]
        assert [status for _, status in ended] == [0, 0], ended
        found = events(report)
        assert (list(out_of_order(found)), list(held_twice(found))) == ([], [])
        made = [item.name for item in found if item.event == "has" and item.name.startswith("image-")]
        assert len(made) == 2
        assert len(set(made)) == 1
        assert [project.steps() for project in projects] == [[], []]
        for name in names:
            untag_all(engine, name)
