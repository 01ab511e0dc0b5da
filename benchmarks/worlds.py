"""Worlds of any size to measure in: a manifest, a lock that satisfies it, and a machine on which it is applied.

Nothing is fetched or built. The environments are directories with a receipt, an interpreter and an empty directory for each
package, which is all that `plan` and `status` look at; launch records and client entries are those that `apply` would have written.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from hatchlock.address import Kind
from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.engines.process import host_platform
from hatchlock.lock.model import Environment, File, Lock, Package, Server
from hatchlock.lock.store import dumps
from hatchlock.paths import Home
from hatchlock.resources.target import Target
from hatchlock.state.project import ProjectState
from hatchlock.usecases.plan import read_target
from hatchlock.usecases.project import open_project

__all__ = ["container_world", "environ_of", "process_world"]

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
NAME = "measured"


def environ_of(root: Path) -> dict[str, str]:
    """Return the environment for commands in the world at `root`."""
    own = {"HOME": str(root / "user"), "HATCHLOCK_HOME": str(root / "store")}
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | own


def process_world(root: Path, *, servers: int, packages: int) -> Path:
    """Make a project of process servers with private environments, as if it had been applied; return its directory."""
    project = root / "project"
    for directory in (project, root / "user"):
        directory.mkdir(parents=True)
    names = [f"server-{number:04}" for number in range(servers)]
    tables = [f'[servers.{name}]\nsource = "pypi:{name}==1.0"\nruntime = "process"\n' for name in names]
    head = f'[project]\nname = "{NAME}"\nplatforms = ["{host_platform()}"]\n\n[defaults]\nclients = ["claude-code"]\n'
    (project / "hatchlock.toml").write_text("\n".join([head, *tables]))
    (project / "hatch.lock").write_text(dumps(_lock(names, packages)))
    _fabricate(root, project)
    return project


def container_world(root: Path, image: str, *, servers: int) -> Path:
    """Write a project of container servers of an image that the engine has, and return its directory; nothing is locked yet."""
    project = root / "project"
    for directory in (project, root / "user"):
        directory.mkdir(parents=True)
    head = f'[project]\nname = "{NAME}"\nplatforms = ["{host_platform()}"]\n\n[defaults]\nclients = ["claude-code"]\n'
    tables = [
        f'[servers.server-{number:02}]\nsource = "oci:docker-daemon:{image}"\ncommand = ["/bin/busybox", "cat"]\n'
        for number in range(servers)
    ]
    (project / "hatchlock.toml").write_text("\n".join([head, *tables]))
    return project


def _lock(names: list[str], packages: int) -> Lock:
    each = packages // len(names)
    found: list[Package] = []
    environments: list[Environment] = []
    for name in names:
        libraries = [f"{name}-lib-{number}" for number in range(each - 1)]
        needs = tuple(f"pypi:{library}>=1" for library in libraries)
        own = [_package(name, dependencies=needs, scripts={name: "main:main"}), *map(_package, libraries)]
        found += own
        environments.append(
            Environment(
                name=name,
                private=True,
                runtime="process",
                python=PYTHON,
                requirements=(f"pypi:{name}==1.0",),
                packages=tuple(sorted(package.id for package in own)),
            )
        )
    return Lock(
        project=NAME,
        platforms=(host_platform(),),
        packages=tuple(sorted(found, key=lambda package: package.id)),
        environments=tuple(environments),
        servers=tuple(
            Server(name=name, source=f"pypi:{name}==1.0", runtime="process", environment=name, command=(name,))
            for name in names
        ),
    )


def _package(name: str, *, dependencies: tuple[str, ...] = (), scripts: dict[str, str] | None = None) -> Package:
    file = File(
        name=f"{name.replace('-', '_')}-1.0-py3-none-any.whl", sha256=sha256_bytes(name.encode()), size=len(name) * 1000
    )
    return Package(
        kind=Kind.PYPI,
        name=name,
        version="1.0",
        index="pypi",
        files=(file,),
        dependencies=dependencies,
        scripts=scripts or {},
        requires_python=">=3.8",
        licence="MIT",
        authors="Somebody <somebody@example.com>",
    )


def _fabricate(root: Path, directory: Path) -> None:
    home = Home(root=root / "store", is_default=False)
    home.root.mkdir(mode=0o700)
    project = open_project(directory=directory, manifest=None, use_global=False, home=home, environ=environ_of(root))
    target = read_target(project)
    _write_environments(target, home)
    state = ProjectState(home.project(target.project))
    state.bind(directory)
    launch = state.root / "launch"
    launch.mkdir(mode=0o700)
    for server in target.servers:
        state.record_path(server.record.digest).write_bytes(server.record.to_json())
    active = {server.record.server: server.record.digest for server in target.servers}
    (state.root / "active.json").write_bytes(canonical_json({"format_version": 1, "servers": active}))
    for file in {entry.file for entry in target.entries}:
        entries = {entry.server: dict(entry.value) for entry in target.entries if entry.file == file}
        Path(file.path).write_text(json.dumps({"mcpServers": entries}, indent=2))
        state.remember_entry_file(str(file))


def _write_environments(target: Target, home: Home) -> None:
    for spec in target.environments:
        tree = home.envs / spec.key
        (tree / "bin").mkdir(mode=0o755, parents=True)
        (tree / "bin" / "python").symlink_to(spec.python)
        for wheel in spec.wheels:
            name, version = wheel.name.split("-")[:2]
            (tree / f"lib/python{PYTHON}/site-packages/{name}-{version}.dist-info").mkdir(parents=True)
        files = [artefact.name for artefact in spec.artefacts]
        (tree / ".hatchlock-receipt.json").write_text(json.dumps({"python": spec.python, "files": files}))
    home.envs.chmod(0o700)
