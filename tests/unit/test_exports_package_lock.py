"""npm environments of a lock as package-lock.json and package.json."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.resolve.exports.package_lock import is_ours, render_package_lock

PLATFORMS = ("darwin/arm64", "linux/amd64")


def npm(name: str, version: str = "1.0.0", *dependencies: str, **fields: Any) -> Package:
    file = File(name=f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz", sha512="0f" * 64)
    wanted = tuple(sorted(f"npm:{item}" for item in dependencies))
    return Package(kind=Kind.NPM, name=name, version=version, files=(file,), dependencies=wanted, **fields)


def environment(tree: dict[str, Package], *requirements: str, **fields: Any) -> tuple[Lock, Environment]:
    packages = {item.id: item for item in tree.values()}
    made = Environment(
        name="tools",
        private=False,
        runtime="process",
        node="22",
        requirements=tuple(f"npm:{item}" for item in requirements),
        packages=tuple(sorted(packages)),
        tree={f"node_modules/{path}": item.id for path, item in tree.items()},
        **fields,
    )
    return Lock(project="acme", platforms=PLATFORMS, packages=tuple(packages.values()), environments=(made,)), made


def rendered(lock: Lock, made: Environment, platforms: tuple[str, ...] = PLATFORMS) -> tuple[Any, Any]:
    files = render_package_lock(lock, made, platforms=platforms)
    assert list(files) == ["package-lock.json", "package.json"]
    found = json.loads(files["package-lock.json"])
    assert (found["lockfileVersion"], found["name"]) == (3, "acme")
    return found["packages"], json.loads(files["package.json"])


def test_a_package_has_what_npm_wants_to_know() -> None:
    package = npm(
        "@scope/tool",
        "2.0.0",
        scripts={"tool": "bin/tool.js"},
        requires_node=">=20",
        licence="MIT",
        install_script=True,
        systems=("!win32",),
    )
    packages, manifest = rendered(*environment({"@scope/tool": package}, "@scope/tool@^2"))
    assert packages["node_modules/@scope/tool"] == {
        "version": "2.0.0",
        "integrity": "sha512-" + base64.b64encode(b"\x0f" * 64).decode(),
        "hasInstallScript": True,
        "license": "MIT",
        "os": ["!win32"],
        "bin": {"tool": "bin/tool.js"},
        "engines": {"node": ">=20"},
    }
    assert packages[""]["dependencies"] == manifest["dependencies"] == {"@scope/tool": "^2"}


@pytest.mark.parametrize(
    ("requirement", "written"),
    [
        ("tool", "*"),
        ("tool@^2", "^2"),
        ("tool@2 || 3", "2 || 3"),
        ("tool@latest", "2.0.0"),
        ("tool@next", "2.0.0"),
        ("tool@npm:real@^2", "npm:real@^2"),
        ("tool@npm:real@latest", "npm:real@2.0.0"),
    ],
)
def test_a_requirement_stays_a_range_and_a_tag_becomes_the_version(requirement: str, written: str) -> None:
    name = "real" if "real" in requirement else "tool"
    packages, _ = rendered(*environment({"tool": npm(name, "2.0.0")}, requirement))
    assert packages[""]["dependencies"] == {"tool": written}
    assert packages["node_modules/tool"].get("name", "tool") == name


def test_the_hash_is_the_one_that_the_registry_gave() -> None:
    file = File(name="tool-1.0.0.tgz", sha256="0f" * 32)
    packages, _ = rendered(*environment({"tool": replace(npm("tool"), files=(file,))}, "tool"))
    assert packages["node_modules/tool"]["integrity"] == "sha256-" + base64.b64encode(b"\x0f" * 32).decode()


def test_two_requirements_on_a_name_become_its_version() -> None:
    packages, _ = rendered(*environment({"tool": npm("tool", "2.0.0")}, "tool@^2", "tool@>=1"))
    assert packages[""]["dependencies"] == {"tool": "2.0.0"}


def test_what_only_some_platforms_have_is_optional_with_all_that_it_alone_brings() -> None:
    tree = {
        "top": npm("top", "1.0.0", "mac@1", "musl@1", "shared@1"),
        "mac": npm("mac", "1.0.0", "helper@1", "shared@1", systems=("darwin",)),
        "musl": npm("musl", "1.0.0", libc=("musl",)),
        "helper": npm("helper"),
        "shared": npm("shared"),
    }
    packages, _ = rendered(*environment(tree, "top"))
    assert packages["node_modules/top"]["dependencies"] == {"shared": "1"}
    assert packages["node_modules/top"]["optionalDependencies"] == {"mac": "1", "musl": "1"}
    optional = {path for path, item in packages.items() if item.get("optional")}
    assert optional == {"node_modules/mac", "node_modules/musl", "node_modules/helper"}


def test_an_edge_goes_to_the_nearest_package_and_one_that_leads_nowhere_is_left_out() -> None:
    tree = {
        "top": npm("top", "1.0.0", "deep@2", "bundled@1"),
        "top/node_modules/deep": npm("deep", "2.0.0", "side@1", systems=("darwin",)),
        "deep": npm("deep", "1.0.0"),
        "side": npm("side"),
    }
    packages, _ = rendered(*environment(tree, "top", "deep"))
    assert packages["node_modules/top"]["optionalDependencies"] == {"deep": "2"}
    assert "dependencies" not in packages["node_modules/top"]
    assert packages["node_modules/side"]["optional"] is True
    assert "optional" not in packages["node_modules/deep"]


def test_one_platform_leaves_the_others_packages_out() -> None:
    mac, linux = npm("mac", systems=("darwin",)), npm("lin", systems=("linux",))
    lock, made = environment({"top": npm("top", "1.0.0", "mac@1", "lin@1"), "mac": mac, "lin": linux}, "top")
    packages = tuple(item for item in made.packages if "top" in item)
    made = replace(made, packages=packages, platform_packages={"darwin/arm64": (mac.id,), "linux/amd64": (linux.id,)})
    found, _ = rendered(lock, made, ("linux/amd64",))
    assert sorted(found) == ["", "node_modules/lin", "node_modules/top"]
    assert found["node_modules/top"]["dependencies"] == {"lin": "1"}


def test_overrides_are_npms_own_except_for_what_is_asked_for() -> None:
    tree = {"top": npm("top", "1.0.0", "deep@^3"), "deep": npm("deep", "1.0.0")}
    lock, made = environment(tree, "top@^2", overrides=("npm:deep@1.0.0", "npm:top@1.0.0"))
    packages, manifest = rendered(lock, made)
    assert manifest["overrides"] == {"deep": "1.0.0"}
    assert manifest["dependencies"] == {"top": "1.0.0"}
    assert packages["node_modules/top"]["dependencies"] == {"deep": "^3"}


def test_a_project_is_left_out_and_what_it_needs_is_not() -> None:
    project = Package(
        kind=Kind.PATH,
        name="ours",
        version="1.0.0",
        ecosystem="node",
        source="path:./ours",
        location="./ours",
        dependencies=("npm:tool@^2", "path:./core"),
        files=(File(name="ours-1.0.0.tar", sha256="1" * 64),),
    )
    lock, made = environment({"tool": npm("tool", "2.0.0"), "ours": project})
    packages, manifest = rendered(lock, made)
    assert sorted(packages) == ["", "node_modules/tool"]
    assert manifest["dependencies"] == {"tool": "^2"}


def test_only_a_file_of_ours_is_ours() -> None:
    lock, made = environment({"tool": npm("tool")}, "tool")
    assert is_ours(render_package_lock(lock, made, platforms=PLATFORMS)["package.json"].encode())
    assert not is_ours(b'{"name": "acme", "private": true}')
    assert not is_ours(None)


def test_the_same_lock_gives_the_same_text() -> None:
    lock, made = environment({"b": npm("b"), "a": npm("a", "1.0.0", "b@1")}, "b", "a")
    again = replace(made, tree=dict(reversed(list(made.tree.items()))), requirements=made.requirements[::-1])
    backwards = replace(lock, packages=lock.packages[::-1])
    first = render_package_lock(lock, made, platforms=PLATFORMS)
    assert render_package_lock(backwards, again, platforms=PLATFORMS[::-1]) == first
