"""The main job: two real servers of the package index, declared, locked, planned, applied, and used by a client we did not
write; one as a process, the other in a container whose base comes from a registry on loopback."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from support.engine_images import untag_all
from support.project import TrialProject

pytestmark = [pytest.mark.engine, pytest.mark.network, pytest.mark.usefixtures("held_base")]

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[defaults]
clients = ["claude-code", "cursor"]

# what time it is
[servers.time]
source = "pypi:mcp-server-time>=2025.7,<2027"
args = ["--local-timezone", "UTC"]
runtime = "process"

# what a page says
[servers.fetch]
source = "pypi:mcp-server-fetch>=2025.1,<2027"
base = "oci:{base}"
runtime = "container"

[registries."{registry}"]
plain-http = true
"""
CLAUDE = """\
{
  "numStartups": 7,
    "mcpServers" : {
      "theirs":{"command":"npx","args":[ "-y", "their-server" ]}
    },
  "projects": {"/somewhere": {"mcpServers": {}}}
}
"""
CURSOR = '{"mcpServers": {"other": {"url": "https://example.com/mcp"}}, "unknown": [1.0, 1e3]}'
FILES = {".claude.json": CLAUDE, ".cursor/mcp.json": CURSOR}


@pytest.fixture(scope="module")
def job(
    tmp_path_factory: pytest.TempPathFactory, engine: str, registry: str, base_image: str
) -> Iterator[TrialProject]:
    """The applied project; what led there is asserted on the way."""
    name = f"main-job-{secrets.token_hex(4)}"
    manifest = MANIFEST.format(name=name, base=base_image, registry=registry, platform=host_platform())
    project = TrialProject(tmp_path_factory.mktemp("main-job"), manifest, name=name, DOCKER_HOST=engine)
    for path, text in FILES.items():
        file = project.user_home / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    try:
        _main_job(project)
        yield project
    finally:
        untag_all(engine, name)


def _main_job(project: TrialProject) -> None:
    project.ok("lock")
    assert project.run("plan", "--check").status == 2
    assert project.steps() == [
        "create env:time",
        "create image:fetch",
        "create server:fetch",
        "create server:time",
        "create client:claude-code/fetch",
        "create client:claude-code/time",
        "create client:cursor/fetch",
        "create client:cursor/time",
    ]
    project.ok("apply", "--yes")
    check = project.run("plan", "--check")
    assert (check.status, check.out.startswith("Nothing to do")) == (0, True), check.said


@pytest.fixture
def changing(job: TrialProject) -> Iterator[TrialProject]:
    """The applied project, for a test that changes it; afterwards it is as it was."""
    kept = {path: path.read_bytes() for path in (job.manifest, job.lock)}
    yield job
    for path, data in kept.items():
        path.write_bytes(data)
    job.ok("apply", "--yes", "--no-probe")


def test_a_client_that_we_did_not_write_lists_the_tools_of_both(job: TrialProject) -> None:
    assert job.tools("time") == ["get_current_time", "convert_time"]
    assert job.tools("fetch") == ["fetch"]


def test_status_shows_both_in_sync_and_healthy(job: TrialProject) -> None:
    servers = job.ok("status", "--json").document["servers"]
    assert [(item["name"], item["runtime"], item["sync"], item["health"]) for item in servers] == [
        ("fetch", "container", "synced", "healthy"),
        ("time", "process", "synced", "healthy"),
    ]


def test_one_argument_changed_plans_exactly_that_server_and_builds_nothing(changing: TrialProject, engine: str) -> None:
    changing.edit('"UTC"', '"Europe/Berlin"')
    changing.ok("lock")
    before = (changing.environments(), _image_ids(engine, changing.name), _client_files(changing))
    assert changing.steps() == ["update server:time"]
    step = changing.plan()["steps"][0]
    assert step["details"]["arguments"] == "--local-timezone UTC -> --local-timezone Europe/Berlin"
    changing.ok("apply", "--yes")
    assert (changing.environments(), _image_ids(engine, changing.name), _client_files(changing)) == before
    assert changing.run("plan", "--check").status == 0
    assert changing.tools("time") == ["get_current_time", "convert_time"]


def test_a_server_removed_plans_only_its_removal(changing: TrialProject) -> None:
    changing.ok("remove", "fetch")
    assert "# what time it is" in changing.manifest.read_text()
    assert changing.steps() == [
        "delete client:claude-code/fetch",
        "delete client:cursor/fetch",
        "delete server:fetch",
    ]


def test_the_entries_in_the_users_files_start_the_servers_and_leave_the_rest_alone(job: TrialProject) -> None:
    for path, original in FILES.items():
        text = (job.user_home / path).read_text()
        servers = json.loads(text)["mcpServers"]
        assert list(servers) == [*json.loads(original)["mcpServers"], "fetch", "time"]
        for name in ("time", "fetch"):
            assert [servers[name]["command"], *servers[name]["args"]] == job.launch_command(name)
        start = original.index("}}" if path.startswith(".cursor") else "}\n") + 1
        assert text.startswith(original[:start])
        assert text.endswith(original[original.index("projects" if path == ".claude.json" else "unknown") :])


def test_after_everything_was_removed_the_users_files_are_byte_for_byte_what_they_were(changing: TrialProject) -> None:
    changing.ok("remove", "fetch")
    changing.ok("remove", "time")
    refused = changing.run("apply", "--yes")
    assert (refused.status, "--allow-mass-removal" in refused.err) == (3, True), refused.said
    changing.ok("apply", "--yes", "--allow-mass-removal")
    assert {path: (changing.user_home / path).read_text() for path in FILES} == FILES
    assert changing.active() == {}


def _client_files(project: TrialProject) -> dict[str, bytes]:
    return {path: (project.user_home / path).read_bytes() for path in FILES}


def _image_ids(engine: str, name: str) -> dict[str, str]:
    with Engine(engine) as connection:
        return {tag: item.id for tag, item in connection.images().items() if tag.startswith(f"hatchlock/{name}/")}
