"""`audit` of real projects in both runtimes: as they are by default, relaxed, changed by hand, and with a broken store."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.host import host_facts
from hatchlock.engines.process import host_platform
from hatchlock.launch import LaunchRecord
from hatchlock.lock.model import Lock
from hatchlock.process import owner
from hatchlock.security.audit.catalogue import evaluate
from hatchlock.security.audit.containers import container_facts
from hatchlock.security.audit.facts import Facts, ServerFacts
from hatchlock.security.container import container_config
from support.cats import CatProject, apply, tree
from support.index import Release, serving
from support.layers import make_layer
from support.links_image import links_image
from support.registry import push

CAT = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.cat]
command = ["/bin/cat", "-u"]
runtime = "process"
"""
RELAXED = """
[servers.cat.env]
KEY = { secret = "file:./key" }

[servers.cat.sandbox]
network = "host"
mounts = [{ source = "./data", target = "/data", mode = "rw" }]
memory = "1g"
reason = "it fills the data in"
"""
BOX = """
[servers.box]
source = "oci:{image}"
runtime = "container"

[registries."{registry}"]
plain-http = true
"""


def text(name: str = "trial") -> str:
    return CAT.format(name=name, platform=host_platform())


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    """A project with a server that is a process under the default profile."""
    made = CatProject(tmp_path, text())
    apply(made)
    return made


def checks(project: CatProject, *words: str) -> dict[str, Any]:
    found = project.run("audit", "--json", *words)
    return {item["id"]: item for item in found.document["checks"]}


def told(check: Any) -> list[tuple[str, str, str]]:
    return [(item["address"], item["level"], item["what"]) for item in check["findings"]]


def test_a_server_with_the_default_profile_passes(project: CatProject) -> None:
    document = project.ok("audit", "--json").document
    assert (document["project"], document["fail_on"], document["failed"]) == ("trial", "error", False)
    points = ("C1", "C2", "C5", "C6", "C7", "C8")
    assert {point: document["points"][point] for point in points} == dict.fromkeys(points, "pass")
    assert document["servers"]["cat"]["C6"] == "pass"
    found = {item["id"]: item for item in document["checks"]}
    assert found["as-declared"]["state"] == found["private-store"]["state"] == "pass"
    assert told(found["hashes"]) == [
        ("server:cat", "warning", "/bin/cat is a program of this machine, which nothing pins")
    ]
    assert found["hashes"]["findings"][0]["place"] == "hatchlock.toml:6"


def test_its_text_has_the_checklist_the_servers_and_the_checks(project: CatProject) -> None:
    lines = project.ok("audit").out.splitlines()
    assert lines[0] == "project trial, 1 server"
    assert any(line.split()[:2] == ["C2", "pass"] for line in lines)
    assert any(line.split() == ["cat", "pass", "pass", "pass", "pass", "pass"] for line in lines)
    assert "    ! server:cat  /bin/cat is a program of this machine, which nothing pins  (hatchlock.toml:6)" in lines
    assert not any("nothing to look at" in line for line in lines[:-1])
    assert lines[-1].startswith("35 checks: ")
    assert len(project.ok("audit", "-v").out.splitlines()) > len(lines)


def test_what_is_relaxed_is_told_with_its_reason_and_its_line(project: CatProject) -> None:
    (project.directory / "data").mkdir()
    key = project.directory / "key"
    key.write_text("not-a-real-one")
    key.chmod(0o600)
    project.write(text() + RELAXED)
    apply(project)
    assert project.ok("audit").status == 0, "a relaxation with a reason is no error"
    assert project.run("audit", "--fail-on", "warning").status == 3
    assert project.run("audit", "--fail-on", "never").status == 0
    found = checks(project)
    assert told(found["network"]) == [
        (
            "server:cat",
            "warning",
            "it has the machine's own network, services on loopback included (reason: it fills the data in)",
        )
    ]
    assert found["network"]["findings"][0]["place"] == "hatchlock.toml:13"
    assert told(found["mounts"])[0][1:] == (
        "warning",
        f"it may write to {project.directory}/data, at /data (reason: it fills the data in)",
    )
    assert told(found["limits"])[0][2].startswith("memory is 1g, by default 512m")
    assert found["secret-files"]["state"] == "pass"


def test_a_secrets_file_that_others_read_or_git_takes_is_an_error(project: CatProject) -> None:
    (project.directory / "data").mkdir()
    key = project.directory / "key"
    key.write_text("not-a-real-one")
    key.chmod(0o600)
    project.write(text() + RELAXED)
    apply(project)
    key.chmod(0o644)
    git = shutil.which("git")
    assert git
    subprocess.run([git, "init", "-q", str(project.directory)], check=True)
    done = project.run("audit")
    assert done.status == 3
    words = " ".join(what for _, level, what in told(checks(project)["secret-files"]) if level == "error")
    assert "open to every user" in words
    assert "git does not ignore it" in words


@pytest.mark.parametrize(
    ("path", "mode", "words"),
    [
        (".", 0o777, "can be written to by every user"),
        (".", 0o755, "is open to others"),
        ("projects/trial/active.json", 0o666, "can be written to by every user"),
        ("bin/hatchlock", 0o775, "can be written to by a group"),
    ],
)
def test_a_store_that_others_could_change_is_an_error(project: CatProject, path: str, mode: int, words: str) -> None:
    place = project.store / path
    place.chmod(mode)
    done = project.run("audit")
    assert (done.status, f"{place} {words}" in done.out) == (3, True), done.said
    assert [level for _, level, _ in told(checks(project)["private-store"])] == ["error"]


