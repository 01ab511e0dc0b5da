"""Real servers at work in images: two of the package index, one with Debian's git beside it, and one of npm.

And as processes: under their profile they work on what they are shown and with whom they may speak, and with nothing else.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client
from packaging.utils import canonicalize_name

from hatchlock.address import Kind
from hatchlock.engines.process import host_platform
from hatchlock.lock.model import Package
from hatchlock.lock.store import read_lock
from support.engine_images import untag_all
from support.loopback import Handler, answering
from support.project import TrialProject

pytestmark = [pytest.mark.engine, pytest.mark.network, pytest.mark.usefixtures("held_base")]

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.git]
source = "pypi:mcp-server-git>=2025.1,<2027"
with = ["deb:git"]
base = "oci:{python}"
args = ["--repository", "/repository"]
# git trusts only what belongs to the user that it runs as, and this is mounted from somebody else
env = {{ GIT_CONFIG_COUNT = "1", GIT_CONFIG_KEY_0 = "safe.directory", GIT_CONFIG_VALUE_0 = "/repository" }}

[servers.git.sandbox]
mounts = [{{ source = "./repository", target = "/repository" }}]
reason = "what it shows"

[servers.files]
source = "npm:@modelcontextprotocol/server-filesystem@<2027"
base = "oci:{node}"
args = ["/"]

[servers.files.sandbox]
mounts = [{{ source = "./data", target = "/data" }}, {{ source = "./work", target = "/work", mode = "rw" }}]
reason = "what it shows, and what it changes"

[servers.files-here]
source = "npm:@modelcontextprotocol/server-filesystem@<2027"
runtime = "process"
args = ["/"]

[servers.files-here.sandbox]
mounts = [{{ source = "./data", target = "/data" }}, {{ source = "./work", target = "/work", mode = "rw" }}]
reason = "what it shows, and what it changes"

[servers.fetch]
source = "pypi:mcp-server-fetch>=2025.1,<2027"
base = "oci:{python}"
# inside, each host of its list is an address of its own loopback, and of itself it asks only public ones
args = ["--ignore-robots-txt", "--allow-private-ips"]

[servers.fetch.sandbox]
network = ["localhost:{port}"]
reason = "what it reads"

[servers.fetch-here]
source = "pypi:mcp-server-fetch>=2025.1,<2027"
runtime = "process"
# inside, each host of its list is an address of its own loopback, and of itself it asks only public ones
args = ["--ignore-robots-txt", "--allow-private-ips"]

[servers.fetch-here.sandbox]
network = ["localhost:{port}"]
reason = "what it reads"
"""
WALK = """
const { readdirSync, existsSync, readFileSync } = require("fs");
const walk = (at) => existsSync(at + "/node_modules") && names(at + "/node_modules").forEach(one);
const names = (at) => readdirSync(at).filter((n) => n[0] != ".").flatMap((n) =>
  n[0] == "@" ? readdirSync(at + "/" + n).map((m) => `${at}/${n}/${m}`) : [`${at}/${n}`]);
const one = (at) => { const p = JSON.parse(readFileSync(at + "/package.json")); console.log(`${p.name}@${p.version}`); walk(at); };
walk("/opt/hatchlock");
"""
DISTRIBUTIONS = "import importlib.metadata as m; print(*(f'{d.name}@{d.version}' for d in m.distributions()))"


class Page(Handler[list[str]]):
    """Answers with one line, and notes who asked for what."""

    def do_GET(self) -> None:
        self.state.append(self.path)
        self.send(200, b"it is half past nine", {"Content-Type": "text/plain"})


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """What the services of this machine were asked for."""
    return []


@pytest.fixture(scope="module")
def allowed(asked: list[str]) -> Iterator[str]:
    with answering(Page, asked) as address:
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def forbidden(asked: list[str]) -> Iterator[str]:
    """A service beside it, which nobody may reach."""
    with answering(Page, asked) as address:
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def trial(
    tmp_path_factory: pytest.TempPathFactory, engine: str, base_image: str, node_image: str, allowed: str
) -> Iterator[TrialProject]:
    name = f"real-{secrets.token_hex(4)}"
    port = allowed.rpartition(":")[2]
    manifest = MANIFEST.format(name=name, platform=host_platform(), python=base_image, node=node_image, port=port)
    project = TrialProject(tmp_path_factory.mktemp("real"), manifest, name=name, DOCKER_HOST=engine)
    data = project.directory / "data"
    data.mkdir()
    (data / "greeting.txt").write_text("good morning\n")
    work = project.directory / "work"
    work.mkdir()
    work.chmod(0o777)
    make_repository(project.directory / "repository")
    try:
        project.ok("lock")
        project.ok("apply", "--yes")
        yield project
    finally:
        untag_all(engine, name)


def make_repository(path: Path) -> None:
    path.mkdir()
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    for command in (("init", "-q"), (*who, "commit", "-q", "--allow-empty", "-m", "the beginning")):
        subprocess.run(["git", *command], cwd=path, check=True)
    subprocess.run(["chmod", "-R", "a+rX", str(path)], check=True)


