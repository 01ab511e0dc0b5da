"""A pin counts where the server is what was pinned, also when it has become something else on another platform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.lock.artefact import artefact_of, artefacts_of, is_stale, stale_on
from hatchlock.lock.difference import compare_locks
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Environment, File, Lock, Package, Server
from hatchlock.lock.store import dumps, loads
from hatchlock.lock.surfaces import surface_of
from hatchlock.manifest.handover import NO_HANDOVER
from hatchlock.resolve.surfaces import surface_warnings, with_surfaces
from hatchlock.resolve.versions import compare_versions
from hatchlock.resources.surface_target import surface_rules
from hatchlock.surface import SurfaceRules

AMD, ARM, MAC = "linux/amd64", "linux/arm64", "darwin/arm64"
WHEELS = {
    AMD: "core-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    ARM: "core-1.0-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
    MAC: "core-1.0-cp311-cp311-macosx_11_0_arm64.whl",
}

DIGITS = {AMD: "a", ARM: "b", MAC: "c"}


def file(name: str, digit: str = "1", platform: str = "") -> File:
    return File(name=name, sha256=digit * 64, size=7, platform=platform)


def package(name: str, *files: File, kind: Kind = Kind.PYPI) -> Package:
    return Package(kind=kind, name=name, version="1.0", index=kind, files=tuple(sorted(files, key=lambda it: it.name)))


def lock(*platforms: str, core: tuple[File, ...] = (), **fields: Any) -> Lock:
    """One server of a package that has a wheel for each platform, and of one for all."""
    wheels = core or tuple(file(WHEELS[platform], DIGITS[platform]) for platform in platforms)
    packages = (package("core", *wheels), package("demo", file("demo-1.0-py3-none-any.whl", "2")))
    environment = Environment(
        name="demo",
        private=True,
        runtime="process",
        python="3.11",
        requirements=("pypi:demo",),
        packages=tuple(item.id for item in packages),
        **fields,
    )
    server = Server(name="demo", source="pypi:demo", runtime="process", environment="demo", command=("demo",))
    return Lock(
        project="p",
        platforms=tuple(sorted(platforms)),
        packages=packages,
        environments=(environment,),
        servers=(server,),
    )


def pinned(of: Lock) -> Lock:
    return replace(of, surfaces=(surface_of("demo", artefact=artefact_of(of, "demo")),))


def locked_anew(now: Lock, before: Lock) -> Lock:
    return with_surfaces(now, [before], NO_HANDOVER)


BEFORE = pinned(lock(AMD))


def test_another_platform_makes_a_pin_stale_there_alone() -> None:
    now = locked_anew(lock(AMD, ARM), BEFORE)
    assert stale_on(now, "demo") == (ARM,)
    assert not is_stale(now, "demo", AMD)
    assert is_stale(now, "demo", ARM)
    assert is_stale(now, "demo")
    for platform in (AMD, ARM):
        rules = surface_rules(SurfaceRules(), now, "demo", platform)
        assert rules is not None
        assert rules.pins is not None
        assert rules.pins.stale == (platform == ARM)
    assert now.surfaces[0].artefacts == artefacts_of(BEFORE, "demo")
    (told,) = surface_warnings(now, [BEFORE], NO_HANDOVER)
    assert "what server:demo is made of on linux/arm64 has changed" in told
    assert list(surface_warnings(now, [now], NO_HANDOVER)) == []


def test_what_changes_on_one_platform_goes_on_to_count_on_the_others() -> None:
    now = locked_anew(lock(AMD, ARM), BEFORE)
    both = pinned(lock(AMD, ARM))
    assert stale_on(both, "demo") == ()
    other = lock(AMD, ARM, core=(file(WHEELS[AMD], DIGITS[AMD]), file(WHEELS[ARM], "9")))
    assert stale_on(locked_anew(other, both), "demo") == (ARM,)
    assert stale_on(locked_anew(other, now), "demo") == (ARM,)
    same = locked_anew(lock(AMD), both)
    assert stale_on(same, "demo") == ()


def test_what_changes_everywhere_is_stale_everywhere_and_the_lock_stays_as_it_was() -> None:
    other = lock(AMD, ARM, core=(file(WHEELS[AMD], "8"), file(WHEELS[ARM], "9")))
    now = locked_anew(other, BEFORE)
    assert stale_on(now, "demo") == (AMD, ARM)
    assert now.surfaces == BEFORE.surfaces
    started = replace(lock(AMD, ARM), servers=(replace(BEFORE.servers[0], args=("--more",)),))
    assert locked_anew(started, BEFORE).surfaces == BEFORE.surfaces


def test_a_pin_that_was_stale_stays_so() -> None:
    """Nothing says any more what it was of, on any platform."""
    stale = replace(lock(AMD, core=(file(WHEELS[AMD], "8"),)), surfaces=BEFORE.surfaces)
    now = locked_anew(lock(AMD, ARM, core=(file(WHEELS[AMD], "8"), file(WHEELS[ARM], "9"))), stale)
    assert (stale_on(now, "demo"), now.surfaces) == ((AMD, ARM), BEFORE.surfaces)


def test_only_a_lock_that_has_such_a_pin_says_more_than_before() -> None:
    now = locked_anew(lock(AMD, ARM), BEFORE)
    assert "\nminor = 4\n" in dumps(BEFORE)
    assert "artefacts" not in dumps(BEFORE)
    assert "\nminor = 5\n" in dumps(now)
    assert loads(dumps(now).encode()) == now
    (entry,) = (item for item in compare_locks(BEFORE, now, order=compare_versions) if "server" in str(item.what))
    assert "pinned artefact on linux/amd64" in str(entry)


@pytest.mark.parametrize(
    ("name", "platform", "counts"),
    [
        ("x-1.0-py3-none-any.whl", "", True),
        ("x-1.0-cp311-cp311-linux_aarch64.whl", "", False),
        ("x-1.0-cp311-cp311-musllinux_1_2_aarch64.whl", "", False),
        ("x-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", "", True),
        ("x-1.0-cp311-cp311-win_amd64.whl", "", False),
        ("x-1.0-cp311-cp311-manylinux_2_17_aarch64.manylinux_2_17_x86_64.whl", "", True),
        ("x-1.0-cp311-cp311-macosx_10_9_universal2.whl", "", True),
        ("x-1.0.tar.gz", "", True),
        ("x.tgz", AMD, True),
        ("x.tgz", ARM, False),
    ],
)
def test_a_file_counts_where_it_may_be_used(name: str, platform: str, *, counts: bool) -> None:
    other = lock(AMD, core=(file(WHEELS[AMD], DIGITS[AMD]), file(name, "7", platform)))
    assert (artefacts_of(other, "demo") != artefacts_of(lock(AMD), "demo")) == counts


def test_of_an_image_the_one_of_the_platform_counts_that_containers_have_there() -> None:
    def served(arm: str) -> Lock:
        platforms = {
            name: ImagePlatform(digest=f"sha256:{digit * 64}", config=f"sha256:{'c' * 64}", config_size=1, layers=())
            for name, digit in ((AMD, "a"), (ARM, arm))
        }
        image = Image(reference="shop:1", digest=f"sha256:{'d' * 64}", platforms=platforms)
        server = Server(name="demo", source="oci:shop:1", runtime="container", image="shop:1")
        return Lock(project="p", platforms=(MAC, AMD), images=(image,), servers=(server,))

    before = pinned(served("1"))
    assert stale_on(locked_anew(served("2"), before), "demo") == (MAC,)
    assert stale_on(locked_anew(served("1"), before), "demo") == ()


def test_where_packages_of_npm_are_counts_as_far_as_they_are_there() -> None:
    def placed(**tree: str) -> Lock:
        found = lock(AMD, ARM, tree={"node_modules/all": "pypi:demo@1.0", **tree})
        (environment,) = found.environments
        extra = package("only-arm", file("only-arm.tgz", "5"), kind=Kind.NPM)
        here = replace(environment, platform_packages={ARM: (extra.id,)})
        return replace(found, packages=(*found.packages, extra), environments=(here,))

    before = pinned(placed())
    moved = placed(**{"node_modules/arm": "npm:only-arm@1.0"})
    assert stale_on(locked_anew(moved, before), "demo") == (ARM,)
