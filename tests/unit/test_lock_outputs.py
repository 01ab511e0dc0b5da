"""What the lock says of images: kept while it is of the same input, written as one line a platform, compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.lock.difference import compare_locks
from hatchlock.lock.images import ImageOutput
from hatchlock.lock.model import Environment, Lock
from hatchlock.lock.problems import BadLock
from hatchlock.lock.store import dumps, loads
from hatchlock.resolve.versions import compare_versions
from hatchlock.resources.image_target import locked_image, lost_outputs, with_image_keys
from support.locks import EVERYTHING, World, manifest_of, package, world

PLATFORMS = ("linux/amd64", "linux/arm64")


def output(digit: str) -> ImageOutput:
    return ImageOutput(config=f"sha256:{digit * 64}", layers=(f"sha256:{'e' * 64}", f"sha256:{'f' * 64}"))


def boxed(lock: Lock) -> Environment:
    return lock.environment("boxed", "container")


def recorded(lock: Lock, digit: str = "a", *, platforms: tuple[str, ...] = PLATFORMS) -> Lock:
    outputs = dict.fromkeys(platforms, output(digit))
    environments = (
        replace(item, outputs=outputs) if item.runtime == "container" else item for item in lock.environments
    )
    return replace(lock, environments=tuple(environments))


def differences(before: Lock, after: Lock) -> list[str]:
    entries = compare_locks(before, after, order=compare_versions)
    return [" ".join(filter(None, (item.sign, item.what, item.field, item.note))) for item in entries]


def relocked(there: World, previous: Lock) -> Lock:
    return with_image_keys(manifest_of(EVERYTHING), there.lock(EVERYTHING, previous), [previous])


def test_each_platform_has_a_line_of_its_own() -> None:
    lock = recorded(world().lock(EVERYTHING))
    text = dumps(lock)
    assert loads(text.encode()) == lock
    digests = f'config = "sha256:{"a" * 64}", layers = ["sha256:{"e" * 64}", "sha256:{"f" * 64}"]'
    assert f'[environment.outputs]\n"linux/amd64" = {{ {digests} }}\n"linux/arm64" = {{ {digests} }}\n' in text


def test_only_a_lock_with_outputs_is_of_the_newer_minor_version() -> None:
    lock = world().lock(EVERYTHING)
    assert "minor" not in dumps(lock)
    assert "minor = 2\n" in dumps(recorded(lock))


@pytest.mark.parametrize("wrong", ["sha256:" + "g" * 64, "a" * 64, "sha512:" + "a" * 128, ""])
def test_an_output_is_a_sha256(wrong: str) -> None:
    text = dumps(recorded(world().lock(EVERYTHING)))
    for right in ("sha256:" + "a" * 64, "sha256:" + "f" * 64):
        with pytest.raises(BadLock):
            loads(text.replace(right, wrong).encode())


def test_what_was_recorded_stays_while_nothing_changes() -> None:
    before = recorded(world().lock(EVERYTHING))
    after = relocked(world(), before)
    assert after == before
    assert lost_outputs(before, after) == ()


def test_what_was_recorded_goes_with_the_key_that_it_is_of() -> None:
    before = recorded(world().lock(EVERYTHING))
    other = world()
    other.packages["demo-core"] = package("demo-core", "1.6")
    upgraded = other.lock(EVERYTHING, before, upgrade=None)
    after = with_image_keys(manifest_of(EVERYTHING), upgraded, [before])
    assert boxed(after).keys != boxed(before).keys
    assert boxed(after).outputs == {}
    assert lost_outputs(before, after) == ("boxed",)


def test_an_environment_that_is_resolved_anew_to_the_same_keeps_what_was_recorded() -> None:
    before = recorded(world().lock(EVERYTHING))
    anew = world().lock(EVERYTHING)
    assert with_image_keys(manifest_of(EVERYTHING), anew, [before]) == before


def test_of_two_sides_of_a_merge_ours_counts_and_theirs_helps() -> None:
    plain = world().lock(EVERYTHING)
    ours, theirs = recorded(plain, "a", platforms=PLATFORMS[:1]), recorded(plain, "b")
    merged = boxed(with_image_keys(manifest_of(EVERYTHING), plain, [ours, theirs]))
    assert merged.outputs == {PLATFORMS[0]: output("a"), PLATFORMS[1]: output("b")}


def test_the_image_to_make_knows_what_it_has_to_be() -> None:
    lock = recorded(world().lock(EVERYTHING), platforms=PLATFORMS[:1])
    specs = [locked_image(manifest_of(EVERYTHING), lock, boxed(lock), platform, name="boxed") for platform in PLATFORMS]
    assert [spec.outputs for spec in specs] == [(output("a").config, *output("a").layers), ()]


def test_another_image_of_the_same_input_is_alarming() -> None:
    lock = world().lock(EVERYTHING)
    assert differences(recorded(lock, "a"), recorded(lock, "b")) == [
        "! env:boxed image linux/amd64 another image of the same input",
        "! env:boxed image linux/arm64 another image of the same input",
    ]


def test_recording_forgetting_and_following_a_new_input_are_not() -> None:
    lock = world().lock(EVERYTHING)
    one = recorded(lock, platforms=PLATFORMS[:1])
    assert differences(lock, one) == ["+ env:boxed image linux/amd64"]
    assert differences(one, lock) == ["- env:boxed image linux/amd64"]
    other = world()
    other.packages["demo-core"] = package("demo-core", "1.6")
    moved = recorded(other.lock(EVERYTHING), "b", platforms=PLATFORMS[:1])
    assert "~ env:boxed image linux/amd64" in differences(one, moved)