def call(project: TrialProject, server: str, tool: str, **arguments: Any) -> str:
    """Call a tool through the SDK, as an application would."""
    return calls(project, server, (tool, arguments))[0]


def calls(project: TrialProject, server: str, *wanted: tuple[str, dict[str, Any]]) -> list[str]:
    """Call tools one after the other in one session."""
    program, *options = project.launch_command(server)
    parameters = StdioServerParameters(command=program, args=options, env={"HOME": str(project.user_home)})

    async def talk() -> list[str]:
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            results = [await session.call_tool(tool, arguments) for tool, arguments in wanted]
            return ["\n".join(getattr(item, "text", "") for item in result.content) for result in results]

    return anyio.run(talk)


def locked(project: TrialProject, kind: Kind, environment: str) -> list[Package]:
    lock = read_lock(project.lock)
    packages = lock.packages_of(lock.environment(environment, "container"), host_platform())
    return [package for package in packages if package.kind is kind]


def test_the_git_server_reads_a_repository_with_debians_git(trial: TrialProject) -> None:
    assert "the beginning" in call(trial, "git", "git_log", repo_path="/repository")


def test_the_file_server_reads_a_file(trial: TrialProject) -> None:
    assert call(trial, "files", "read_text_file", path="/data/greeting.txt") == "good morning\n"


files = pytest.mark.parametrize("server", ["files", "files-here"])


@files
def test_the_file_server_writes_where_it_may_and_nowhere_else(trial: TrialProject, server: str) -> None:
    """Its own argument lets it write everywhere."""
    paths = (f"/work/{server}.txt", "/data/new.txt", "/new.txt", "/usr/new.txt", "/etc/new.txt")
    first, *others = calls(trial, server, *(("write_file", {"path": path, "content": "was here"}) for path in paths))
    assert "Success" in first
    assert (trial.directory / "work" / f"{server}.txt").read_text() == "was here"
    for path, said in zip(paths[1:], others, strict=True):
        assert any(word in said for word in ("EROFS", "EACCES")), (path, said)
        assert not Path(path).exists()
    assert [item.name for item in (trial.directory / "data").iterdir()] == ["greeting.txt"]


@pytest.mark.parametrize("server", ["fetch", "fetch-here"])
def test_a_server_with_one_host_in_its_list_reaches_that_and_nothing_else(
    trial: TrialProject, server: str, allowed: str, forbidden: str, asked: list[str]
) -> None:
    port = forbidden.rpartition(":")[2]
    others = (forbidden, f"http://127.0.0.1:{port}", f"http://[::1]:{port}")
    wanted = [("fetch", {"url": f"{address}/{server}"}) for address in (allowed, *others)]
    first, *refused = calls(trial, server, *wanted)
    assert "it is half past nine" in first
    assert all("Failed to fetch" in said for said in refused), refused
    assert asked.count(f"/{server}") == 1


def test_dpkg_finds_every_debian_package_and_nothing_wrong_with_them(trial: TrialProject) -> None:
    query = trial.ok("exec", "git", "--", "dpkg-query", "-W", "-f", "${Package}@${Version}@${db:Status-Abbrev}\n")
    there = set(query.out.split("\n"))
    wanted = locked(trial, Kind.DEB, "git")
    assert {"git", "git-man", "perl"} <= {package.name for package in wanted}
    assert {f"{package.name}@{package.version}@ii " for package in wanted} <= there
    assert trial.ok("exec", "git", "--", "dpkg", "--audit").out == ""
    names = [package.name for package in wanted]
    assert trial.run("exec", "git", "--", "dpkg", "--verify", *names).out == ""


def test_python_finds_every_package_of_the_index(trial: TrialProject) -> None:
    there = trial.ok("exec", "git", "--", "/opt/hatchlock/bin/python", "-c", DISTRIBUTIONS).out.split()
    found = {f"{canonicalize_name(name)}@{version}" for name, _, version in (item.partition("@") for item in there)}
    assert found == {f"{package.name}@{package.version}" for package in locked(trial, Kind.PYPI, "git")}


def test_a_walk_of_node_modules_finds_every_package_of_npm(trial: TrialProject) -> None:
    there = trial.ok("exec", "files", "--", "node", "-e", WALK).out.split()
    assert set(there) == {f"{package.name}@{package.version}" for package in locked(trial, Kind.NPM, "files")}
    assert len(there) > 50


def test_every_library_of_the_image_is_found(trial: TrialProject) -> None:
    """What ldconfig's cache is for."""
    said = trial.ok("exec", "git", "--", "sh", "-c", "ldd /usr/lib/git-core/git-remote-https; git --version").out
    assert "not found" not in said
    assert re.search(r"libcurl-gnutls\.so\.4 => /\S+", said)
    assert re.search(r"git version \d", said)
