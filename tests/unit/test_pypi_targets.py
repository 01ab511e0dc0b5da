from __future__ import annotations

import pytest

from hatchlock.sources.python.targets import BadPlatform, container_target, process_target


def test_a_linux_machine_takes_wheels_up_to_its_glibc() -> None:
    tags = process_target("linux/amd64", "3.11").tags
    assert tags[0] == "cp311-cp311-manylinux_2_28_x86_64"
    assert "cp311-cp311-manylinux2014_x86_64" in tags
    assert "cp39-abi3-manylinux1_x86_64" in tags
    assert "cp311-cp311-manylinux_2_29_x86_64" not in tags
    assert tags[-1] == "py30-none-any"
    assert "py3-none-any" in tags
    assert not any("musl" in tag or "macos" in tag for tag in tags)


def test_arm_has_no_wheels_older_than_glibc_2_17() -> None:
    tags = process_target("linux/arm64", "3.11").tags
    assert "cp311-cp311-manylinux_2_17_aarch64" in tags
    assert not any("2_16" in tag or "manylinux1_" in tag for tag in tags)


def test_min_glibc_and_min_macos_move_the_limit() -> None:
    assert process_target("linux/amd64", "3.11", min_glibc="2.34").tags[0] == "cp311-cp311-manylinux_2_34_x86_64"
    assert process_target("darwin/arm64", "3.11").tags[0] == "cp311-cp311-macosx_13_0_arm64"
    assert process_target("darwin/arm64", "3.11", min_macos="11.0").tags[0] == "cp311-cp311-macosx_11_0_arm64"


def test_a_musl_container_takes_musl_wheels_only() -> None:
    tags = container_target("linux/amd64", "3.11.2", libc="musl 1.2").tags
    assert tags[0] == "cp311-cp311-musllinux_1_2_x86_64"
    assert not any("manylinux" in tag for tag in tags)


def test_markers_see_the_platform_and_not_this_machine() -> None:
    mac = process_target("darwin/arm64", "3.12").marker_environment
    assert (mac["sys_platform"], mac["platform_system"], mac["platform_machine"]) == ("darwin", "Darwin", "arm64")
    assert (mac["python_version"], mac["python_full_version"]) == ("3.12", "3.12.0")
    assert (
        container_target("linux/arm64", "3.11.2", libc="glibc 2.36").marker_environment["python_full_version"]
        == "3.11.2"
    )


@pytest.mark.parametrize("platform", ["windows/amd64", "linux", "linux/vax", "darwin/386", ""])
def test_an_unknown_platform_is_refused_and_the_hint_shows_known_ones(platform: str) -> None:
    with pytest.raises(BadPlatform) as caught:
        process_target(platform, "3.11")
    assert "linux/amd64" in caught.value.hint


@pytest.mark.parametrize("libc", ["", "uclibc 1", "glibc x"])
def test_an_unknown_libc_is_refused(libc: str) -> None:
    with pytest.raises(BadPlatform):
        container_target("linux/amd64", "3.11.2", libc=libc)
