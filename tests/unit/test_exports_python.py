"""Python environments of a lock as pylock.toml, requirements.txt and constraints, read back by packaging."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest
from packaging.markers import Environment as MarkerEnvironment
from packaging.pylock import PackageDirectory, PackageVcs, PackageWheel, Pylock
from packaging.requirements import Requirement
from packaging.tags import parse_tag

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.resolve.exports.pylock import pylock_name, render_pylock
from hatchlock.resolve.exports.requirements import render_constraints, render_requirements
from hatchlock.resolve.exports.selection import Selected, git_url, platform_marker, select
from hatchlock.sources.python.targets import PythonTarget, process_target
from support.locks import package

PLATFORMS = ("darwin/arm64", "linux/amd64", "linux/arm64")
TARGETS = {name: process_target(name, "3.11") for name in PLATFORMS}


def wheels(name: str, *tags: str) -> Package:
    files = [File(name=f"{name}-1.0-{tag}.whl", sha256=f"{number:064x}", size=7) for number, tag in enumerate(tags, 1)]
    return package(name, files=tuple(sorted(files)))


NATIVE_TAGS = {
    "darwin/arm64": "macosx_11_0_arm64",
    "linux/arm64": "manylinux_2_17_aarch64",
    "linux/amd64": "manylinux_2_17_x86_64",
}
OTHER_PYTHON = "cp312-cp312-manylinux_2_17_x86_64"
NATIVE = wheels("native", *(f"cp311-cp311-{tag}" for tag in NATIVE_TAGS.values()), OTHER_PYTHON)
PLAIN = package("plain", dependencies=("pypi:native>=1", 'pypi:mac-only ; sys_platform == "darwin"', "pypi:gone"))
MAC = package("mac-only")
LINUX = package("linux-only")
ARM = package("arm-only")
GIT = Package(
    kind=Kind.GIT,
    name="from-git",
    version="0",
    ecosystem="python",
    source="git:https://git.example.com/a/b@main#subdirectory=py",
    location="https://git.example.com/a/b",
    commit="c" * 40,
    tree_hash="d" * 40,
    subdirectory="py",
    files=(File(name="from-git-0.tar", sha256="1" * 64, size=10),),
    source_class="git",
)
PATH = Package(
    kind=Kind.PATH,
    name="from-path",
    version="0",
    ecosystem="python",
    source="path:./server",
    location="./server",
    dependencies=("git:https://git.example.com/a/b@main#subdirectory=py",),
    files=(File(name="from-path-0.tar", sha256="2" * 64, size=10),),
    source_class="local",
)
ADDRESS = package("direct", location="https://files.example.com/direct-1.0-py3-none-any.whl", source_class="url")
NODE = Package(kind=Kind.NPM, name="zod", version="4.0.0", files=(File(name="zod-4.0.0.tgz", sha512="e" * 128),))
ALL = (NATIVE, PLAIN, MAC, LINUX, ARM, GIT, PATH, ADDRESS, NODE)

ENVIRONMENT = Environment(
    name="tools",
    private=False,
    runtime="process",
    python="3.11",
    packages=tuple(sorted(item.id for item in (NATIVE, PLAIN, GIT, PATH, ADDRESS, NODE))),
    platform_packages={
        "darwin/arm64": (ARM.id, MAC.id),
        "linux/amd64": (LINUX.id,),
        "linux/arm64": (ARM.id, LINUX.id),
    },
)
LOCK = Lock(project="acme", platforms=PLATFORMS, packages=ALL, environments=(ENVIRONMENT,))
PATHS = {PATH.id: "./server"}


def selected(targets: Mapping[str, PythonTarget] = TARGETS) -> tuple[Selected, ...]:
    return select(LOCK, ENVIRONMENT, targets)


def urls(items: Sequence[Selected]) -> dict[tuple[str, str], str]:
    return {
        (item.package.id, file.name): f"https://files.example.com/{file.name}" for item in items for file in item.files
    }


def pylock(targets: Mapping[str, PythonTarget] = TARGETS) -> str:
    items = selected(targets)
    return render_pylock(ENVIRONMENT, items, targets=targets, urls=urls(items), paths=PATHS)


def requirements(targets: Mapping[str, PythonTarget] = TARGETS, environment: Environment = ENVIRONMENT) -> str:
    return render_requirements(environment, selected(targets), platforms=tuple(targets), paths=PATHS)


def marker_environment(target: PythonTarget) -> MarkerEnvironment:
    return cast("MarkerEnvironment", dict(target.marker_environment))


def test_every_platform_gets_its_packages_and_no_others() -> None:
    for platform, target in TARGETS.items():
        needed = {
            item.package.name
            for item in selected()
            if not item.marker or Requirement(f"x ; {item.marker}").marker.evaluate(dict(target.marker_environment))  # type: ignore[union-attr]
        }
        locked = {item.name for item in LOCK.packages_of(ENVIRONMENT, platform) if item.kind is not Kind.NPM}
        assert needed == locked


def test_markers_say_no_more_than_they_must() -> None:
    markers = {item.package.name: item.marker for item in selected()}
    assert markers["plain"] == ""
    assert markers["mac-only"] == "sys_platform == 'darwin'"
    assert markers["linux-only"] == "sys_platform == 'linux'"
    assert markers["arm-only"] == (
        "sys_platform == 'darwin' or sys_platform == 'linux' and platform_machine == 'aarch64'"
    )
    assert platform_marker(PLATFORMS, TARGETS) == ""


def test_only_the_files_that_a_platform_installs_are_exported() -> None:
    files = {item.package.name: [file.name for file in item.files] for item in selected()}
    assert files["native"] == [file.name for file in NATIVE.files if "cp311" in file.name]
    linux = {"linux/amd64": TARGETS["linux/amd64"]}
    assert [file.name for item in selected(linux) if item.package is NATIVE for file in item.files] == [
        "native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    ]


def test_what_the_manifest_rules_out_now_is_left_to_the_installer() -> None:
    old = {"linux/amd64": process_target("linux/amd64", "3.11", min_glibc="2.5")}
    assert [item.files for item in selected(old) if item.package is NATIVE] == [NATIVE.files]


def test_a_pylock_is_valid_and_selects_what_the_lock_has() -> None:
    lock = Pylock.from_dict(tomllib.loads(pylock()))
    assert str(lock.lock_version) == "1.0"
    assert str(lock.requires_python) == "==3.11.*"
    for platform, target in TARGETS.items():
        tags = [tag for text in target.tags for tag in parse_tag(text)]
        chosen = {str(item.name): how for item, how in lock.select(environment=marker_environment(target), tags=tags)}
        expected = [item for item in LOCK.packages_of(ENVIRONMENT, platform) if item.kind is not Kind.NPM]
        assert sorted(chosen) == sorted(item.name for item in expected)
        wheel = chosen["native"]
        assert isinstance(wheel, PackageWheel)
        assert wheel.name == f"native-1.0-cp311-cp311-{NATIVE_TAGS[platform]}.whl"


def test_what_is_built_from_source_is_a_source_distribution_in_a_pylock() -> None:
    built = replace(package("built"), files=(File(name="built-1.0.tar.gz", sha256="3" * 64, size=10),))
    environment = replace(
        ENVIRONMENT, packages=(built.id,), platform_packages={}, builds={built.id: "tools/build/built"}
    )
    items = select(replace(LOCK, packages=(built,)), environment, TARGETS)
    text = render_pylock(environment, items, targets=TARGETS, urls=urls(items), paths={})
    (found,) = Pylock.from_dict(tomllib.loads(text)).packages
    assert found.sdist is not None
    assert (found.sdist.name, found.wheels) == ("built-1.0.tar.gz", None)


def test_a_pylock_is_for_no_other_platform() -> None:
    lock = Pylock.from_dict(tomllib.loads(pylock({"linux/amd64": TARGETS["linux/amd64"]})))
    assert [str(item) for item in lock.environments or ()] == [
        'sys_platform == "linux" and platform_machine == "x86_64"'
    ]
    with pytest.raises(Exception, match="environment"):
        list(lock.select(environment=marker_environment(TARGETS["darwin/arm64"])))


def test_a_pylock_names_repositories_directories_and_addresses() -> None:
    lock = Pylock.from_dict(tomllib.loads(pylock()))
    packages = {str(item.name): item for item in lock.packages}
    vcs, directory, archive = packages["from-git"].vcs, packages["from-path"].directory, packages["direct"].archive
    assert isinstance(vcs, PackageVcs)
    assert (vcs.type, vcs.url, vcs.commit_id, vcs.subdirectory) == ("git", GIT.location, GIT.commit, "py")
    assert isinstance(directory, PackageDirectory)
    assert directory.path == "./server"
    assert packages["from-git"].version is None
    assert archive
    assert (archive.url, archive.size, archive.hashes) == (
        ADDRESS.location,
        1000,
        {"sha256": ADDRESS.files[0].sha256},
    )


def test_a_pylock_lists_the_dependencies_that_are_in_it() -> None:
    packages = {item["name"]: item for item in tomllib.loads(pylock())["packages"]}
    assert packages["plain"]["dependencies"] == [{"name": "mac-only"}, {"name": "native"}]
    assert packages["from-path"]["dependencies"] == [{"name": "from-git"}]


def test_two_versions_of_a_name_are_told_apart() -> None:
    older, newer = package("lib", "1.0"), package("lib", "2.0")
    user = package("user", dependencies=("pypi:lib",))
    environment = replace(
        ENVIRONMENT,
        packages=(user.id,),
        platform_packages={"darwin/arm64": (older.id,), "linux/amd64": (newer.id,), "linux/arm64": (newer.id,)},
    )
    lock = replace(LOCK, packages=(older, newer, user))
    items = select(lock, environment, TARGETS)
    document = tomllib.loads(render_pylock(environment, items, targets=TARGETS, urls=urls(items), paths={}))
    assert document["packages"][-1]["dependencies"] == [
        {"name": "lib", "version": "1.0"},
        {"name": "lib", "version": "2.0"},
    ]
    assert render_constraints(environment, items, platforms=PLATFORMS).splitlines()[1:] == [
        "lib==1.0 ; sys_platform == 'darwin'",
        "lib==2.0 ; sys_platform == 'linux'",
        "user==1.0",
    ]


def test_requirements_pin_hash_and_mark_everything() -> None:
    lines = [line for line in requirements().replace(" \\\n", "").splitlines() if not line.startswith("#")]
    found = {}
    for line in lines:
        text, *hashes = line.split("    --hash=")
        if not text.startswith("./"):
            found[Requirement(text).name] = (Requirement(text), hashes)
    assert lines.index("./server") == [item.package.name for item in selected()].index("from-path")
    assert found["native"][1] == [f"sha256:{number:064x}" for number in (1, 2, 3)]
    assert str(found["native"][0].specifier) == "==1.0"
    assert str(found["mac-only"][0].marker) == 'sys_platform == "darwin"'
    assert found["from-git"][0].url == f"git+https://git.example.com/a/b@{GIT.commit}#subdirectory=py"
    assert found["direct"][0].url == ADDRESS.location
    assert found["direct"][1] == [f"sha256:{ADDRESS.files[0].sha256}"]
    assert "zod" not in requirements()


def test_requirements_say_what_installers_cannot_know() -> None:
    assert "--no-deps" not in requirements()
    assert "--no-deps" in requirements(environment=replace(ENVIRONMENT, overrides=("pypi:native==1.0",)))
    assert "refuse them with --require-hashes" in requirements()


def test_constraints_are_names_and_versions_of_indexes_only() -> None:
    lines = render_constraints(ENVIRONMENT, selected(), platforms=PLATFORMS).splitlines()
    assert lines[1:] == ["arm-only==1.0", "linux-only==1.0", "mac-only==1.0", "native==1.0", "plain==1.0"]


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://git.example.com/a/b", "https://git.example.com/a/b"),
        ("ssh://git@git.example.com/a/b", "ssh://git@git.example.com/a/b"),
        ("git@git.example.com:a/b.git", "ssh://git@git.example.com/a/b.git"),
        ("git@git.example.com:/srv/b.git", "ssh://git@git.example.com/srv/b.git"),
        ("file:///srv/b.git", "file:///srv/b.git"),
    ],
)
def test_a_repository_is_named_by_a_url(location: str, url: str) -> None:
    assert git_url(location) == url


def test_several_environments_have_names_that_installers_accept() -> None:
    assert pylock_name("tools") == "pylock.tools.toml"
    assert pylock_name("a.b") == "pylock.a-b.toml"


def test_the_same_lock_gives_the_same_text() -> None:
    backwards = replace(LOCK, packages=LOCK.packages[::-1])
    items = select(backwards, ENVIRONMENT, dict(reversed(TARGETS.items())))
    targets = dict(reversed(TARGETS.items()))
    assert render_pylock(ENVIRONMENT, items, targets=targets, urls=urls(items), paths=PATHS) == pylock()
