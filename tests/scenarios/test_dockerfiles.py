"""A server whose image is built from a Dockerfile of the user's own: locked, built without network, started, moved elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.lock.store import read_lock
from support.dockerfiles import PLAIN, RANDOM, built_project, tags, write
from support.project import TrialProject
from support.runs import SERVERS


@pytest.fixture
def project(tmp_path: Path) -> Iterator[TrialProject]:
    yield from built_project(tmp_path)


def test_an_image_without_a_digest_is_refused_with_that_of_the_registry(project: TrialProject, busybox: str) -> None:
    loose, _, digest = busybox.partition("@")
    write(project, f"FROM {loose} AS one\nFROM {loose}2\nADD http://127.0.0.1:1/x /x\n")
    said = project.fails("lock").err
    assert f"docker/Dockerfile:1: FROM names {loose}, which is no digest" in said
    assert f"hint: write {loose}@{digest}, which is what the registry has now" in said
    assert f"hint: write {loose}2@sha256:…" in said, "the registry does not have it"
    assert "docker/Dockerfile:3: ADD http://127.0.0.1:1/x would fetch while it builds" in said
    assert not project.lock.exists()


def test_what_is_started_has_to_be_said_in_words(project: TrialProject, busybox: str) -> None:
    write(project, f"FROM {busybox}\nENTRYPOINT cat /made\n")
    assert "docker/Dockerfile:2: what the image starts is not known before it is built" in project.fails("lock").err
    write(project, f"FROM {busybox}\n")
    assert "neither its Dockerfile nor the image below says any command" in project.fails("lock").err
    project.edit("[servers.web]\n", '[servers.web]\ncommand = ["cat", "/made"]\n')
    project.ok("lock")


def test_the_lock_has_everything_and_goes_stale_with_it(project: TrialProject, busybox: str) -> None:
    write(project, PLAIN.format(base="${BASE}").replace("FROM", f"ARG BASE={busybox}\nFROM"), note="1\n")
    project.ok("lock")
    before = project.lock.read_text()
    (build,) = read_lock(project.lock).builds
    assert (build.images, build.entrypoint, build.command) == ((busybox,), ("sh", "-c"), ("cat /made",))
    (project.directory / "docker" / "server.key").write_text("a key")
    (project.directory / "docker" / ".env").write_text("A=secret")
    project.ok("lock", "--check")
    (project.directory / "docker" / "note").write_text("2\n")
    assert "server:web ./docker changed since it was locked" in project.fails("plan").err.replace(": ", " ")
    project.ok("lock")
    (again,) = read_lock(project.lock).builds
    assert again.keys != build.keys
    (project.directory / "docker" / "note").write_text("1\n")
    project.ok("lock")
    assert project.lock.read_text() == before, "the same files are the same lock"
    project.edit('build = "./docker"', f'build = {{ context = "docker", args = {{ BASE = "{busybox}" }} }}')
    assert "build.args changed since it was locked" in project.fails("plan").err


def test_an_argument_that_looks_like_a_secret_is_refused(project: TrialProject, busybox: str) -> None:
    write(project, PLAIN.format(base=busybox) + "ARG API_TOKEN\n")
    project.edit('"./docker"', '{ context = "./docker", args = { API_TOKEN = "q8Zr71xWv0aPlm" } }')
    assert "no secret reaches a build" in project.fails("lock").err


@pytest.mark.engine
def test_a_server_is_built_without_network_and_secrets_and_answers(
    project: TrialProject, engine: str, base_image: str, busybox: str
) -> None:
    project.env["DOCKER_HOST"] = engine
    with_digest = f"{base_image}@{_digest(project, base_image)}"
    write(
        project,
        f"ARG PYTHON={with_digest}\nFROM $PYTHON AS app\nARG NOTE=none\nCOPY . /app/\n"
        f"RUN cat /proc/net/dev > /network; echo $NOTE > /note; ls -A /app > /files\n"
        f"FROM app\nCOPY --from={busybox} /bin/busybox /busybox\n"
        'ENTRYPOINT ["python3", "/app/server.py"]\n',
        **{"server.py": (SERVERS / "echo.py").read_text(), ".dockerignore": "*.log\nDockerfile\n", "x.log": "x"},
        **{"own.pem": "key", ".env": "A=secret", "token": "t0ken", "hatchlock.local.toml": "", "kept": "k"},
    )
    project.edit('build = "./docker"', 'build = { context = "./docker", args = { NOTE = "said" } }')
    project.write(project.manifest.read_text() + '\n[servers.web.env]\nTOKEN = { secret = "file:docker/token" }\n')
    (project.directory / "docker" / "token").chmod(0o600)
    project.ok("lock")
    (step,) = [step for step in project.plan()["steps"] if step["address"] == "image:web"]
    assert step["details"]["result"] == "known after apply"
    project.ok("apply", "--yes")
    assert project.steps() == []
    assert "echo" in project.tools("web")
    seen = project.ok("exec", "web", "--", "cat", "/network", "/note", "/files").out
    assert re.findall(r"^ *(\w+):", seen, re.MULTILINE) == ["lo"], "no other device"
    assert seen.splitlines()[-4:] == ["said", ".dockerignore", "kept", "server.py"], seen
    assert project.ok("exec", "web", "--", "/busybox", "echo", "x").out == "x\n"
    (tag,) = tags(project)
    assert tag == f"hatchlock/{project.name}/web:{next(iter(read_lock(project.lock).builds[0].keys.values()))}"
    assert "STEP 1/" in project.ok("logs", "--build", "web").out.upper()
    project.ok("probe", "web")


def _digest(project: TrialProject, reference: str) -> str:
    write(project, f'FROM {reference}\nCMD ["x"]\n')
    found = re.search(r"sha256:[0-9a-f]{64}", project.fails("lock").err)
    assert found
    return found[0]


@pytest.mark.engine
def test_a_bundle_has_all_that_a_build_needs(project: TrialProject, engine: str, busybox: str, tmp_path: Path) -> None:
    project.env["DOCKER_HOST"] = engine
    write(project, PLAIN.format(base=busybox))
    project.ok("lock")
    project.ok("fetch", "--to", "web.bundle")
    shutil.rmtree(project.directory / "docker")
    project.store = tmp_path / "another store"
    project.env["HATCHLOCK_HOME"] = str(project.store)
    project.ok("apply", "--yes", "--no-probe", "--offline", "--from", "web.bundle")
    assert project.ok("exec", "web", "--", "cat", "/made").out == "made\n"
    assert project.steps() == []
    assert len(tags(project)) == 1


@pytest.mark.engine
def test_a_build_that_fails_says_where_and_leaves_nothing(project: TrialProject, engine: str, busybox: str) -> None:
    project.env["DOCKER_HOST"] = engine
    write(project, f'FROM {busybox}\n# why\n\nRUN echo fine\nRUN echo broken \\\n  && ls /nowhere\nCMD ["x"]\n')
    project.ok("lock")
    said = project.fails("apply", "--yes", "--no-probe").err
    assert "docker/Dockerfile:5" in said
    assert "| broken" in said
    assert "/nowhere" in said
    assert "| fine" not in said
    assert "hatchlock logs --build web" in said
    assert "fine" in project.ok("logs", "--build", "web").out
    assert tags(project) == []
    write(project, PLAIN.format(base=busybox))
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    assert project.steps() == []


@pytest.mark.engine
def test_what_docker_does_not_know_is_said_before_it_is_asked(project: TrialProject, engine: str, busybox: str) -> None:
    with Engine(engine) as connection:
        if "BuildahVersion" in connection.info():
            pytest.skip("the engine is Podman, whose builder knows mounts")
    project.env["DOCKER_HOST"] = engine
    write(project, f'FROM {busybox}\nRUN --mount=type=tmpfs,target=/c ls /c\nCMD ["x"]\n')
    project.ok("lock")
    assert "docker/Dockerfile:2: RUN --mount is not known to the builder" in project.fails("apply", "--yes").err
    write(project, f'FROM {busybox}\nRUN <<EOF\nls\nEOF\nCMD ["x"]\n')
    project.ok("lock")
    assert "docker/Dockerfile:2: a here-document is not known" in project.fails("apply", "--yes").err


@pytest.mark.engine
def test_a_build_that_gives_something_else_is_told_as_not_reproducible(
    project: TrialProject, engine: str, busybox: str
) -> None:
    project.env["DOCKER_HOST"] = engine
    write(project, RANDOM.format(base=busybox))
    project.ok("lock")
    for expected in ([], [], ["not reproducible: the same input gave two different images"]):
        (step,) = [step for step in project.plan()["steps"] if step["address"] == "image:web"]
        assert step["notes"] == expected
        project.ok("apply", "--yes", "--no-probe")
        with Engine(engine) as connection:
            connection.untag(tags(project)[0])


@pytest.mark.engine
def test_podman_builds_without_network_too_and_knows_mounts(project: TrialProject, podman: str, busybox: str) -> None:
    project.env["DOCKER_HOST"] = podman
    write(
        project,
        f"FROM {busybox} AS one\nRUN --mount=type=bind,from={busybox},source=/bin,target=/b /b/busybox cat /proc/net/dev > /d\n"
        'FROM one\nRUN cat /d /nowhere\nCMD ["x"]\n',
    )
    project.ok("lock")
    said = project.fails("apply", "--yes").err
    assert "docker/Dockerfile:4: the build failed" in said
    assert re.findall(r"^  \| +(\w+): +\d", said, re.MULTILINE) == ["lo"], said
    write(project, PLAIN.format(base=busybox))
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")
    assert project.steps() == []
