from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.launch import Sandbox, SecretReference
from hatchlock.lock.model import Environment, Lock, Package, Server
from hatchlock.manifest.model import EnvironmentSpec
from hatchlock.resolve.command import resolve_command
from hatchlock.resolve.wanted import (
    SharedName,
    container_platforms,
    default_python,
    launch_of,
    wanted_environments,
    wanted_images,
)
from support.locks import EVERYTHING, manifest_of, package, world

HEAD = '[project]\nname = "p"\n'


def names(text: str) -> list[tuple[str, str]]:
    return [(item.name, item.runtime) for item in wanted_environments(manifest_of(HEAD + text), None)]


def test_every_package_server_without_an_environment_gets_a_private_one() -> None:
    wanted = {item.name: item for item in wanted_environments(manifest_of(EVERYTHING), None)}
    assert list(wanted) == ["boxed", "demo", "shared"]
    assert (wanted["demo"].private, wanted["demo"].python, wanted["demo"].base) == (True, "3.11", "")
    assert wanted["demo"].requirements == ("pypi:demo-server>=1",)
    assert wanted["boxed"].base == "base.example.com/python:3.11"
    assert not wanted["shared"].private
    assert wanted["shared"].requirements == ("pypi:demo-lib<3", "pypi:demo-server", "pypi:demo-server>=1")
    assert wanted["shared"].constraints == ("pypi:demo-core<9",)
    assert wanted["shared"].overrides == ("pypi:demo-core==1.5",)


def test_a_declared_environment_is_wanted_for_each_runtime_of_its_servers() -> None:
    text = (
        '[environments.e]\ndependencies = ["pypi:a>=1"]\n'
        '[servers.x]\nsource = "pypi:a"\nenvironment = "e"\nruntime = "process"\n'
        '[servers.y]\nsource = "pypi:a"\nenvironment = "e"\nruntime = "container"\n'
    )
    assert names(text) == [("e", "container"), ("e", "process")]


def test_a_shared_environment_requires_what_its_servers_are() -> None:
    text = (
        '[environments.e]\ndependencies = ["pypi:a>=1"]\n'
        '[servers.x]\nsource = "pypi:b>=2"\nenvironment = "e"\nruntime = "process"\n'
        '[servers.y]\nsource = "pypi:c>=3"\nenvironment = "e"\nruntime = "container"\n'
    )
    wanted = {item.runtime: item.requirements for item in wanted_environments(manifest_of(HEAD + text), None)}
    assert wanted == {"process": ("pypi:a>=1", "pypi:b>=2"), "container": ("pypi:a>=1", "pypi:c>=3")}


def test_an_environment_without_servers_is_for_processes_unless_it_names_a_base() -> None:
    assert names("[environments.e]\n") == [("e", "process")]
    assert names('[environments.e]\nbase = "oci:python:3.11-slim"\n') == [("e", "container")]


def test_what_a_server_adds_to_its_private_environment_is_required_too() -> None:
    text = '[servers.x]\nsource = "pypi:a>=1"\nwith = ["pypi:b>=2", "pypi:a>=1"]\nruntime = "process"\n'
    (wanted,) = wanted_environments(manifest_of(HEAD + text), None)
    assert wanted.requirements == ("pypi:a>=1", "pypi:b>=2")


def test_the_python_is_the_declared_one_else_the_recorded_one_else_our_own() -> None:
    text = '[servers.demo]\nsource = "pypi:demo-server>=1"\nruntime = "process"\n'
    manifest = manifest_of(HEAD.replace('"p"', '"acme"') + text)
    assert wanted_environments(manifest, None)[0].python == default_python()
    recorded = world().lock(HEAD.replace('"p"', '"acme"') + text + 'python = "3.12"\n')
    assert wanted_environments(manifest, recorded)[0].python == "3.12"
    declared = manifest_of(HEAD + text + 'python = "3.13"\n')
    assert wanted_environments(declared, recorded)[0].python == "3.13"


def test_a_container_environment_has_the_languages_slim_image_unless_said_otherwise() -> None:
    text = '[servers.x]\nsource = "pypi:a>=1"\nruntime = "container"\npython = "3.12"\n'
    assert wanted_environments(manifest_of(HEAD + text), None)[0].base == "python:3.12-slim"


