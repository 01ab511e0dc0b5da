from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hatchlock.lock.store import dumps
from hatchlock.resolve.freshness import stale_reasons
from hatchlock.resolve.interpreters import BaseWithoutPython
from support.locks import EVERYTHING, image, manifest_of, package, world

DEMO = '[project]\nname = "p"\n[servers.demo]\nsource = "pypi:demo-server>=1"\nruntime = "process"\npython = "3.11"\n'


def test_a_first_lock_asks_for_everything_once() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    assert found.asked == [
        "oci:base.example.com/python:3.11 with facts",
        "oci:shop.example.com/shop:1",
        "env:boxed",
        "env:demo",
        "env:shared",
    ]
    assert stale_reasons(manifest_of(EVERYTHING), lock) == ()


def test_locking_again_asks_nobody_and_gives_the_same_bytes() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    assert dumps(found.lock(EVERYTHING, lock)) == dumps(lock)
    assert found.asked == []


def test_what_is_fresh_stays_though_the_index_has_newer_things() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.packages["demo-lib"] = package("demo-lib", "2.9")
    changed = EVERYTHING.replace('args = ["--zone", "UTC"]', 'args = ["--zone", "CET"]')
    again = found.lock(changed, lock)
    assert again.packages == lock.packages
    assert again.server("demo").args == ("--zone", "CET")


def test_only_what_is_stale_is_resolved_and_prefers_its_pins() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    found.lock(
        EVERYTHING.replace('source = "pypi:demo-server>=1"\nargs', 'source = "pypi:demo-server>1.2"\nargs'), lock
    )
    assert found.asked == ["env:demo"]
    assert found.preferred["demo"] == {
        "pypi:demo-core": ("1.5",),
        "pypi:demo-lib": ("2.0",),
        "pypi:demo-server": ("1.2",),
    }


def test_a_pin_that_only_one_platform_has_is_preferred_too() -> None:
    found = world()
    lock = found.lock(DEMO)
    (locked,) = lock.environments
    *common, server = locked.packages
    apart = replace(locked, packages=tuple(common), platform_packages={"linux/arm64": (server,)}, python="3.10")
    found.lock(DEMO, replace(lock, environments=(apart,)))
    assert found.preferred["demo"] == {
        "pypi:demo-core": ("1.5",),
        "pypi:demo-lib": ("2.0",),
        "pypi:demo-server": ("1.2",),
    }


def test_a_server_that_got_another_name_prefers_what_it_had_under_the_one_before() -> None:
    found = world()
    text = DEMO.replace('python = "3.11"\n', "")
    lock = found.lock(text)
    had = replace(lock, environments=tuple(replace(item, python="3.10") for item in lock.environments))
    renamed = text.replace("servers.demo", "servers.new")
    moved = "".join(
        f'[[moved]]\nfrom = "server:{old}"\nto = "server:{new}"\n' for old, new in (("demo", "b"), ("b", "new"))
    )
    again = found.lock(renamed + moved, had)
    assert found.preferred["new"] == {
        "pypi:demo-core": ("1.5",),
        "pypi:demo-lib": ("2.0",),
        "pypi:demo-server": ("1.2",),
    }
    assert again.environment("new", "process").python == "3.10"
    assert stale_reasons(manifest_of(renamed + moved), again) == ()
    found.lock(renamed, had)
    assert found.preferred["new"] == {}  # without a word of it, it is another one


def test_a_bound_that_moved_around_its_pin_is_recorded_without_asking() -> None:
    found = world()
    lock = found.lock(DEMO)
    found.asked.clear()
    again = found.lock(DEMO.replace(">=1", ">=1.1"), lock)
    assert found.asked == []
    assert again.environment("demo", "process").requirements == ("pypi:demo-server>=1.1",)
    assert again.server("demo").source == "pypi:demo-server>=1.1"
    assert again.packages == lock.packages


def test_an_upgrade_of_a_name_forgets_that_pin_only() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    found.lock(EVERYTHING, lock, upgrade=frozenset({"demo-lib"}))
    assert found.asked == ["env:boxed", "env:demo", "env:shared"]
    assert found.preferred["demo"] == {"pypi:demo-core": ("1.5",), "pypi:demo-server": ("1.2",)}


def test_an_upgrade_of_an_image_asks_for_it_alone() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    found.images["shop.example.com/shop:1"] = replace(
        image("shop.example.com/shop:1", "linux/amd64", "linux/arm64", python=""), digest="sha256:" + "f" * 64
    )
    again = found.lock(EVERYTHING, lock, upgrade=frozenset({"shop.example.com/shop:1"}))
    assert found.asked == ["oci:shop.example.com/shop:1"]
    assert again.image("shop.example.com/shop:1").digest == "sha256:" + "f" * 64


