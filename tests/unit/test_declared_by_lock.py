"""What a lock says of its manifest: its servers are launched as the lock says, of every kind, for every platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.engines.debian_host import HostSystem
from hatchlock.lock.model import Lock
from hatchlock.lock.store import loads
from hatchlock.manifest.model import ClientSpec, EnvironmentSpec, Manifest, Project, ServerSpec
from hatchlock.paths import Home
from hatchlock.resolve.declared_by_lock import declared_by
from hatchlock.resolve.wanted import launch_of
from hatchlock.resources.compile import compile_target
from hatchlock.resources.env_target import InterpreterFacts
from hatchlock.resources.machine import Machine
from support.source_tree import ROOT

LOCKS = [ROOT / "hatch.lock.example", ROOT / "fixtures" / "locks" / "v1.lock"]

each_lock = pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)


def manifest(lock: Lock, *, clients: tuple[str, ...] = ()) -> Manifest:
    servers = {
        server.name: ServerSpec(
            name=server.name, clients=clients, groups=("web",), private=EnvironmentSpec(name=server.name)
        )
        for server in lock.servers
    }
    return Manifest(project=Project(name=lock.project), servers=servers, clients={"cursor": ClientSpec(name="cursor")})


def machine(platform: str, lock: Lock, tmp_path: Path) -> Machine:
    own = [item for item in lock.environments if item.runtime == "process"]
    return Machine(
        platform=platform,
        system=platform.partition("/")[0],
        home=Home(root=tmp_path / "store", is_default=False),
        user_home=tmp_path,
        directory=tmp_path,
        environ={},
        interpreters={item.python: InterpreterFacts(path="/p", version=item.python, prefixes=()) for item in own},
        nodes={item.node: InterpreterFacts(path="/n", version=item.node, prefixes=()) for item in own},
        programs={server.command[0]: server.command[0] for server in lock.servers if server.command},
        engine="unix:///nowhere.sock",
        host=HostSystem(title="Debian", families=frozenset({"debian"})),
        is_assumed=True,
    )


@each_lock
def test_every_server_and_environment_of_a_lock_can_be_placed_from_it_alone(path: Path, tmp_path: Path) -> None:
    lock = loads(path.read_bytes())
    for platform in lock.platforms:
        target = compile_target(declared_by(lock, manifest(lock)), lock, machine(platform, lock, tmp_path))
        said = [problem for problem in target.problems if problem.code != "not-this-debian"]
        assert (platform, said) == (platform, [])
        records = {spec.record.server: spec.record for spec in target.servers}
        assert set(records) == {server.name for server in lock.servers}
        for server in lock.servers:
            record = records[server.name]
            assert (record.runtime, record.trust, record.isolation) == (server.runtime, server.trust, server.isolation)
            assert set(server.env.items()) <= set(record.env.items())
            assert record.secrets == server.secrets
            assert record.argv[-len(server.args) :] == server.args or not server.args
            assert record.sandbox.network == server.sandbox.network


@each_lock
def test_its_launches_are_the_locks_but_for_the_names_of_entries(path: Path) -> None:
    lock = loads(path.read_bytes())
    declared = declared_by(lock, manifest(lock))
    for server in lock.servers:
        launch = launch_of(declared.servers[server.name], command=server.command, choices=server.choices)
        names = {
            name: getattr(server, name) for name in ("environment", "image", "args", "cwd", "sandbox", "transport")
        }
        assert {name: getattr(launch, name) for name in names} == names
        assert launch.source == server.source or server.source.startswith("mcp:")


@each_lock
def test_applications_and_groups_are_those_of_the_manifest(path: Path) -> None:
    lock = loads(path.read_bytes())
    known = declared_by(lock, manifest(lock, clients=("cursor",)))
    assert {server.clients for server in known.servers.values()} == {("cursor",)}
    assert {server.groups for server in known.servers.values()} == {("web",)}
    unknown = declared_by(lock, Manifest(project=Project(name=lock.project)))
    assert {(server.clients, server.groups) for server in unknown.servers.values()} == {((), ())}
