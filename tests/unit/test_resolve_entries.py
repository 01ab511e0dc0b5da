"""Entries of the MCP registry in a lock: what they stand for, what the manifest says more, when they are chosen anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import File, Lock, Package
from hatchlock.lock.store import dumps, loads
from hatchlock.resolve.consistent import inconsistencies
from hatchlock.resolve.entries import (
    UnsetVariables,
    entries_of,
    of_other_entries,
    suits_runtime,
    wanted_entries,
    with_entries,
)
from hatchlock.resolve.freshness import stale_reasons
from support.locks import World, image, manifest_of, world

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
NAME = "mcp:io.github.acme/demo"
PROCESS = f'{HEAD}[servers.demo]\nsource = "{NAME}"\nruntime = "process"\npython = "3.11"\n'
IMAGE = "shop.example.com/shop:1"


def entry(*dependencies: str, source: str = NAME, **fields: Any) -> Package:
    """Return an entry that stands for a package, and what comes with it."""
    usual = Package(
        kind=Kind.MCP,
        name="io.github.acme/demo",
        version="1.0.0",
        source=source,
        index="mcp",
        files=(File(name="server.json", sha256="e" * 64, size=10),),
        dependencies=dependencies or ("pypi:demo-server==1.2",),
    )
    return replace(usual, **fields)


def world_of(*entries: Package) -> World:
    found = world()
    found.entries = {item.source: item for item in entries}
    return found


def reasons(text: str, lock: Lock) -> list[str]:
    return list(map(str, stale_reasons(manifest_of(text), lock)))


def test_a_server_is_what_its_entry_stands_for() -> None:
    found = world_of(entry(args=("--quiet",), env={"LEVEL": "info"}))
    lock = found.lock(PROCESS)
    assert found.asked == [f"{NAME} for process", "env:demo"]
    server, environment = lock.server("demo"), lock.environment("demo", "process")
    assert (server.source, server.command, server.environment) == (NAME, ("demo-server",), "demo")
    assert (server.args, server.env, server.transport) == (("--quiet",), {"LEVEL": "info"}, "stdio")
    assert environment.requirements == ("pypi:demo-server==1.2",)
    assert entries_of(lock) == {NAME: entry(args=("--quiet",), env={"LEVEL": "info"})}
    assert (reasons(PROCESS, lock), inconsistencies(lock)) == ([], ())
    assert loads(dumps(lock).encode()) == lock


def test_what_comes_with_an_entry_is_in_its_environment() -> None:
    lock = world_of(entry("pypi:demo-server==1.2", "pypi:demo-core<9")).lock(PROCESS)
    assert lock.environment("demo", "process").requirements == ("pypi:demo-core<9", "pypi:demo-server==1.2")
    assert inconsistencies(lock) == ()


def test_an_entry_s_arguments_come_first_and_the_manifest_s_variables_count_more() -> None:
    text = (
        PROCESS
        + 'args = ["--loud"]\n[servers.demo.env]\nLEVEL = "debug"\nTOKEN = { secret = "env:TOKEN" }\nMORE = "1"\n'
    )
    lock = world_of(entry(args=("--quiet",), env={"LEVEL": "info", "TOKEN": "none", "OWN": "x"})).lock(text)
    server = lock.server("demo")
    assert server.args == ("--quiet", "--loud")
    assert server.env == {"LEVEL": "debug", "MORE": "1", "OWN": "x"}
    assert server.secrets["TOKEN"].secret == "env:TOKEN"
    assert reasons(text, lock) == []


def test_the_manifest_s_command_and_python_count_more() -> None:
    found = world_of(entry(command=("demo-server", "serve"), requires_python="==3.12.*"))
    assert found.lock(PROCESS).server("demo").command == ("demo-server", "serve")
    assert found.lock(PROCESS).environment("demo", "process").python == "3.11"
    unsaid = PROCESS.replace('python = "3.11"\n', "")
    assert found.lock(unsaid).environment("demo", "process").python == "3.12"
    assert found.lock(PROCESS + 'command = "demo-server"\n').server("demo").command == ("demo-server",)


def test_how_a_server_is_spoken_to_is_locked() -> None:
    lock = world_of(entry(transport="sse")).lock(PROCESS)
    assert lock.server("demo").transport == "sse"
    assert loads(dumps(lock).encode()) == lock
    assert reasons(PROCESS, lock) == []


def test_variables_that_nobody_sets_are_named_all_at_once() -> None:
    found = world_of(entry(needs=("KEY", "TOKEN")))
    with pytest.raises(UnsetVariables) as caught:
        found.lock(PROCESS)
    assert str(caught.value) == f"{NAME} needs KEY, TOKEN, and the manifest does not set them"
    assert (caught.value.address, caught.value.names) == ("server:demo", ("KEY", "TOKEN"))
    assert 'env.KEY = { secret = "env:KEY" }' in caught.value.hint
    with pytest.raises(UnsetVariables, match=r"needs TOKEN, and the manifest does not set it"):
        found.lock(PROCESS + '[servers.demo.env]\nKEY = "x"\n')
    said = PROCESS + '[servers.demo.env]\nKEY = "x"\nTOKEN = { secret = "env:T" }\n'
    assert found.lock(said).server("demo").env == {"KEY": "x"}


def test_an_entry_that_is_an_image_is_one_in_the_lock() -> None:
    found = world_of(entry(f"oci:{IMAGE}"))
    text = f'{HEAD}[servers.demo]\nsource = "{NAME}"\n'
    lock = found.lock(text)
    server = lock.server("demo")
    assert (server.source, server.image, server.environment, server.runtime) == (NAME, IMAGE, "", "container")
    assert found.asked == [f"{NAME} for container", f"oci:{IMAGE}"]
    assert (reasons(text, lock), inconsistencies(lock)) == ([], ())


def test_what_is_locked_is_asked_again_only_if_it_may_move() -> None:
    found = world_of(entry())
    lock = found.lock(PROCESS)
    found.asked.clear()
    found.entries = {NAME: entry("pypi:demo-server<9", version="2.0.0")}
    assert found.lock(PROCESS, lock) == lock
    assert found.asked == []
    assert entries_of(found.lock(PROCESS, lock, upgrade=frozenset({"demo-lib"})))[NAME].version == "1.0.0"
    for upgrade in (frozenset({"io.github.acme/demo"}), None):
        assert entries_of(found.lock(PROCESS, lock, upgrade=upgrade))[NAME].version == "2.0.0"
    assert f"{NAME} for process" in found.asked, "without the pin: it may move"


def test_another_runtime_chooses_anew_in_the_version_that_is_pinned() -> None:
    container = f'{HEAD}[servers.demo]\nsource = "{NAME}"\nbase = "oci:base.example.com/python:3.11"\npython = "3.11"\n'
    found = world_of(entry(f"oci:{IMAGE}"))
    lock = found.lock(container)
    assert reasons(PROCESS, lock) == ["server:demo: runs as a process now, and its entry was taken as an image"]
    found.asked.clear()
    found.entries = {NAME: entry()}
    again = found.lock(PROCESS, lock)
    assert found.asked[0] == f"{NAME} for process, 1.0.0 is pinned"
    assert (again.images, again.server("demo").command) == ((), ("demo-server",))
    assert reasons(PROCESS, again) == []


def test_one_entry_is_one_choice_which_a_process_can_run() -> None:
    servers = f'[servers.a]\nsource = "{NAME}"\n[servers.b]\nsource = "{NAME}"\nruntime = "process"\n'
    assert wanted_entries(manifest_of(HEAD + servers)) == {NAME: "process"}
    other = f'[servers.c]\nsource = "{NAME}@1.0.0"\n'
    assert wanted_entries(manifest_of(HEAD + servers + other)) == {NAME: "process", f"{NAME}@1.0.0": "container"}
    assert suits_runtime(entry(f"oci:{IMAGE}"), "container")
    assert not suits_runtime(entry(f"oci:{IMAGE}"), "process")
    assert suits_runtime(entry(), "container")


def test_a_server_whose_entry_nobody_knows_stays_as_it_is_and_the_lock_is_stale() -> None:
    manifest = manifest_of(PROCESS)
    assert with_entries(manifest, {}) == manifest
    lock = world_of(entry()).lock(PROCESS)
    other = PROCESS.replace(NAME, f"{NAME}@2.0.0")
    assert reasons(other, lock)[-1] == f"server:demo: is {NAME}@2.0.0, which is not in the lock"


def test_an_error_about_an_entry_says_which() -> None:
    class Silent(World):
        def entry(self, *asked: Any) -> Package:
            raise UnsetVariables(entry=asked[0], names=("X",))

    found = world()
    with pytest.raises(UnsetVariables) as caught:
        Silent(packages=found.packages, images=found.images).lock(PROCESS)
    assert caught.value.address == NAME


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"packages": ()}, f"server:demo: is {NAME}, which is not among the packages"),
        ({"servers": ()}, "project: has mcp:io.github.acme/demo@1.0.0, which nothing uses"),
        ({"name": "com.example/other"}, "mcp:com.example/other@1.0.0: is not the entry io.github.acme/demo"),
    ],
)
def test_a_lock_with_another_entry_does_not_hold_together(change: dict[str, Any], what: str) -> None:
    lock = world_of(entry()).lock(PROCESS)
    assert what in map(str, inconsistencies(edited(lock, **change)))


def edited(lock: Lock, *, packages: tuple[Package, ...] | None = None, **change: Any) -> Lock:
    """Return a lock without servers, with other entries, or with other facts about its one entry."""
    mine = next(package for package in lock.packages if package.kind is Kind.MCP)
    rest = tuple(package for package in lock.packages if package is not mine)
    if "servers" in change:
        return replace(lock, **change)
    return replace(lock, packages=(*rest, *((replace(mine, **change),) if packages is None else packages)))


def test_an_exact_version_is_that_of_the_entry() -> None:
    exact = f"{NAME}@1.0.0"
    lock = world_of(entry(source=exact)).lock(PROCESS.replace(NAME, exact))
    assert inconsistencies(lock) == ()
    (reason,) = inconsistencies(edited(lock, version="2.0.0"))
    assert str(reason).endswith("has the version 2.0.0, and 1.0.0 is required")


def test_an_image_that_something_depends_on_is_looked_up_without_facts() -> None:
    found = world()
    found.images["db:16"] = image("db:16", "linux/amd64", python="")
    lib = found.packages["demo-lib"]
    found.packages["demo-lib"] = replace(
        lib, kind=Kind.OCI, name="db", version="16", location="db:16", files=(), dependencies=(), index=""
    )
    server = found.packages["demo-server"]
    found.packages["demo-server"] = replace(server, dependencies=("oci:db:16",))
    found.closure = {"demo": ("oci:db@16", "pypi:demo-server@1.2")}
    text = f'{HEAD}[servers.demo]\nsource = "pypi:demo-server"\nruntime = "process"\npython = "3.11"\n'
    lock = found.lock(text)
    assert found.asked == ["env:demo", "oci:db:16"]
    assert [item.reference for item in lock.images] == ["db:16"]
    assert (inconsistencies(lock), reasons(text, lock)) == ((), [])
    found.asked.clear()
    assert found.lock(text, lock) == lock
    assert found.asked == []


def test_an_image_that_says_it_is_of_another_entry_is_told() -> None:
    entry = Package(
        kind=Kind.MCP,
        name="io.github.acme/a",
        version="1",
        source="mcp:io.github.acme/a",
        dependencies=("oci:registry.example.com/a:1",),
    )

    def lock(name: str) -> Lock:
        platform = ImagePlatform(digest="sha256:a", config="sha256:b", config_size=1, layers=(), mcp_name=name)
        image = Image(reference="registry.example.com/a:1", digest="sha256:c", platforms={"linux/amd64": platform})
        return Lock(project="p", platforms=("linux/amd64",), packages=(entry,), images=(image,))

    assert list(of_other_entries(lock("io.github.acme/a"))) == []
    assert list(of_other_entries(lock(""))) == []
    assert list(of_other_entries(lock("io.github.evil/b"))) == [
        "mcp:io.github.acme/a@1 is the image registry.example.com/a:1, which says that it is of io.github.evil/b"
    ]