def test_an_upgrade_of_everything_asks_for_everything_without_pins() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    found.lock(EVERYTHING, lock, upgrade=None)
    assert len(found.asked) == 5
    assert found.preferred == {"boxed": {}, "demo": {}, "shared": {}}


def test_another_base_resolves_its_environment_again() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    name = "base.example.com/python:3.11"
    found.images[name] = replace(found.images[name], digest="sha256:" + "f" * 64)
    found.lock(EVERYTHING, lock, upgrade=frozenset({name}))
    assert found.asked == [f"oci:{name} with facts", "env:boxed"]


def test_platforms_are_the_declared_ones_else_the_recorded_ones_else_this_machines() -> None:
    found = world()
    first = found.lock(DEMO)
    assert first.platforms == ("linux/amd64",)
    declared = found.lock(DEMO.replace('"p"\n', '"p"\nplatforms = ["linux/arm64"]\n'), first)
    assert declared.platforms == ("linux/arm64",)
    assert found.lock(DEMO, declared).platforms == ("linux/arm64",)


def test_other_platforms_are_resolved_anew() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    found.lock(EVERYTHING.replace(', "linux/arm64"]', "]"), lock)
    assert len(found.asked) == 5


def test_another_platform_does_not_move_an_image_that_is_still_there() -> None:
    found = world()
    less = EVERYTHING.replace(', "linux/arm64"]', "]")
    lock = found.lock(less)
    found.asked.clear()
    more = found.lock(EVERYTHING, lock)
    asked = [text.removesuffix(" with facts") for text in found.asked if text.startswith("oci:")]
    assert asked == [f"oci:{image.reference}@{image.digest}" for image in lock.images]
    assert [image.reference for image in more.images] == [image.reference for image in lock.images]


def test_another_platform_takes_the_tags_image_when_the_pinned_one_is_gone() -> None:
    found = world()
    lock = found.lock(EVERYTHING.replace(', "linux/arm64"]', "]"))
    gone = replace(lock, images=tuple(replace(image, digest=f"sha256:{'0' * 64}") for image in lock.images))
    more = found.lock(EVERYTHING, gone)
    assert [image.digest for image in more.images] == [image.digest for image in lock.images]


def test_what_nobody_needs_any_more_leaves_the_lock() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    text = EVERYTHING.partition("[environments.shared]")[0] + '[servers.host]\ncommand = "cat"\nruntime = "process"\n'
    again = found.lock(text, lock)
    assert (again.packages, again.images, again.environments) == ((), (), ())
    assert [server.name for server in again.servers] == ["host"]


def test_a_relative_exclude_newer_is_a_moment_and_stays_while_nothing_is_resolved() -> None:
    text = DEMO.replace('"p"\n', '"p"\nexclude-newer = "7d"\n')
    found = world()
    lock = found.lock(text)
    assert lock.exclude_newer == "2026-02-22T12:00:00+00:00"
    assert found.limits == [datetime(2026, 2, 22, 12, tzinfo=UTC)]
    old = replace(lock, exclude_newer="2026-01-01T00:00:00+00:00")
    assert found.lock(text, old).exclude_newer == "2026-01-01T00:00:00+00:00"
    assert found.lock(DEMO, lock).exclude_newer == ""


def test_an_image_key_is_a_function_of_base_and_files() -> None:
    keys = world().lock(EVERYTHING).environment("boxed", "container").keys
    assert set(keys) == {"linux/amd64", "linux/arm64"}
    assert len(set(keys.values())) == 2, "another base for each platform"

    other = world()
    other.packages["demo-core"] = package("demo-core", "1.6")
    moved = other.lock(EVERYTHING).environment("boxed", "container").keys
    assert set(moved.values()).isdisjoint(keys.values())

    arguments = world().lock(EVERYTHING.replace("UTC", "CET")).environment("boxed", "container").keys
    assert arguments == keys, "arguments are not in the image"


@pytest.mark.parametrize(
    ("python", "sentence", "hint"),
    [
        ("3.12.1", "has Python 3.12.1 for linux/amd64, the environment wants Python 3.11", 'set python = "3.12"'),
        ("", "has no Python for linux/amd64, the environment wants Python 3.11", "choose a base with Python in it"),
    ],
)
def test_a_base_with_another_python_is_refused(python: str, sentence: str, hint: str) -> None:
    found = world()
    name = "base.example.com/python:3.11"
    found.images[name] = image(name, "linux/amd64", "linux/arm64", python=python)
    with pytest.raises(BaseWithoutPython) as caught:
        found.lock(EVERYTHING)
    assert sentence in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.address == "env:boxed"
