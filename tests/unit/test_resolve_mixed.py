"""Hatch packages, Debian, images and conda in one resolution with Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Package
from hatchlock.net.registry import UnknownImage
from hatchlock.resolve.conda_layer import InterpreterUnsaid
from hatchlock.resolve.cycles import CyclicHatch
from hatchlock.resolve.direct import ClaimedName
from hatchlock.resolve.explain import NoVersion, ResolutionConflict, Unusable
from hatchlock.resolve.request import Resolution
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.debian.choice import NoSuchDebVersion
from hatchlock.sources.python.targets import process_target
from support.conda_channel import CondaPackage, write_channel
from support.hatch_registry import HatchPackage
from support.index import Release
from support.mixed import LINUX, MAC, Mixed, boxed, deb, ids, installed, mixed_world, requires
from support.trees import plant

BOTH = {platform: process_target(platform, "3.11") for platform in (LINUX, MAC)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Mixed]:
    with mixed_world(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages = [CondaPackage(name="tool", noarch="generic", depends=["libz >=1.3"])]
    for subdir in ("linux-64", "osx-arm64"):
        packages += [CondaPackage(name="libz", version=version, subdir=subdir) for version in ("1.3", "2.0")]
        packages += [
            CondaPackage(name="python", version=version, build="0_cpython", subdir=subdir)
            for version in ("3.11.9", "3.12.4")
        ]
        packages += [
            CondaPackage(name="numpy", version="2.0.0", subdir=subdir, depends=["python 3.12.*", "libz"]),
            CondaPackage(name="numpy", version="1.26.4", subdir=subdir, depends=["python 3.11.*", "libz"]),
        ]
    return write_channel(tmp_path_factory.mktemp("channel") / "local", packages)


def package(found: Resolution, name: str) -> Package:
    return next(item for item in found.packages if item.name == name)


def directory(world: Mixed, name: str, version: str = "1.0.0", **needs: list[tuple[str, str]]) -> None:
    """Write a Hatch package beside the manifest."""
    content = HatchPackage(name=name, version=version, dependencies=requires(**needs)).contents
    plant(world.root, {f"{name}/{path}": str(text) for path, text in content.items()})


# Hatch packages


def test_what_a_hatch_package_needs_of_every_kind_is_locked_however_deep(world: Mixed, channel: Path) -> None:
    world.channel = channel
    world.debs = [deb("git", depends="libcurl"), deb("libcurl")]
    world.tags = {"postgres": ["15.6", "16.2", "17.0"]}
    world.python.releases += [Release(name="a", version="1.0", requires=["b"]), Release(name="b", version="2.0")]
    world.put(
        "deep_kit",
        python=[("a", ">=1"), ("libz@conda", "<=1.9")],
        system=[("git", "")],
        docker=[("postgres", "<=16.9")],
    )
    world.put("top_kit", hatch=[("deep_kit", ">=1.0")])
    found = world.resolve("hatch:top_kit")
    assert ids(found) == [
        "conda:libz@1.3=0",
        "deb:git@1.0-1",
        "deb:libcurl@1.0-1",
        "hatch:deep_kit@1.0.0",
        "hatch:top_kit@1.0.0",
        "oci:postgres@16.2",
        "pypi:a@1.0",
        "pypi:b@2.0",
    ]
    assert package(found, "top_kit").dependencies == ("hatch:deep_kit>=1.0", "pypi:mcp>=2")
    assert package(found, "postgres").location == "postgres:16.2"
    assert [archive.name for archive in found.archives] == ["debian/bookworm"], "the other suite gave nothing"


def test_a_diamond_without_a_common_version_names_both_ways(world: Mixed) -> None:
    for version in ("1.0.0", "2.0.0"):
        world.put("core_kit", version)
    world.put("left_kit", hatch=[("core_kit", ">=2.0.0")])
    world.put("right_kit", hatch=[("core_kit", "<=1.9")])
    world.put("top_kit", hatch=[("left_kit", ""), ("right_kit", "")])
    with pytest.raises(ResolutionConflict) as caught:
        world.resolve("hatch:top_kit")
    assert (caught.value.kind, caught.value.name) == (Kind.HATCH, "core_kit")
    said = str(caught.value)
    assert "left_kit 1.0.0 requires core_kit>=2.0.0 (2.0.0 would do), by way of hatch:top_kit 1.0.0" in said
    assert "right_kit 1.0.0 requires core_kit<=1.9 (1.0.0 would do), by way of hatch:top_kit 1.0.0" in said
    world.put("right_kit", "1.1.0", hatch=[("core_kit", "")])
    assert "hatch:right_kit@1.1.0" in ids(world.resolve("hatch:top_kit")), "a version that agrees is taken"


def test_a_circle_is_refused_with_the_way(world: Mixed) -> None:
    world.put("one_kit", hatch=[("two_kit", "")])
    world.put("two_kit", hatch=[("three_kit", "")])
    world.put("three_kit", hatch=[("two_kit", "")])
    with pytest.raises(CyclicHatch) as caught:
        world.resolve("hatch:one_kit")
    assert caught.value.way in {
        ("two_kit 1.0.0", "three_kit 1.0.0", "two_kit 1.0.0"),
        ("three_kit 1.0.0", "two_kit 1.0.0", "three_kit 1.0.0"),
    }
    assert " → ".join(caught.value.way) in str(caught.value)
    assert caught.value.address == "env:e"


def test_directories_that_need_each_other_are_a_circle_too(world: Mixed) -> None:
    directory(world, "one_kit", hatch=[("../two_kit", "")])
    directory(world, "two_kit", hatch=[("../one_kit", "")])
    with pytest.raises(CyclicHatch, match=r"one_kit 1\.0\.0\+s.* → two_kit 1\.0\.0\+s.* → one_kit"):
        world.resolve("hatch:./one_kit")


def test_a_directory_never_stands_for_a_name_of_the_registry(world: Mixed) -> None:
    directory(world, "core_kit")
    with pytest.raises(UnknownPackage, match="core_kit"):
        world.resolve("hatch:core_kit")
    world.put("core_kit", "3.0.0")
    assert ids(world.resolve("hatch:core_kit")) == ["hatch:core_kit@3.0.0"]
    (found,) = ids(world.resolve("hatch:./core_kit"))
    assert found.startswith("hatch:core_kit@1.0.0+s")


def test_a_directory_and_the_registry_cannot_both_have_a_name(world: Mixed) -> None:
    directory(world, "core_kit")
    world.put("core_kit")
    world.put("user_kit", hatch=[("core_kit", "")])
    with pytest.raises(HatchlockError, match="core_kit") as caught:
        world.resolve("hatch:./core_kit", "hatch:user_kit")
    assert "./core_kit" in str(caught.value)
    assert "user_kit 1.0.0 requires core_kit" in str(caught.value)


def test_two_directories_of_one_name_are_refused(world: Mixed) -> None:
    directory(world, "core_kit")
    plant(world.root, {f"other/{path}": str(text) for path, text in HatchPackage(name="core_kit").contents.items()})
    with pytest.raises(ClaimedName, match=r"core_kit is claimed by hatch:\./core_kit and by hatch:\./other"):
        world.resolve("hatch:./core_kit", "hatch:./other")


def test_the_version_in_a_directory_is_held_against_what_is_asked_for(world: Mixed) -> None:
    directory(world, "core_kit", "1.4.0")
    directory(world, "user_kit", hatch=[("../core_kit", ">=1.2")])
    found = ids(world.resolve("hatch:./core_kit>=1", "hatch:./user_kit"))
    assert [item.partition("+s")[0] for item in found] == ["hatch:core_kit@1.4.0", "hatch:user_kit@1.0.0"]
    with pytest.raises(NoVersion, match=r"satisfies core_kit>=2 in \./core_kit.*is core_kit 1\.4\.0") as caught:
        world.resolve("hatch:./core_kit>=2")
    assert "the manifest" in str(caught.value)
    directory(world, "user_kit", hatch=[("../core_kit", ">=1.5")])
    with pytest.raises(NoVersion, match=r"hatch:\./user_kit requires.*core_kit>=1\.5"):
        world.resolve("hatch:./user_kit")


def test_a_package_in_a_directory_brings_its_neighbours_and_what_they_need(world: Mixed) -> None:
    world.python.releases.append(Release(name="a", version="1.0"))
    directory(world, "core_kit", python=[("a", "")])
    directory(world, "user_kit", hatch=[("../core_kit", "")])
    found = world.resolve("hatch:./user_kit")
    core, user = package(found, "core_kit"), package(found, "user_kit")
    assert (core.source, core.location, core.source_class) == ("hatch:./core_kit", "./core_kit", "local")
    assert user.dependencies == ("hatch:./core_kit>=0", "pypi:mcp>=2"), "relative to the manifest"
    assert "pypi:a@1.0" in ids(found)


def test_a_version_that_wants_another_python_is_passed_over(world: Mixed) -> None:
    world.put("core_kit", "1.0.0")
    world.put("core_kit", "2.0.0", python_version=">=3.12")
    assert ids(world.resolve("hatch:core_kit")) == ["hatch:core_kit@1.0.0"]
    newer = {LINUX: process_target(LINUX, "3.12")}
    assert ids(world.resolve("hatch:core_kit", platforms=newer)) == ["hatch:core_kit@2.0.0"]
    with pytest.raises((Unusable, NoVersion), match=r"core_kit 2\.0\.0 needs Python >=3\.12, not 3\.11"):
        world.resolve("hatch:core_kit>=2")


def test_a_package_of_a_registry_leads_nowhere_out_of_its_archive(world: Mixed) -> None:
    world.put("sly_kit", hatch=[("../etc", "")])
    with pytest.raises(HatchlockError, match=r"sly_kit.* it needs hatch:\.\./etc>=0, a directory of the machine"):
        world.resolve("hatch:sly_kit")


def test_whose_a_package_is_is_kept_to(world: Mixed) -> None:
    world.put("core_kit", "1.0.0", repository="main")
    world.put("core_kit", "2.0.0", repository="lab")
    found = world.resolve("hatch:lab:core_kit")
    assert (ids(found), package(found, "core_kit").publisher) == (["hatch:core_kit@2.0.0"], "lab")
    with pytest.raises(HatchlockError, match="lab"):
        world.resolve("hatch:core_kit")


def test_a_package_of_another_repository_is_not_taken_for_it_later_on(world: Mixed) -> None:
    world.put("core_kit", "1.0.0", repository="main")
    world.put("user_kit", hatch=[("lab:core_kit", "")])
    assert ids(world.resolve("hatch:core_kit")) == ["hatch:core_kit@1.0.0"]
    with pytest.raises(HatchlockError, match="lab"):
        world.resolve("hatch:core_kit", "hatch:user_kit")


def test_what_was_locked_of_a_registry_stays_as_long_as_it_will_do(world: Mixed) -> None:
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        world.put("core_kit", version)
    kept = {"hatch:core_kit": ("1.0.0",)}
    assert ids(world.resolve("hatch:core_kit", preferred=kept)) == ["hatch:core_kit@1.0.0"]
    assert ids(world.resolve("hatch:core_kit>1.0", preferred=kept)) == ["hatch:core_kit@2.0.0"]


# images


def test_two_bounds_on_one_image_give_one_tag(world: Mixed) -> None:
    world.tags = {"postgres": ["15.6", "16.1", "16.2", "17.0", "latest", "16.2-alpine"]}
    world.put("left_kit", docker=[("postgres", ">=15")])
    world.put("right_kit", docker=[("postgres", "<=16.9")])
    assert ids(world.resolve("hatch:left_kit", "hatch:right_kit"))[-1] == "oci:postgres@16.2"
    assert ids(world.resolve("hatch:left_kit", "oci:postgres:16.1"))[-1] == "oci:postgres@16.1"


def test_two_bounds_without_a_common_tag_are_a_conflict(world: Mixed) -> None:
    world.tags = {"postgres": ["15.6", "16.2", "17.0"]}
    world.put("left_kit", docker=[("postgres", ">=17")])
    world.put("right_kit", docker=[("postgres", "<=16.9")])
    with pytest.raises(ResolutionConflict) as caught:
        world.resolve("hatch:left_kit", "hatch:right_kit")
    said = str(caught.value)
    assert "left_kit 1.0.0 requires postgres>=17 (17.0 would do)" in said
    assert "right_kit 1.0.0 requires postgres<=16.9 (16.2 or 15.6 would do)" in said
    with pytest.raises(ResolutionConflict, match=r"the manifest requires postgres:16\.2"):
        world.resolve("hatch:left_kit", "oci:postgres:16.2")


def test_an_image_without_a_fitting_tag_is_told_with_those_that_there_are(world: Mixed) -> None:
    world.tags = {"postgres": ["15.6", "16.2"]}
    with pytest.raises(UnknownImage) as caught:
        world.resolve("oci:postgres>=18")
    assert "16.2" in caught.value.hint


def test_the_tag_that_was_locked_stays(world: Mixed) -> None:
    world.tags = {"postgres": ["16.1", "16.2"]}
    assert ids(world.resolve("oci:postgres>=16", preferred={"oci:postgres": ("16.1",)})) == ["oci:postgres@16.1"]


# Debian


def test_debian_packages_are_chosen_over_what_the_base_has(world: Mixed) -> None:
    world.debs = [deb("git", depends="libc6, libcurl"), deb("libcurl"), deb("libc6", "2.36-9")]
    world.base = [installed("libc6", "2.36-9")]
    assert ids(world.resolve("deb:git", **boxed())) == ["deb:git@1.0-1", "deb:libcurl@1.0-1"]
    assert ids(world.resolve("deb:git"))[1:] == ["deb:libc6@2.36-9", "deb:libcurl@1.0-1"], (
        "of a machine nothing is known"
    )


def test_what_the_base_has_already_is_asked_of_nobody_and_that_is_said(world: Mixed) -> None:
    world.debs = [deb("git", "1:2.39")]
    world.base = [installed("git", "1:2.39")]
    found = world.resolve("deb:git>=1:2", **boxed())
    assert (ids(found), found.archives) == ([], ())
    assert world.said == [f"git of Debian: the base has that already on {LINUX}"]
    world.base = [installed("git", "1:2.30")]
    assert ids(world.resolve("deb:git>=1:2.39", **boxed())) == ["deb:git@1:2.39"]
    assert world.said[1:] == [f"git of the base becomes 1:2.39 (it has 1:2.30) on {LINUX}"]


def test_the_version_that_would_do_is_proposed_as_one_would_write_it(world: Mixed) -> None:
    world.debs = [deb("git", "1:2.39")]
    with pytest.raises(NoVersion) as caught:
        world.resolve("deb:git>=2:1")
    assert caught.value.hint == "ask for git=1:2.39, for example"
    directory(world, "kit")
    with pytest.raises(NoVersion) as caught:
        world.resolve("hatch:./kit>=2")
    assert caught.value.hint == "ask for kit==1.0.0, for example"  # without the mark of its content


def test_bounds_of_two_on_one_debian_package_are_a_conflict_that_names_both(world: Mixed) -> None:
    world.debs = [deb("git", "2.9"), deb("git", "3.1")]
    world.put("left_kit", system=[("git", ">=3")])
    world.put("right_kit", system=[("git", "<=2.9")])
    with pytest.raises((ResolutionConflict, NoSuchDebVersion)) as caught:
        world.resolve("hatch:left_kit", "hatch:right_kit")
    said = str(caught.value)
    assert "left_kit" in said
    assert "right_kit" in said
    assert "git>=3" in said


def test_a_name_that_others_provide_is_had_by_one_of_them(world: Mixed) -> None:
    world.debs = [deb("exim", provides="mail-transport-agent")]
    found = world.resolve("deb:mail-transport-agent")
    assert ids(found) == ["deb:exim@1.0-1"]
    assert package(found, "exim").provides == ("deb:mail-transport-agent",)


def test_what_debian_does_not_have_is_told_with_who_wants_it(world: Mixed) -> None:
    world.debs = [deb("git")]
    world.put("left_kit", system=[("got", "")])
    with pytest.raises(HatchlockError, match="got") as caught:
        world.resolve("hatch:left_kit")
    assert "left_kit" in str(caught.value)
    assert "debian/bookworm" in str(caught.value)


def test_elsewhere_than_on_linux_debian_packages_are_left_out_and_that_is_said(world: Mixed) -> None:
    world.debs = [deb("git")]
    found = world.resolve("deb:git", platforms=BOTH)
    assert (ids(found, LINUX), ids(found, MAC)) == (["deb:git@1.0-1"], [])
    assert [note for note in world.said if MAC in note] == [
        f"git of Debian cannot be had on {MAC}: servers that need it run in a container there"
    ]


def test_a_debian_version_that_was_locked_stays(world: Mixed) -> None:
    world.debs = [deb("git", "1:2.39"), deb("git", "1:2.47")]
    kept = {"deb:git": ("1:2.39",)}
    assert ids(world.resolve("deb:git", preferred=kept)) == ["deb:git@1:2.39"]
    assert ids(world.resolve("deb:git", preferred={"deb:git": ("no version!",)})) == ["deb:git@1:2.47"]


# conda


def test_a_name_that_conda_has_is_asked_of_no_index(world: Mixed, channel: Path) -> None:
    world.channel = channel
    world.python.releases += [
        Release(name="user", version="1.0", requires=["numpy>=1.20"]),
        Release(name="numpy", version="9.0"),
    ]
    found = world.resolve("conda:numpy<2", "conda:python", "pypi:user")
    assert ids(found) == [
        "conda:libz@2.0=0",
        "conda:numpy@1.26.4=0",
        "conda:python@3.11.9=0_cpython",
        "pypi:user@1.0",
    ]
    assert package(found, "numpy").provides == ("pypi:numpy",)
    assert world.python.asked_for("/simple/numpy") == []


def test_a_bound_of_python_that_condas_version_does_not_keep_is_explained(world: Mixed, channel: Path) -> None:
    world.channel = channel
    world.python.releases.append(Release(name="user", version="1.0", requires=["numpy>=2"]))
    with pytest.raises((NoVersion, ResolutionConflict), match=r"numpy>=2") as caught:
        world.resolve("conda:numpy<2", "conda:python", "pypi:user")
    assert "conda brings numpy 1.26.4" in str(caught.value)
    assert "user 1.0" in str(caught.value)


def test_condas_interpreter_comes_only_if_it_is_asked_for(world: Mixed, channel: Path) -> None:
    world.channel = channel
    with pytest.raises(InterpreterUnsaid) as caught:
        world.resolve("conda:numpy>=2")
    assert "conda:numpy>=2 would bring Python 3.12.4 along" in str(caught.value)
    assert '"conda:python=3.12"' in caught.value.hint
    assert caught.value.address == "env:e"
    found = world.resolve("conda:numpy>=2", "conda:python=3.12")
    assert (ids(found)[-1], found.environments[0].python) == ("conda:python@3.12.4=0_cpython", "3.12")


def test_python_packages_are_chosen_for_condas_interpreter(world: Mixed, channel: Path) -> None:
    world.channel = channel
    world.python.releases += [
        Release(name="user", version="1.0", requires=['new ; python_version >= "3.12"']),
        Release(name="new", version="1.0"),
    ]
    found = world.resolve("conda:python=3.12", "pypi:user")
    assert ids(found) == ["conda:python@3.12.4=0_cpython", "pypi:new@1.0", "pypi:user@1.0"]


def test_what_a_hatch_package_needs_of_conda_is_solved_with_the_rest(world: Mixed, channel: Path) -> None:
    world.channel = channel
    world.put("core_kit", python=[("libz@conda", "<=1.9")])
    assert ids(world.resolve("hatch:core_kit", "conda:tool")) == [
        "conda:libz@1.3=0",
        "conda:tool@1.0=0",
        "hatch:core_kit@1.0.0",
    ]


# all of it


def test_the_order_of_requirements_does_not_matter(world: Mixed, channel: Path) -> None:
    world.channel = channel
    world.debs = [deb("git"), deb("curl")]
    world.tags = {"postgres": ["16.2"], "redis": ["7.4"]}
    world.python.releases.append(Release(name="a", version="1.0"))
    world.put("core_kit", python=[("a", "")], system=[("curl", "")], docker=[("redis", ">=7")])
    wanted = ("hatch:core_kit", "deb:git", "oci:postgres>=16", "conda:libz", "pypi:a")
    first = world.resolve(*wanted, platforms=BOTH)
    assert world.resolve(*reversed(wanted), platforms=BOTH) == first
    assert [item for item in ids(first, LINUX) if item not in ids(first, MAC)] == ["deb:curl@1.0-1", "deb:git@1.0-1"]
