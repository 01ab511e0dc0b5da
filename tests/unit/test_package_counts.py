from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.launch import Runtime
from hatchlock.lock.model import Environment, Lock
from hatchlock.resources.base import Privilege
from hatchlock.resources.package_counts import PackageCounts, count_packages, counted, privilege_of
from support.locks import image, package


@pytest.mark.parametrize(
    ("kind", "runtime", "privilege"),
    [
        (Kind.PYPI, "process", "none"),
        (Kind.GIT, "process", "none"),
        (Kind.DEB, "process", "root"),
        (Kind.OCI, "process", "engine"),
        (Kind.PYPI, "container", "engine"),
        (Kind.DEB, "container", "engine"),
        (Kind.OCI, "container", "engine"),
    ],
)
def test_a_package_takes_what_its_kind_takes_in_that_runtime(
    kind: Kind, runtime: Runtime, privilege: Privilege
) -> None:
    assert privilege_of(package("demo", kind=kind), runtime) == privilege


def environment(name: str, runtime: Runtime, *packages: str, **platforms: tuple[str, ...]) -> Environment:
    only = {key.replace("_", "/"): value for key, value in platforms.items()}
    return Environment(name=name, private=False, runtime=runtime, packages=packages, platform_packages=only)


LOCK = Lock(
    project="acme",
    platforms=("darwin/arm64", "linux/arm64"),
    packages=(
        package("git", kind=Kind.DEB),
        package("base", kind=Kind.OCI, location="db.example.com/db:1"),
        package("notes", kind=Kind.PATH, source_class="local"),
        package("shared"),
        package("tool", kind=Kind.URL, source_class="url"),
        package("elsewhere"),
    ),
    images=(image("db.example.com/db:1", "linux/arm64"), image("shop.example.com/shop:1", "linux/arm64")),
    environments=(
        environment("boxed", "container", "pypi:shared@1.0", "oci:base@1.0"),
        environment(
            "plain",
            "process",
            "pypi:shared@1.0",
            "path:notes@1.0",
            "url:tool@1.0",
            linux_arm64=("deb:git@1.0",),
            darwin_arm64=("pypi:elsewhere@1.0",),
        ),
    ),
)


def test_each_package_counts_once_and_for_the_highest_privilege() -> None:
    found = count_packages(LOCK, "linux/arm64", "linux/arm64")
    assert found.sources == {"local": 1, "registry": 4, "url": 1}
    assert found.privileges == {"engine": 3, "none": 2, "root": 1}
    assert str(found) == (
        "Packages: 4 from registries, 1 local, 1 by address; 2 need no privilege, 3 the engine, 1 root"
    )


def test_what_belongs_to_another_platform_does_not_count() -> None:
    assert count_packages(LOCK, "darwin/arm64", "linux/arm64").privileges == {"engine": 3, "none": 3}


def test_nothing_is_said_of_nothing_and_little_of_what_needs_nothing() -> None:
    assert str(PackageCounts()) == ""
    assert str(count_packages(replace(LOCK, images=(), environments=()), "linux/arm64", "linux/arm64")) == ""
    plain = PackageCounts(sources={"registry": 2}, privileges={"none": 2})
    assert str(plain) == "Packages: 2 from registries; no privilege needed"
    assert counted({"root": 1}) == "1 needs root"
    assert counted({"none": 1, "root": 2}) == "1 needs no privilege, 2 root"
