"""What `export` writes, used by the tools that it is for: uv and pip against a loopback index, npm against a registry."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uv

from hatchlock.engines.process import host_platform
from hatchlock.lock.store import dumps, loads
from support.index import Index, Release, serving, wheel_bytes
from support.locks import EVERYTHING, world
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.project import TrialProject

OTHER = "darwin/arm64" if host_platform() != "darwin/arm64" else "linux/amd64"
MANIFEST = """\
[project]
name = "acme"
platforms = ["{here}", "{other}"]

[indexes.pypi]
url = "{index}"

[defaults]
runtime = "process"
isolation = "best-effort"

[servers.tiny]
source = "pypi:tiny-server>=1"
"""
SECOND = """
[servers.second]
source = "pypi:lonely"
"""


def installable(name: str, version: str, **fields: Any) -> Release:
    """Return a release whose wheel has what installers look for: a RECORD of its files."""
    release = Release(name=name, version=version, **fields)
    stream = io.BytesIO(wheel_bytes(release))
    with zipfile.ZipFile(stream, "a") as archive:
        folder = f"{name.replace('-', '_')}-{version}.dist-info"
        listed = [*archive.namelist(), f"{folder}/RECORD"]
        archive.writestr(zipfile.ZipInfo(f"{folder}/RECORD"), "".join(f"{path},,\n" for path in listed))
    return replace(release, body=stream.getvalue())


RELEASES = (
    installable(
        name="tiny-server",
        version="1.2",
        requires=["lib>=1", f"only-there ; sys_platform == '{'darwin' if OTHER.startswith('darwin') else 'linux'}'"],
        scripts={"tiny-server": "tiny_server:main"},
    ),
    installable(name="lib", version="1.0"),
    installable(name="lib", version="1.0", tag="cp311-cp311-manylinux_2_17_x86_64", padding=3),
    installable(name="lib", version="1.0", tag="cp311-cp311-manylinux_2_17_aarch64", padding=4),
    installable(name="lib", version="1.0", tag="cp311-cp311-macosx_11_0_arm64", padding=5),
    installable(name="only-there", version="2.0"),
    installable(name="lonely", version="3.0"),
)
HERE = {"tiny-server": "1.2", "lib": "1.0"}


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    with serving(*RELEASES, separate_metadata=True) as found:
        yield found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, index: Index) -> TrialProject:
    text = MANIFEST.format(here=host_platform(), other=OTHER, index=index.url)
    made = TrialProject(tmp_path_factory.mktemp("export"), text, name="acme")
    made.ok("lock")
    return made


def tool(*words: str, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run somebody else's tool without this machine's configuration and caches."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1"}
    return subprocess.run(
        words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


class Venv:
    """A fresh environment, and installers that put something into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "venv"
        self._run(uv.find_uv_bin(), "venv", "--python", sys.executable, str(self.path))

    def _run(self, *words: str, status: int = 0) -> str:
        done = tool(*words, cwd=self.root, home=self.root)
        assert (done.returncode != 0) == bool(status), done.stdout + done.stderr
        return done.stdout + done.stderr

    def uv_pip(self, *words: str, status: int = 0) -> str:
        cache = ["--cache-dir", str(self.root / "uv-cache"), "--python", str(self.path)]
        return self._run(uv.find_uv_bin(), "pip", *words, *cache, status=status)

    def pip(self, *words: str, status: int = 0) -> str:
        options = ["--disable-pip-version-check", "--isolated", "--no-cache-dir", "--python", str(self.path)]
        return self._run(sys.executable, "-m", "pip", *options, *words, status=status)

    def installed(self) -> dict[str, str]:
        [packages] = self.path.glob("lib/python*/site-packages")
        found = importlib.metadata.distributions(path=[str(packages)])
        return {item.metadata["Name"].replace("_", "-"): item.version for item in found}


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    return Venv(tmp_path)


def exported(project: TrialProject, target: Path, form: str, *words: str) -> Path:
    project.ok("export", "--format", form, "--output", str(target), *words)
    return target


def with_wrong_hashes(path: Path) -> Path:
    path.write_text(re.sub(r"[0-9a-f]{64}", "0" * 64, path.read_text()))
    return path