def test_a_stale_lock_and_what_is_not_applied_are_told(project: CatProject) -> None:
    project.edit('"-u"', '"-v"')
    assert project.run("audit").status == 3
    assert told(checks(project)["as-declared"]) == [
        ("server:cat", "error", "the lock is stale: command changed since it was locked")
    ]
    project.ok("lock")
    assert project.run("audit").status == 0
    assert told(checks(project)["as-declared"]) == [
        ("server:cat", "warning", "to update: arguments, launch record changed")
    ]


def test_it_changes_nothing_but_caches(project: CatProject) -> None:
    before = tree(project.root, without=("store/cache", "store/audit"))
    project.ok("audit", "--format", "sarif")
    assert tree(project.root, without=("store/cache", "store/audit")) == before


def test_it_prints_sarif(project: CatProject) -> None:
    log = project.ok("audit", "--format", "sarif").document
    (result,) = [item for item in log["runs"][0]["results"] if item["ruleId"] == "hashes"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 6
    assert "format_version" not in log


def test_what_is_outdated_is_known_from_the_cache_and_asked_for_only_on_request(tmp_path: Path) -> None:
    with serving(Release(name="tool", version="1.0", scripts={"tool": "tool:main"})) as index:
        manifest = text().replace('command = ["/bin/cat", "-u"]', 'source = "pypi:tool"')
        project = CatProject(tmp_path, f'{manifest}\n[indexes.pypi]\nurl = "{index.url}"\nttl = "0s"\n')
        project.ok("lock")
        assert checks(project)["updated"]["state"] == "pass"
        index.releases[:] = [
            replace(index.releases[0], yanked="it loses files"),
            replace(index.releases[0], version="1.1"),
        ]
        assert checks(project)["updated"]["state"] == "pass"
        assert checks(project, "--online", "--offline")["updated"]["state"] == "pass"
        found = told(checks(project, "--online")["updated"])
        assert found == [("pypi:tool", "error", "it was yanked by its author (1.0, there is 1.1): it loses files")]
        shutil.rmtree(project.store / "cache")
        unknown = checks(project)["updated"]
        assert unknown["state"] == "unknown"
        assert unknown["unknown"] == "nothing is known of pypi:tool in the cache; ask with --online"


def test_without_a_lock_there_is_nothing_to_audit(tmp_path: Path) -> None:
    CatProject(tmp_path, text()).really_fails("audit")


# Containers


@pytest.fixture
def boxed(tmp_path: Path, engine: str, registry: str) -> Iterator[CatProject]:
    """A project with a server in each runtime; what is left of it in the engine is taken away."""
    name = f"audit-{secrets.token_hex(4)}"
    architecture = host_platform().removeprefix("linux/")
    push(registry, name, "1", layers=[make_layer({"which": name.encode()})], architecture=architecture)
    manifest = text(name) + BOX.format(image=f"{registry}/{name}:1", registry=registry)
    made = CatProject(
        tmp_path,
        manifest.replace("[servers.box]\n", '[servers.box]\ncommand = ["/bin/server"]\n'),
        name=name,
        DOCKER_HOST=engine,
    )
    apply(made)
    yield made
    client = docker.DockerClient(base_url=engine)
    for container in client.containers.list(all=True, filters={"label": f"dev.hatchlock.project={name}"}):
        container.remove(force=True)
    for image in client.images.list():
        for tag in image.tags:
            if f"hatchlock/{name}/" in tag:
                client.images.remove(tag, force=True)
    client.close()


@pytest.mark.engine
def test_a_container_that_was_made_by_hand_is_told_from_one_of_run(boxed: CatProject, engine: str) -> None:
    image = boxed.ok("status", "images", "--json").document["images"][0]["tags"][0]
    assert boxed.ok("audit", "--json").document["points"]["C3"] == "pass"
    client = docker.DockerClient(base_url=engine)
    labels = {"dev.hatchlock.project": boxed.name, "dev.hatchlock.server": "box", "dev.hatchlock.owner": owner(1)}
    client.containers.create(
        image, ["/bin/server"], name=boxed.name, labels=labels, privileged=True, network_mode="host"
    )
    client.close()
    assert boxed.run("audit").status == 3
    document = boxed.run("audit", "--json").document
    errors = {
        item["id"]: [what["what"] for what in item["findings"] if what["address"] == f"container:{boxed.name}"]
        for item in document["checks"]
    }
    assert {name for name, whats in errors.items() if whats} >= {
        *("non-root", "init", "read-only", "network", "limits", "capabilities", "temporary"),
    }
    assert document["servers"]["box"]["C2"] == "pass", "the server itself is as it should be"
    assert document["points"]["C2"] == "fail"


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["engine", "podman"])
def test_a_container_as_run_makes_it_is_as_declared_on_every_engine(kind: str, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(kind)
    record = LaunchRecord(project="audited", server="box", runtime="container", argv=("/bin/true",), key="k")
    name = f"audited-{secrets.token_hex(4)}"
    asked = Engine(address)
    with links_image(address) as image:
        config = container_config(replace(record, image=image), env={}, host=host_facts(), labels={})
        asked.create(name, config)
        try:
            found = container_facts(asked.inspect(name), owner_gone=False, podman=asked.is_podman)
        finally:
            asked.remove(name)
    assert found
    server = ServerFacts(name="box", runtime="container", source="oci:x")
    verdicts = evaluate(Facts(lock=Lock(project="audited", platforms=()), servers=(server,), containers=(found,)))
    assert [item for verdict in verdicts for item in verdict.outcome.findings if item.address == found.address] == []
