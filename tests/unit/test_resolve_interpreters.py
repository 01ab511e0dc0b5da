"""Bases with and without the interpreters that packages run in, and what a lock is made of then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.lock.images import Image
from hatchlock.lock.model import Archive, Environment, File, Lock, Package
from hatchlock.lock.store import dumps
from hatchlock.resolve.consistent import inconsistencies
from hatchlock.resolve.freshness import stale_reasons
from hatchlock.resolve.interpreters import (
    BaseWithoutNode,
    BaseWithoutPython,
    BuildNotInBase,
    check_interpreters,
    has_own_python,
)
from hatchlock.resources.needed import artefacts_of_environment
from support.locks import World, image, manifest_of, package, world

LINUX = "linux/amd64"
BARE = "base.example.com/bare:1"
HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
ARCHIVE = Archive(name="debian/bookworm", suite="bookworm", date="2026-01-01T00:00:00Z", sha256="a" * 64)


def deb(name: str, version: str = "1") -> Package:
    file = File(name=f"{name}.deb", sha256="d" * 64, size=1)
    place = f"pool/main/{name[0]}"
    return Package(kind=Kind.DEB, name=name, version=version, index=ARCHIVE.name, location=place, files=(file,))


def other(kind: Kind, name: str = "x", **fields: Any) -> Package:
    return Package(kind=kind, name=name, version="1.0.0", index=str(kind), **fields)


def base(python: str = "", node: str = "") -> Image:
    found = image(BARE, LINUX, python=python)
    return replace(found, platforms={LINUX: replace(found.platforms[LINUX], node=node)})


def check(
    *packages: Package, here: Image, python: str = "3.11", requirements: tuple[str, ...] = (), **fields: Any
) -> None:
    environment = Environment(
        name="e",
        private=False,
        runtime="container",
        base=BARE,
        python=python,
        node="22",
        requirements=requirements,
        packages=tuple(item.id for item in packages),
        **fields,
    )
    check_interpreters(environment, {BARE: here}, {item.id: item for item in packages})


def test_a_base_without_python_is_refused_only_if_something_needs_it() -> None:
    check(deb("git"), other(Kind.URL), other(Kind.OCI), here=base())
    for needing in (package("a"), other(Kind.HATCH), other(Kind.PATH, ecosystem="python")):
        with pytest.raises(BaseWithoutPython) as caught:
            check(deb("git"), needing, here=base())
        assert str(caught.value) == f"the base {BARE} has no Python for {LINUX}, the environment wants Python 3.11"
        assert "oci:python:3.11-slim" in caught.value.hint
        assert '"conda:python=3.11"' in caught.value.hint
        check(needing, here=base(python="3.11.9"))


def test_another_python_than_the_base_s_is_refused_with_both_ways_out() -> None:
    with pytest.raises(BaseWithoutPython, match=r"has Python 3\.12\.1 for linux/amd64") as caught:
        check(package("a"), here=base(python="3.12.1"))
    assert 'set python = "3.12"' in caught.value.hint


def test_with_python_of_conda_the_base_s_own_does_not_matter() -> None:
    for here in (base(), base(python="3.8.1")):
        check(package("a"), here=here, python="3.12", requirements=("conda:python=3.12", "pypi:a"))
    with pytest.raises(BaseWithoutPython):
        check(package("a"), here=base(), requirements=("conda:numpy", "pypi:a"))


def test_who_asks_conda_for_python_has_it() -> None:
    assert has_own_python(["pypi:a", "conda:python>=3.12"])
    assert has_own_python(["conda:conda-forge::python 3.12.* *_cpython"])
    assert not has_own_python(["pypi:python", "conda:python-dateutil", "conda:numpy"])


def test_a_base_without_node_is_refused_unless_debian_or_conda_bring_it() -> None:
    with pytest.raises(BaseWithoutNode) as caught:
        check(other(Kind.NPM), here=base())
    assert str(caught.value) == f"the base {BARE} has no Node for {LINUX}, and packages of npm need it (22)"
    assert "oci:node:22-slim" in caught.value.hint
    assert '"deb:nodejs"' in caught.value.hint
    check(other(Kind.NPM), here=base(node="22.1.0"))
    check(other(Kind.NPM), deb("nodejs"), here=base())
    check(other(Kind.NPM), other(Kind.CONDA, "nodejs"), here=base())
    check(deb("git"), here=base())


def test_what_is_built_needs_an_interpreter_of_the_base_itself() -> None:
    npm, nodejs = other(Kind.NPM), other(Kind.CONDA, "nodejs")
    node = base(node="22.1.0")
    for ways in ({"scripts": (npm.id,)}, {"builds": {npm.id: "e/build/x.node"}}):
        check(npm, here=node, **ways)
        for added, here in ((nodejs, base()), (nodejs, node), (deb("nodejs"), base())):
            with pytest.raises(BuildNotInBase, match="the environment's Node is none of that base"):
                check(npm, added, here=here, **ways)
    check(npm, nodejs, here=base())
    building: dict[str, Any] = {"builds": {"pypi:a@1.0": "e/build/a"}}
    check(package("a"), here=base(python="3.11.2"), **building)
    with pytest.raises(BuildNotInBase, match="the environment's Python"):
        check(package("a"), here=base(python="3.11.2"), requirements=("conda:python=3.11", "pypi:a"), **building)


def test_processes_have_the_interpreters_of_their_machine() -> None:
    environment = Environment(name="e", private=False, runtime="process", python="3.11", packages=("pypi:a@1.0",))
    check_interpreters(environment, {}, {"pypi:a@1.0": package("a")})


# locks that are made on such bases


def bare_world(*packages: Package, python: str = "") -> World:
    found = world()
    found.images[BARE] = base(python=python)
    found.packages |= {item.name: item for item in packages}
    found.closure["e"] = tuple(sorted(item.id for item in packages))
    found.archives = [ARCHIVE]
    return found


def text(*dependencies: str, python: str = "") -> str:
    listed = ", ".join(f'"{item}"' for item in dependencies)
    said = f'python = "{python}"\n' if python else ""
    return f'{HEAD}[environments.e]\nbase = "oci:{BARE}"\ndependencies = [{listed}]\n{said}'


def test_debian_packages_alone_need_no_python_and_there_is_none_in_the_lock() -> None:
    lock = bare_world(deb("git")).lock(text("deb:git"))
    environment = lock.environment("e", "container")
    assert (environment.python, environment.node) == ("", "")
    assert lock.archives == (ARCHIVE,)
    assert (inconsistencies(lock), stale_reasons(manifest_of(text("deb:git")), lock)) == ((), ())


def test_a_python_that_the_manifest_asks_for_is_recorded_and_the_base_has_to_have_it_if_it_is_used() -> None:
    wanted = text("deb:git", python="3.11")
    assert bare_world(deb("git")).lock(wanted).environment("e", "container").python == "3.11"
    with pytest.raises(BaseWithoutPython) as caught:
        bare_world(deb("git"), package("a")).lock(text("deb:git", "pypi:a", python="3.11"))
    assert caught.value.address == "env:e"


def test_the_key_of_an_image_is_of_packages_of_every_kind() -> None:
    plain = bare_world(package("a"), python="3.11.2").lock(text("pypi:a", python="3.11"))
    mixed = bare_world(package("a"), deb("git"), python="3.11.2").lock(text("pypi:a", "deb:git", python="3.11"))
    keys = [lock.environment("e", "container").keys for lock in (plain, mixed)]
    assert [set(item) for item in keys] == [{LINUX}, {LINUX}]
    assert keys[0] != keys[1]


def test_a_suite_is_kept_with_what_is_kept_and_goes_with_it() -> None:
    found = bare_world(deb("git"))
    lock = found.lock(text("deb:git"))
    found.archives = [replace(ARCHIVE, date="2026-02-01T00:00:00Z", sha256="b" * 64)]
    found.asked.clear()
    assert dumps(found.lock(text("deb:git>=0.5"), lock)) == dumps(_requiring(lock, "deb:git>=0.5"))
    assert found.asked == [], "a bound that the locked version keeps asks nobody"
    moved = found.lock(text("deb:git"), lock, upgrade=None)
    assert [archive.date for archive in moved.archives] == ["2026-02-01T00:00:00Z"]
    found.closure["e"] = ()
    assert found.lock(text("deb:git"), lock, upgrade=None).archives == ()


def test_an_environment_that_is_its_base_alone_is_locked_and_its_image_planned() -> None:
    """Everything that it asks for is in the base already, which has no Python."""
    found = bare_world()
    lock = found.lock(text("deb:git"))
    environment = lock.environment("e", "container")
    assert (environment.packages, environment.python, set(environment.keys)) == ((), "", {LINUX})
    assert artefacts_of_environment(manifest_of(text("deb:git")), lock, environment, LINUX) == ()


def _requiring(lock: Lock, *requirements: str) -> Lock:
    environment = replace(lock.environment("e", "container"), requirements=requirements)
    return replace(lock, environments=(environment,))