def test_uv_installs_the_requirements_with_their_hashes(
    project: TrialProject, index: Index, venv: Venv, tmp_path: Path
) -> None:
    file = exported(project, tmp_path / "requirements.txt", "requirements.txt")
    venv.uv_pip("install", "--require-hashes", "--index-url", index.url, "-r", str(file))
    assert venv.installed() == HERE


def test_pip_installs_the_requirements_with_their_hashes(
    project: TrialProject, index: Index, venv: Venv, tmp_path: Path
) -> None:
    file = exported(project, tmp_path / "requirements.txt", "requirements.txt")
    venv.pip("install", "--require-hashes", "--index-url", index.url, "-r", str(file))
    assert venv.installed() == HERE


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_requirements_with_a_wrong_hash_are_refused(
    project: TrialProject, index: Index, venv: Venv, tmp_path: Path, installer: str
) -> None:
    file = with_wrong_hashes(exported(project, tmp_path / "requirements.txt", "requirements.txt"))
    install = venv.uv_pip if installer == "uv" else venv.pip
    said = install("install", "--require-hashes", "--index-url", index.url, "-r", str(file), status=1)
    assert "hash" in said.lower()
    assert venv.installed() == {}


@pytest.mark.parametrize("words", [["sync"], ["install", "-r"]])
def test_uv_installs_a_pylock_without_an_index(
    project: TrialProject, venv: Venv, tmp_path: Path, words: list[str]
) -> None:
    file = exported(project, tmp_path / "pylock.toml", "pylock.toml")
    said = venv.uv_pip(*words, str(file), "--preview-features", "pylock", "--index-url", "http://127.0.0.1:9/simple/")
    assert venv.installed() == HERE, said


def test_uv_refuses_a_pylock_with_a_wrong_hash(project: TrialProject, venv: Venv, tmp_path: Path) -> None:
    file = with_wrong_hashes(exported(project, tmp_path / "pylock.toml", "pylock.toml"))
    said = venv.uv_pip("sync", str(file), "--preview-features", "pylock", status=1)
    assert "Hash mismatch" in said
    assert venv.installed() == {}


def test_a_pylock_holds_what_the_lock_holds(project: TrialProject, index: Index) -> None:
    document = tomllib.loads(project.ok("export", "--format", "pylock.toml").out)
    packages = {item["name"]: item for item in document["packages"]}
    lock = loads(project.lock.read_bytes())
    assert {name: item["version"] for name, item in packages.items()} == {
        item.name: item.version for item in lock.packages
    }
    assert packages["only-there"]["marker"].startswith("sys_platform == ")
    assert "marker" not in packages["lib"]
    assert packages["tiny-server"]["dependencies"] == [{"name": "lib"}, {"name": "only-there"}]
    wheels = {wheel["name"]: wheel for item in packages.values() for wheel in item["wheels"]}
    assert {name: wheel["hashes"]["sha256"] for name, wheel in wheels.items()} == {
        file.name: file.sha256 for item in lock.packages for file in item.files
    }
    assert all(wheel["url"] == f"{index.url.removesuffix('simple/')}files/{name}" for name, wheel in wheels.items())


def test_constraints_bound_what_pip_chooses(project: TrialProject, venv: Venv, tmp_path: Path) -> None:
    newer = (*RELEASES, installable(name="lib", version="9.0"))
    file = exported(project, tmp_path / "constraints.txt", "constraints")
    with serving(*newer) as index:
        venv.pip("install", "--index-url", index.url, "-c", str(file), "tiny-server")
    assert venv.installed() == HERE


def test_one_platform_needs_no_markers_and_no_other_wheels(project: TrialProject) -> None:
    everywhere = project.ok("export", "--format", "requirements.txt").out
    here = project.ok("export", "--format", "requirements.txt", "--platform", host_platform()).out
    assert "only-there" in everywhere
    assert "only-there" not in here
    assert " ; " not in here
    assert here.count("--hash=") == 2