def test_a_private_and_a_declared_environment_cannot_share_a_name() -> None:
    manifest = manifest_of(HEAD + '[servers.x]\nsource = "pypi:a>=1"\nruntime = "process"\n')
    with pytest.raises(SharedName) as caught:
        wanted_environments(replace(manifest, environments={"x": EnvironmentSpec(name="x")}), None)
    assert "[environments.x]" in str(caught.value)
    assert 'environment = "x"' in caught.value.hint


def test_images_and_programs_want_no_environment() -> None:
    assert (
        names('[servers.x]\nsource = "oci:r.example.com/x:1"\n[servers.y]\ncommand = "y"\nruntime = "process"\n') == []
    )


def test_images_that_are_servers_are_wanted_for_them() -> None:
    assert wanted_images(manifest_of(EVERYTHING)) == {"shop.example.com/shop:1": "server:shop"}


def test_containers_run_on_linux_whatever_the_machine_does() -> None:
    assert container_platforms(["darwin/arm64", "linux/amd64", "linux/arm64"]) == ("linux/amd64", "linux/arm64")


def test_a_launch_is_what_the_manifest_says_without_machine_facts() -> None:
    server = manifest_of(EVERYTHING).servers["demo"]
    launch = launch_of(server, command=("demo-server",), choices=())
    assert launch == Server(
        name="demo",
        source="pypi:demo-server>=1",
        runtime="process",
        isolation="best-effort",
        environment="demo",
        command=("demo-server",),
        args=("--zone", "UTC"),
        cwd="/tmp",
        env={"EMPTY": "", "GREETING": 'say "hello"'},
        secrets={
            "EXTRA": SecretReference(secret="file:~/extra", required=False),
            "TOKEN": SecretReference(secret="env:DEMO_TOKEN", format="Bearer {}"),
        },
        sandbox=launch.sandbox,
        startup_timeout=12.5,
    )
    assert launch.sandbox.deviations().keys() == {"memory", "cpus", "mounts"}
    assert launch.sandbox.mounts[0].source == "./data", "the lock has no absolute path"


@pytest.mark.parametrize(
    ("name", "environment", "image"),
    [("host", "", ""), ("shop", "", "shop.example.com/shop:1"), ("member", "shared", ""), ("boxed", "boxed", "")],
)
def test_a_launch_starts_from_an_environment_an_image_or_neither(name: str, environment: str, image: str) -> None:
    launch = launch_of(manifest_of(EVERYTHING).servers[name], command=(), choices=())
    assert (launch.environment, launch.image) == (environment, image)
    assert name == "demo" or launch.sandbox == Sandbox()


def scripts(*found: str, name: str = "mcp-server-time") -> Package:
    return package(name, scripts=dict.fromkeys(found, "module:main"))


TIME = '[servers.x]\nsource = "pypi:MCP.Server_time>=1"\nruntime = "process"\n'


@pytest.mark.parametrize(
    ("text", "packages", "command", "choices"),
    [
        (TIME, [scripts("mcp-server-time")], ("mcp-server-time",), ()),
        (TIME, [scripts("mcp_server_time", "other")], ("mcp_server_time",), ()),
        (TIME, [scripts("only")], ("only",), ()),
        (TIME, [scripts("b", "a")], (), ("a", "b")),
        (TIME, [scripts("mcp-server-time", "mcp_server_time")], (), ("mcp-server-time", "mcp_server_time")),
        (TIME, [scripts()], (), ()),
        (TIME, [], (), ()),
        (TIME, [scripts(), scripts("uvicorn", name="uvicorn")], (), ()),
        (TIME + 'command = ["python", "-m", "x"]\n', [scripts("only")], ("python", "-m", "x"), ()),
        ('[servers.x]\nsource = "oci:r.example.com/x:1"\n', [], (), ()),
        ('[servers.x]\ncommand = "cat"\nruntime = "process"\n', [], ("cat",), ()),
    ],
)
def test_the_command_is_the_declared_one_else_the_script_named_like_the_package_else_the_only_one(
    text: str, packages: list[Package], command: tuple[str, ...], choices: tuple[str, ...]
) -> None:
    declared = manifest_of(HEAD + text).servers["x"]
    launch = launch_of(declared, command=declared.command, choices=())
    environment = Environment(name="x", private=True, runtime="process", packages=tuple(item.id for item in packages))
    lock = Lock(project="p", platforms=(), packages=tuple(packages), environments=(environment,))
    assert resolve_command(declared, launch, lock) == (command, choices)
