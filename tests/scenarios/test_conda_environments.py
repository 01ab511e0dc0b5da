"""Environments whose interpreter is conda's, with packages of Python's index on top: locked, applied, run, refused."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from support import pythons
from support.cats import start
from support.conda_channel import (
    CondaFile,
    CondaPackage,
    ServedChannel,
    interpreter_package,
    serving_channel,
    write_channel,
)
from support.engine import wait_until
from support.hatch_registry import HatchPackage, serving_hatch
from support.index import Index, Release, serving
from support.project import TrialProject, server_release
from support.runs import Run
from support.unavailable import need_isolation
from support.wheels import make_wheel

SUBDIRS = {"linux/amd64": "linux-64", "linux/arm64": "linux-aarch64", "darwin/arm64": "osx-arm64"}
HEAD = """\
[project]
name = "trial"
platforms = ["darwin/arm64", "linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "{index}"

[indexes.conda]
name = "main"
url = "{channel}"
"""
SERVER = """
import json
import sys

import numlib


def main():
    word = sys.base_prefix + " " + numlib.VERSION
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            info = {"name": word, "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": info}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
"""An MCP server that is called what its interpreter is, and the package of conda's that it imports."""
PROGRAM = """\
#!/bin/sh
while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id": *\\([0-9]*\\).*/\\1/p')
  about='{"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "conda'"'"'s", "version": "1"}}'
  [ -z "$id" ] || echo '{"jsonrpc": "2.0", "id": '"$id"', "result": '"$about"'}'
done
"""
BLOCKED = "import sys; sys.modules['rattler'] = None"
"""Makes Python behave as if there were no such module."""


def numlib(version: str) -> CondaPackage:
    files = {
        "site-packages/numlib.py": CondaFile(data=f"VERSION = 'conda {version}'\n".encode()),
        f"site-packages/numlib-{version}.dist-info/METADATA": CondaFile(
            data=f"Metadata-Version: 2.1\nName: numlib\nVersion: {version}\n".encode()
        ),
    }
    return CondaPackage(name="numlib", version=version, noarch="python", depends=["python >=3.10"], files=files)


TRACER = CondaPackage(
    name="tracer",
    noarch="python",
    depends=["python >=3.10"],
    files={
        "site-packages/tracer.pth": CondaFile(data=b"import sys; open(sys.base_prefix + '/tracer-ran', 'w').close()\n"),
        "site-packages/sitecustomize.py": CondaFile(
            data=b"import sys; open(sys.base_prefix + '/custom-ran', 'w').close()\n"
        ),
    },
)
"""What is run by every start of an interpreter that it is beside, and leaves a trace."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with the interpreter that runs the tests; for other platforms it is one in name."""
    archive = pythons.make_python_archive(tmp_path_factory.mktemp("python") / "python.tar.gz")
    here = SUBDIRS[host_platform()]
    packages = [interpreter_package(archive, here), numlib("1.0"), numlib("2.0"), TRACER]
    for subdir in SUBDIRS.values():
        if subdir != here:
            packages.append(CondaPackage(name="python", version=pythons.FULL, build="0_cpython", subdir=subdir))
        program = CondaFile(data=b"#!/bin/sh\necho conda\n", mode=0o755)
        served = CondaFile(data=PROGRAM.encode(), mode=0o755)
        packages.append(CondaPackage(name="echo-program", subdir=subdir, files={"bin/echo-program": served}))
        packages.append(CondaPackage(name="tool", subdir=subdir, files={"bin/tool": program}))
    return write_channel(tmp_path_factory.mktemp("channels") / "main", packages)


@pytest.fixture
def channel(root: Path) -> Iterator[ServedChannel]:
    with serving_channel(root) as served:
        yield served


def release(directory: Path, name: str, *requires: str, version: str = "1.0") -> Release:
    """A wheel whose module is the server."""
    directory.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    entry_points = f"[console_scripts]\n{name} = {module}:main\n"
    files = {f"{module}.py": SERVER.encode()}
    wheel = make_wheel(
        directory, name=module, version=version, files=files, entry_points=entry_points, requires=requires
    )
    scripts = {name: f"{module}:main"}
    return Release(name=name, version=version, body=wheel.read_bytes(), requires=requires, scripts=scripts)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    releases = [
        release(tmp_path / "wheels", "tiny-server", "numlib>=1"),
        release(tmp_path / "wheels", "new-server", "numlib>=3"),
    ]
    with serving(*releases, Release(name="numlib", version="9.0"), separate_metadata=True) as served:
        yield served


class Trial(TrialProject):
    """A project with a channel and a Python index."""

    def __init__(self, root: Path, channel: ServedChannel, index: Index) -> None:
        super().__init__(root)
        self.head = HEAD.format(channel=channel.url, index=index.url)

    def wants(self, *dependencies: str, source: str = "pypi:tiny-server") -> Trial:
        wanted = ", ".join(f'"{item}"' for item in dependencies)
        server = f'[servers.tiny]\nsource = "{source}"\nenvironment = "analysis"\n'
        self.write(f"{self.head}\n[environments.analysis]\ndependencies = [{wanted}]\n\n{server}")
        return self

    def ids(self) -> list[str]:
        return [package.id for package in read_lock(self.lock).packages]

    def called(self) -> str:
        """Return what the server says that it is called."""
        env = {"HOME": str(self.user_home), "PATH": "/usr/bin:/bin"}
        with Run(command=self.launch_command("tiny"), env=env) as run:
            name = str(run.hello()["serverInfo"]["name"])
            status, _, err = run.end()
        assert status == 0, err
        return name


@pytest.fixture
def trial(tmp_path: Path, channel: ServedChannel, index: Index) -> Trial:
    return Trial(tmp_path, channel, index)


@pytest.fixture
def isolated() -> None:
    need_isolation()


CONDA = (f"conda:python={pythons.MINOR}", "conda:numlib>=1", "pypi:tiny-server")


def test_nothing_of_a_channel_is_run_by_apply_not_even_its_interpreter(trial: Trial) -> None:
    trial.wants(*CONDA, "conda:tracer").ok("lock")
    trial.ok("apply", "--yes", "--no-probe")
    (prefix,) = (path for path in (trial.store / "conda").iterdir() if not path.name.startswith("."))
    assert (prefix / "lib" / f"python{pythons.MINOR}" / "site-packages" / "tracer.pth").is_file()
    assert sorted(prefix.glob("*-ran")) == []


def without_network() -> list[str]:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("taking the network away needs root and unshare")
    return ["unshare", "-n"]


def test_the_lock_is_for_every_platform_and_the_same_each_time(trial: Trial, index: Index) -> None:
    trial.wants(*CONDA).ok("lock")
    first = trial.lock.read_bytes()
    lock = read_lock(trial.lock)
    assert trial.ids() == ["conda:numlib@2.0=0", f"conda:python@{pythons.FULL}=0_cpython", "pypi:tiny-server@1.0"]
    python = next(package for package in lock.packages if package.name == "python")
    assert sorted(file.platform for file in python.files) == list(lock.platforms)
    assert lock.environment("analysis", "process").python == pythons.MINOR
    for words in (("lock",), ("lock", "--upgrade"), ("lock", "--refresh")):
        trial.ok(*words)
        assert trial.lock.read_bytes() == first, words
    trial.lock.unlink()
    trial.env["HATCHLOCK_HOME"] = str(trial.root / "another store")
    trial.ok("lock")
    assert trial.lock.read_bytes() == first
    assert index.asked_for("numlib") == [], "a name that conda has is not asked for"
    trial.ok("lock", "--check")


@pytest.mark.usefixtures("isolated")
def test_a_server_of_pythons_index_runs_on_condas_interpreter_and_imports_condas_package(trial: Trial) -> None:
    trial.wants(*CONDA).ok("lock")
    trial.ok("apply", "--yes")
    prefix, _, numbers = trial.called().partition(" ")
    assert numbers == "conda 2.0"
    assert Path(prefix).parent == trial.store / "conda"
    assert trial.steps() == []
    assert trial.half_done() == []
    trial.ok("lock", "--check")
    assert "conda:numlib@2.0=0" in trial.ok("tree").out
    assert "conda:numlib@2.0=0" in trial.ok("why", "numlib").out


@pytest.mark.usefixtures("isolated")
def test_what_was_fetched_is_applied_without_a_network(trial: Trial, channel: ServedChannel) -> None:
    trial.wants(*CONDA).ok("lock")
    trial.ok("fetch")
    asked = len(channel.asked)
    trial.ok("apply", "--yes", "--offline", prefix=without_network())
    assert trial.called().endswith(" conda 2.0")
    assert len(channel.asked) == asked


@pytest.mark.usefixtures("isolated")
def test_a_bundle_is_all_that_an_empty_store_needs(trial: Trial, channel: ServedChannel) -> None:
    trial.wants(*CONDA).ok("lock")
    trial.ok("fetch", "--to", "analysis.bundle")
    asked = len(channel.asked)
    trial.store = trial.root / "another store"
    trial.env["HATCHLOCK_HOME"] = str(trial.store)
    trial.ok("apply", "--yes", "--offline", "--from", "analysis.bundle")
    assert trial.called().endswith(" conda 2.0")
    assert len(channel.asked) == asked


@pytest.mark.usefixtures("isolated")
def test_a_file_of_the_channel_that_changed_is_refused_before_anything_is_made(
    trial: Trial, tmp_path: Path, root: Path
) -> None:
    own = tmp_path / "channels" / "main"
    shutil.copytree(root, own)
    with serving_channel(own) as channel:
        trial.head = trial.head.replace(
            trial.head.partition('name = "main"\nurl = "')[2].partition('"')[0], channel.url
        )
        trial.wants(*CONDA).ok("lock")
        for file in own.rglob("numlib-2.0-*"):
            file.write_bytes(numlib("2.0").data + b"and more")
        trial.store = trial.root / "another store"
        trial.env["HATCHLOCK_HOME"] = str(trial.store)
        done = trial.fails("apply", "--yes")
    assert "numlib-2.0-0.conda" in done.err
    assert trial.environments() == []
    assert list((trial.store / "conda").glob("*")) == []


def test_a_bound_that_condas_version_does_not_satisfy_is_explained(trial: Trial) -> None:
    done = trial.wants(*CONDA[:2], "pypi:new-server", source="pypi:new-server").fails("lock")
    assert "no version of numlib, which new-server 1.0 requires, satisfies numlib>=3" in done.err
    assert ": conda brings numlib 2.0" in done.err
    assert not trial.lock.exists()


def test_an_interpreter_that_nobody_asked_for_is_refused_with_the_words_that_ask_for_it(trial: Trial) -> None:
    done = trial.wants("conda:numlib", "pypi:tiny-server").fails("lock")
    assert f"conda:numlib would bring Python {pythons.FULL} along, and the environment has another" in done.err
    assert f'list "conda:python={pythons.MINOR}" among its dependencies' in done.err
    assert not trial.lock.exists()


def test_programs_of_conda_are_commands_of_the_environment(trial: Trial) -> None:
    trial.wants(*CONDA, "conda:tool").ok("lock")
    trial.ok("apply", "--yes", "--no-probe")
    (command,) = (trial.store / "envs").glob("*/bin/tool")
    assert command.resolve().is_relative_to(trial.store / "conda")


def test_without_the_extra_the_error_says_how_to_get_it(trial: Trial) -> None:
    blocked = trial.root / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(BLOCKED)
    done = trial.wants(*CONDA).fails("lock", env={"PYTHONPATH": str(blocked)})
    assert "conda packages need the library py-rattler, which is not installed" in done.err
    assert "pip install 'hatchlock[conda]'" in done.err
    trial.ok("lock")
    done = trial.fails("apply", "--yes", env={"PYTHONPATH": str(blocked)})
    assert "pip install 'hatchlock[conda]'" in done.err


@pytest.mark.usefixtures("isolated")
def test_cleaning_keeps_what_the_lock_names(trial: Trial) -> None:
    trial.wants(*CONDA).ok("lock")
    trial.ok("apply", "--yes")
    trial.ok("cache", "gc")
    trial.ok("fetch", "--offline")
    assert trial.called().endswith(" conda 2.0")
    assert trial.steps() == []


def test_every_package_of_the_lock_says_which_channel_it_is_of(trial: Trial) -> None:
    trial.wants(*CONDA).ok("lock")
    own = [package for package in read_lock(trial.lock).packages if package.kind is Kind.CONDA]
    assert {package.index for package in own} == {"main"}
    assert all(file.sha256 for package in own for file in package.files)


def test_what_is_gone_of_condas_directory_is_made_again(trial: Trial) -> None:
    trial.wants(*CONDA).ok("lock")
    trial.ok("apply", "--yes", "--no-probe")
    (place,) = (trial.store / "conda").iterdir()
    before = place.stat().st_ino, sorted(path.name for path in (place / "bin").iterdir())
    shutil.rmtree(place)
    assert trial.steps() == ["create env:analysis"]
    trial.ok("apply", "--yes", "--no-probe")
    assert sorted(path.name for path in (place / "bin").iterdir()) == before[1]
    (place / ".hatchlock-receipt.json").unlink()
    (place / "left").write_text("by a killed apply")
    trial.ok("apply", "--yes", "--no-probe")
    assert not (place / "left").exists()
    assert trial.steps() == []


@pytest.mark.usefixtures("isolated")
def test_an_apply_that_is_killed_while_conda_installs_goes_on_the_next_time(trial: Trial) -> None:
    trial.wants(*CONDA).ok("lock")
    with start(trial, "apply", "--yes", "--no-probe") as apply:
        assert wait_until(lambda: any((trial.store / "conda").glob("*")) or apply.poll() is not None)
        apply.kill()
        apply.communicate()
    trial.ok("apply", "--yes")
    assert trial.called().endswith(" conda 2.0")
    assert trial.half_done() == []
    assert list((trial.store / "conda").glob(".build-*")) == []


@pytest.mark.usefixtures("isolated")
def test_programs_of_conda_stand_beside_another_interpreter(trial: Trial, index: Index, tmp_path: Path) -> None:
    index.releases.append(server_release(tmp_path / "echo", name="echo-server"))
    trial.wants("conda:tool", source="pypi:echo-server").ok("lock")
    trial.ok("apply", "--yes")
    assert trial.tools("tiny") == ["echo", "large", "attempt"]
    (command,) = (trial.store / "envs").glob("*/bin/tool")
    assert command.resolve().is_relative_to(trial.store / "conda")


@pytest.mark.usefixtures("isolated")
def test_a_server_may_be_started_by_a_program_that_conda_has(trial: Trial) -> None:
    trial.wants(*CONDA, "conda:echo-program")
    trial.edit('environment = "analysis"\n', 'environment = "analysis"\ncommand = ["echo-program"]\n')
    trial.ok("lock")
    trial.ok("apply", "--yes")
    assert trial.called() == "conda's"
    assert trial.steps() == []


@pytest.mark.usefixtures("isolated")
def test_a_hatch_package_that_needs_a_conda_package_gets_it(trial: Trial, index: Index) -> None:
    needs = {"name": "numlib", "version_constraint": ">=1.5", "package_manager": "conda"}
    kit = HatchPackage(
        name="kit",
        dependencies={"python": [needs]},
        files={"server.py": f"{SERVER}\n\nmain()\n"},
        metadata={"tools": []},
    )
    with serving_hatch(kit) as registry:
        trial.head += f'[indexes.hatch]\nurl = "{registry.index_url}"\n'
        trial.wants(CONDA[0], source="hatch:kit").ok("lock")
        assert trial.ids() == ["conda:numlib@2.0=0", f"conda:python@{pythons.FULL}=0_cpython", "hatch:kit@1.0.0"]
        assert "hatch:kit@1.0.0 (hatch:kit) → conda:numlib@2.0=0" in trial.ok("why", "conda:numlib").out
        trial.ok("apply", "--yes")
    assert trial.called().endswith(" conda 2.0")
    assert index.asked_for("numlib") == []


@pytest.mark.engine
def test_in_a_container_they_are_locked_for_its_base(trial: Trial, base_image: str) -> None:
    in_container(trial, base_image, *CONDA)
    trial.ok("lock")
    assert read_lock(trial.lock).environment("analysis", "container").python == pythons.MINOR
    assert "conda:numlib@2.0=0" in trial.ids()
    first = trial.lock.read_bytes()
    trial.ok("lock", "--upgrade")
    assert trial.lock.read_bytes() == first


@pytest.mark.engine
def test_in_a_container_they_are_put_into_its_image(trial: Trial, engine: str, base_image: str) -> None:
    trial.name = f"conda-{secrets.token_hex(4)}"
    trial.env["DOCKER_HOST"] = engine
    # the channel's interpreter needs a library of the machine that the tests run on
    in_container(trial, base_image, "conda:echo-program")
    trial.edit('source = "pypi:tiny-server"\n', 'source = "path:./own#as=files"\ncommand = ["echo-program"]\n')
    (trial.directory / "own").mkdir()
    (trial.directory / "own" / "README").write_text("nothing\n")
    try:
        trial.ok("lock")
        trial.ok("apply", "--yes", "--no-probe")
        assert trial.called() == "conda's"
        assert trial.steps() == []
    finally:
        with Engine(engine) as connection:
            for tag in connection.images():
                if tag.startswith(f"hatchlock/{trial.name}/"):
                    connection.untag(tag)


def in_container(trial: Trial, base: str, *dependencies: str) -> None:
    trial.head = trial.head.replace('"darwin/arm64", "linux/amd64", "linux/arm64"', f'"{host_platform()}"')
    trial.head = trial.head.replace('name = "trial"', f'name = "{trial.name}"')
    trial.wants(*dependencies)
    trial.edit('runtime = "process"', 'runtime = "container"')
    trial.edit("[environments.analysis]\n", f'[environments.analysis]\nbase = "oci:{base}"\n')