def test_addresses_come_from_the_cache_offline_and_hold_no_password(tmp_path: Path) -> None:
    with serving(*RELEASES, login=("me", "s3cret")) as index:
        address = index.url.replace("http://", "http://me:s3cret@")
        text = MANIFEST.format(here=host_platform(), other=OTHER, index="").replace('[indexes.pypi]\nurl = ""\n', "")
        project = TrialProject(tmp_path, text, name="acme", UV_DEFAULT_INDEX=address)
        project.ok("lock")
        online = project.ok("export", "--format", "pylock.toml").out
    assert project.ok("export", "--format", "pylock.toml", "--offline").out == online
    assert "s3cret" not in online
    assert "/files/lib-1.0-" in online


def test_several_environments_are_exported_one_by_one(tmp_path: Path, index: Index) -> None:
    text = MANIFEST.format(here=host_platform(), other=OTHER, index=index.url) + SECOND
    project = TrialProject(tmp_path, text, name="acme")
    project.ok("lock")
    refused = project.fails("export", "--format", "pylock.toml", status=64)
    assert "second, tiny" in refused.err
    out = tmp_path / "out"
    out.mkdir()
    for name in ("second", "tiny"):
        exported(project, out, "pylock.toml", "--environment", name)
    assert sorted(path.name for path in out.iterdir()) == ["pylock.second.toml", "pylock.tiny.toml"]
    document = project.ok("export", "--format", "constraints", "--environment", "second", "--json").document
    assert document["format_version"] == 1
    assert [text.splitlines()[1:] for text in document["files"].values()] == [["lonely==3.0"]]


def test_what_cannot_be_exported_is_said(project: TrialProject) -> None:
    assert "no npm packages" in project.fails("export", "--format", "package-lock.json").err
    unknown = project.fails("export", "--format", "constraints", "--environment", "tinny").err
    assert "did you mean 'tiny'" in unknown
    misnamed = project.fails("export", "--format", "pylock.toml", "--output", "lock.toml", status=64).err
    assert "pylock.NAME.toml" in misnamed
    assert not (project.directory / "lock.toml").exists()
    platform = project.fails("export", "--format", "constraints", "--platform", "linux/riscv64").err
    assert "no platform 'linux/riscv64'" in platform


def test_an_environment_of_an_image_takes_the_wheels_of_its_base(tmp_path: Path) -> None:
    project = TrialProject(tmp_path, EVERYTHING, name="acme")
    locked = world().lock(EVERYTHING)
    project.lock.write_text(dumps(locked))
    boxed = project.ok("export", "--format", "requirements.txt", "--environment", "boxed").out
    assert "Python 3.11, linux/amd64, linux/arm64." in boxed
    assert "demo-server==1.2" in boxed
    twice = replace(locked.environment("demo", "process"), name="boxed")
    both = replace(locked, environments=tuple(sorted((*locked.environments, twice), key=lambda item: item.name)))
    project.lock.write_text(dumps(both))
    words = ["export", "--format", "requirements.txt", "--environment", "boxed"]
    assert "--runtime process" in project.fails(*words, status=64).err
    assert project.ok(*words, "--runtime", "container").out == boxed


# npm

NPM_MANIFEST = """\
[project]
name = "acme"
platforms = ["{here}", "{other}"]

[indexes.npm]
url = "{registry}"

[defaults]
runtime = "process"
isolation = "best-effort"

[servers.files]
source = "npm:@acme/files@^1"
with = ["npm:tagged@next", "npm:renamed@npm:core@^1"]
overrides = ["npm:deep@1.0.0"]
"""


def native(system: str, processor: str) -> NpmRelease:
    return NpmRelease(name=f"native-{system}-{processor}", manifest={"os": [system], "cpu": [processor]})


NATIVE = [native(system, processor) for system in ("linux", "darwin", "win32") for processor in ("x64", "arm64")]
NPM_RELEASES = (
    NpmRelease(
        name="@acme/files",
        version="1.2.0",
        dependencies={"core": "^2.0.0", "deep": "^3.0.0"},
        manifest={
            "bin": {"files": "cli.js"},
            "optionalDependencies": {item.name: "1.0.0" for item in NATIVE},
            "scripts": {"postinstall": "node -e \"require('fs').writeFileSync('ran', '')\""},
            "engines": {"node": ">=16"},
            "license": "MIT",
        },
        files={"cli.js": "#!/usr/bin/env node\n"},
    ),
    NpmRelease(name="core", version="1.5.0", dependencies={"deep": "*"}),
    NpmRelease(name="core", version="2.5.0", dependencies={"deep": ">=1"}),
    NpmRelease(name="deep", version="1.0.0"),
    NpmRelease(name="deep", version="3.1.0"),
    NpmRelease(name="tagged", version="4.0.0-beta.1"),
    *NATIVE,
)


