from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Environment, Lock, Package
from hatchlock.resolve.graph import Tree, render_tree, render_why, tree, why
from hatchlock.usecases.inspect import NotInLock, reasons_of


def _lock(
    packages: Mapping[str, Sequence[str]],
    requirements: Sequence[str],
    *,
    platforms: tuple[str, ...] = ("linux/amd64",),
    only: Mapping[str, Sequence[str]] | None = None,
) -> Lock:
    made = [
        Package(kind=Kind.PYPI, name=name, version="1", dependencies=tuple(needs)) for name, needs in packages.items()
    ]
    only = only or {}
    special = {item for items in only.values() for item in items}
    environment = Environment(
        name="e",
        private=False,
        runtime="process",
        python="3.11",
        requirements=tuple(requirements),
        packages=tuple(sorted(package.id for package in made if package.name not in special)),
        platform_packages={platform: tuple(f"pypi:{name}@1" for name in names) for platform, names in only.items()},
    )
    return Lock(project="p", platforms=platforms, packages=tuple(made), environments=(environment,))


def _tree(lock: Lock, platform: str) -> Tree:
    return tree(lock, lock.environment("e", "process"), platform)


def test_a_tree_shows_each_package_below_what_requires_it_and_its_children_once() -> None:
    lock = _lock({"a": ["pypi:b>=1", "pypi:c"], "b": ["pypi:c<2"], "c": ["pypi:d"], "d": []}, ["pypi:a>0"])
    assert render_tree(_tree(lock, "linux/amd64")).splitlines() == [
        "env:e",
        "└─ pypi:a@1  (a>0)",
        "   ├─ pypi:b@1  (b>=1)",
        "   │  └─ pypi:c@1  (c<2)",
        "   │     └─ pypi:d@1  (d)",
        "   └─ pypi:c@1  (c) (*)",
    ]


def test_a_cycle_ends() -> None:
    lock = _lock({"a": ["pypi:b"], "b": ["pypi:a"]}, ["pypi:a"])
    assert render_tree(_tree(lock, "linux/amd64")).splitlines()[-1] == "      └─ pypi:a@1  (a) (*)"


def test_edges_of_other_platforms_and_of_extras_not_in_use_are_left_out() -> None:
    packages = {"a": ['pypi:m ; sys_platform == "darwin"', 'pypi:x ; extra == "more"'], "m": [], "x": [], "b": []}
    lock = _lock(packages, ["pypi:a"], platforms=("darwin/arm64", "linux/amd64"))
    assert "pypi:m@1" in render_tree(_tree(lock, "darwin/arm64"))
    assert render_tree(_tree(lock, "linux/amd64")).splitlines() == ["env:e", "└─ pypi:a@1  (a)"]
    assert "pypi:x@1" in render_tree(_tree(_lock(packages, ["pypi:a[more]"]), "linux/amd64"))


def test_an_extra_that_is_asked_for_later_brings_its_edges() -> None:
    packages = {"a": ['pypi:x ; extra == "more"'], "b": ["pypi:a[more]"], "x": []}
    for requirements in (["pypi:a", "pypi:b"], ["pypi:b", "pypi:a"]):
        assert "pypi:x@1" in render_tree(_tree(_lock(packages, requirements), "linux/amd64"))


def test_why_gives_every_path_shortest_first() -> None:
    lock = _lock({"a": ["pypi:b", "pypi:c>=1"], "b": ["pypi:c"], "c": []}, ["pypi:a"])
    assert render_why(why(lock, "c")).splitlines() == [
        "env:e (process; linux/amd64)",
        "  pypi:a@1 (a) → pypi:c@1 (c>=1)",
        "  pypi:a@1 (a) → pypi:b@1 (b) → pypi:c@1 (c)",
    ]


def test_why_tells_platforms_apart_where_the_paths_differ() -> None:
    lock = _lock(
        {"a": ['pypi:c ; sys_platform == "darwin"'], "c": []},
        ["pypi:a"],
        platforms=("darwin/arm64", "linux/amd64"),
        only={"darwin/arm64": ["c"]},
    )
    assert [(item.platforms, len(item.paths)) for item in why(lock, "c")] == [(("darwin/arm64",), 1)]
    assert [item.platforms for item in why(lock, "a")] == [("darwin/arm64", "linux/amd64")]


def test_why_of_a_package_that_is_nowhere_is_empty() -> None:
    assert why(_lock({"a": []}, ["pypi:a"]), "z") == ()


def test_a_multitude_of_paths_is_cut_off_and_said() -> None:
    packages = {
        f"n{layer}{side}": [f"pypi:n{layer + 1}{other}" for other in "ab"] for layer in range(6) for side in "ab"
    }
    packages |= {"n6a": [], "n6b": []}
    (reasons,) = why(_lock(packages, ["pypi:n0a"]), "n6a")
    assert (len(reasons.paths), reasons.more) == (20, True)
    assert render_why([reasons]).endswith("… and more")


def _two_kinds() -> Lock:
    packages = (
        Package(kind=Kind.DEB, name="nodejs", version="18"),
        Package(kind=Kind.OCI, name="127.0.0.1:5000/acme/cache", version="7", location="127.0.0.1:5000/acme/cache:7"),
        Package(kind=Kind.CONDA, name="nodejs", version="20=h1"),
    )
    environment = Environment(
        name="e",
        private=False,
        runtime="container",
        base="base",
        requirements=("conda:nodejs", "deb:nodejs", "oci:127.0.0.1:5000/acme/cache>=7"),
        packages=tuple(sorted(package.id for package in packages)),
    )
    platforms = ("darwin/arm64", "linux/amd64")
    return Lock(project="p", platforms=platforms, packages=packages, environments=(environment,))


def test_why_is_asked_with_or_without_the_kind_and_containers_are_linux() -> None:
    lock = _two_kinds()
    assert [reasons.platforms for reasons in reasons_of(lock, "nodejs")] == [("linux/amd64", "linux/arm64")]
    assert [path.ids for path in reasons_of(lock, "nodejs")[0].paths] == [("conda:nodejs@20=h1",), ("deb:nodejs@18",)]
    assert [path.ids for path in reasons_of(lock, "deb:nodejs")[0].paths] == [("deb:nodejs@18",)]
    with pytest.raises(NotInLock):
        reasons_of(lock, "npm:nodejs")


def test_a_name_may_have_a_port() -> None:
    (found,) = reasons_of(_two_kinds(), "127.0.0.1:5000/acme/cache")
    assert found.paths[0].requirements == ("oci:127.0.0.1:5000/acme/cache>=7",)


def test_what_only_a_base_has_is_said_to_come_with_it() -> None:
    platform = ImagePlatform(
        digest="sha256:a", config="sha256:b", config_size=1, layers=(), packages=("deb:gzip@1.12-1",)
    )
    lock = replace(
        _two_kinds(), images=(Image(reference="base", digest="sha256:c", platforms={"linux/amd64": platform}),)
    )
    with pytest.raises(NotInLock) as caught:
        reasons_of(lock, "gzip")
    assert caught.value.hint == "it comes with the base base, over which Debian's packages are chosen"