@pytest.fixture(scope="module")
def registry() -> Iterator[NpmRegistry]:
    with serving_npm(*NPM_RELEASES, tags={"tagged": {"next": "4.0.0-beta.1"}}) as found:
        yield found


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory, registry: NpmRegistry) -> TrialProject:
    text = NPM_MANIFEST.format(here=host_platform(), other=OTHER, registry=registry.url)
    made = TrialProject(tmp_path_factory.mktemp("export-npm"), text, name="acme")
    made.ok("lock")
    return made


def npm_ci(directory: Path, registry: NpmRegistry) -> subprocess.CompletedProcess[str]:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0"]
    own = [f"--registry={registry.url}", f"--cache={directory / 'npm-cache'}", f"--userconfig={directory / 'none'}"]
    return tool("npm", "ci", *options, *own, cwd=directory, home=directory)


def installed_by_npm(directory: Path) -> dict[str, str]:
    found = {}
    for path in directory.glob("**/node_modules/**/package.json"):
        manifest = json.loads(path.read_text())
        found[str(path.parent.relative_to(directory))] = f"npm:{manifest['name']}@{manifest['version']}"
    return found


def test_npm_ci_installs_what_the_lock_has(node_project: TrialProject, registry: NpmRegistry, tmp_path: Path) -> None:
    directory = exported(node_project, tmp_path / "out", "package-lock.json")
    done = npm_ci(directory, registry)
    assert done.returncode == 0, done.stdout + done.stderr
    lock = loads(node_project.lock.read_bytes())
    environment = lock.environments[0]
    here = environment.on(host_platform())
    assert installed_by_npm(directory) == {path: found for path, found in environment.tree.items() if found in here}
    assert len(NATIVE) > sum("native-" in path for path in installed_by_npm(directory)) == 1
    assert not list(directory.rglob("ran"))
    assert (directory / "node_modules" / ".bin" / "files").exists()


def test_npm_ci_refuses_another_tarball(node_project: TrialProject, registry: NpmRegistry, tmp_path: Path) -> None:
    directory = exported(node_project, tmp_path / "out", "package-lock.json")
    path = directory / "package-lock.json"
    document = json.loads(path.read_text())
    document["packages"]["node_modules/@acme/files"]["integrity"] = "sha512-" + "A" * 86 + "=="
    path.write_text(json.dumps(document))
    done = npm_ci(directory, registry)
    assert done.returncode != 0
    assert "EINTEGRITY" in done.stderr


def test_the_files_for_npm_are_its_own_to_read(node_project: TrialProject) -> None:
    document = node_project.ok("export", "--format", "package-lock.json", "--json").document
    lock, manifest = (json.loads(document["files"][name]) for name in ("package-lock.json", "package.json"))
    assert lock["lockfileVersion"] == 3
    assert manifest["dependencies"] == lock["packages"][""]["dependencies"]
    assert manifest["dependencies"]["tagged"] == "4.0.0-beta.1"
    assert manifest["dependencies"]["renamed"] == "npm:core@^1"
    assert manifest["private"] is True
    assert document["left_out"] == {}


def test_a_package_json_of_somebody_else_is_left_alone(node_project: TrialProject, tmp_path: Path) -> None:
    theirs = tmp_path / "package.json"
    theirs.write_text('{"name": "theirs"}')
    words = ["export", "--format", "package-lock.json", "--output", str(tmp_path)]
    assert "did not write" in node_project.fails(*words, status=3).err
    assert [path.name for path in tmp_path.iterdir()] == ["package.json"]
    assert theirs.read_text() == '{"name": "theirs"}'
    theirs.unlink()
    node_project.ok(*words)
    node_project.ok(*words)
