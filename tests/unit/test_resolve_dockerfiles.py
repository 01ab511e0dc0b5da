"""What a lock says of Dockerfiles: from which images, named by what, started how; and when it says it no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.lock.images import ImagePlatform
from hatchlock.lock.model import Build, Lock
from hatchlock.lock.store import BadLock, dumps, loads
from hatchlock.resolve.consistent import inconsistencies
from hatchlock.resolve.dockerfiles import OtherContext, build_starts
from hatchlock.resolve.freshness import stale_reasons
from hatchlock.resolve.reason import Reason
from hatchlock.sources.dockerfile.problems import NotPinned, StartUnclear
from support.locks import World, image, manifest_of

TEXT = """\
[project]
name = "box"
platforms = ["linux/amd64", "darwin/arm64"]

[servers.web]
build = "docker"
"""
BASE = image("base.example.com/base:1", "linux/amd64", "linux/arm64")
PINNED = f"{BASE.reference}@{BASE.digest}"


def world(dockerfile: str) -> World:
    # a reference with a digest is looked up as it stands there
    return World(
        packages={},
        images={BASE.reference: BASE},
        dockerfiles={"web": dockerfile},
    )


def locked(dockerfile: str, text: str = TEXT) -> tuple[Lock, Build]:
    made = world(dockerfile).lock(text)
    made = replace(made, images=tuple(replace(item, reference=PINNED) for item in made.images))
    assert inconsistencies(made) == ()
    assert stale_reasons(manifest_of(text), made) == ()
    assert loads(dumps(made).encode()) == made
    return made, made.builds[0]


def test_it_has_the_images_and_a_key_for_each_platform_of_containers() -> None:
    lock, build = locked(f'FROM {PINNED}\nCMD ["x"]\n')
    assert (build.context, build.dockerfile, build.images) == ("./docker", "Dockerfile", (PINNED,))
    assert list(build.keys) == ["linux/amd64", "linux/arm64"]
    assert len(set(build.keys.values())) == 2
    assert [item.reference for item in lock.images] == [PINNED]
    assert lock.server("web").environment == ""


@pytest.mark.parametrize(
    ("build", "text"),
    [
        ('"docker"', f'FROM {PINNED}\nCMD ["y"]\n'),
        ('{ context = "docker", args = { A = "2" } }', f'ARG A\nFROM {PINNED} AS x\nCMD ["x"]\n'),
        ('{ context = "docker", target = "x" }', f'ARG A\nFROM {PINNED} AS x\nCMD ["x"]\n'),
        ('{ context = "docker", dockerfile = "D" }', f'ARG A\nFROM {PINNED} AS x\nCMD ["x"]\n'),
    ],
)
def test_whatever_goes_in_is_in_the_key(build: str, text: str) -> None:
    _, before = locked(f'ARG A\nFROM {PINNED} AS x\nCMD ["x"]\n')
    _, after = locked(text, TEXT.replace('"docker"', build))
    assert before.keys["linux/amd64"] != after.keys["linux/amd64"]


@pytest.mark.parametrize(
    ("dockerfile", "starts"),
    [
        (f"FROM {PINNED}\n", (("/shop",), ("serve",))),
        (f'FROM {PINNED}\nCMD ["x"]\n', (("/shop",), ("x",))),
        (f'FROM {PINNED}\nENTRYPOINT ["e"]\n', (("e",), ())),
        (f'FROM {PINNED} AS a\nFROM scratch\nCOPY --from=a / /\nENTRYPOINT ["e", "f"]\n', (("e", "f"), ())),
    ],
)
def test_what_is_started_is_the_dockerfiles_or_its_bases(dockerfile: str, starts: tuple[tuple[str, ...], ...]) -> None:
    lock, build = locked(dockerfile)
    assert build_starts(build, {item.reference: item for item in lock.images}, "linux/arm64") == starts


@pytest.mark.parametrize("dockerfile", [f"FROM {PINNED}\nENTRYPOINT e\n", "FROM scratch\n", f"FROM {PINNED}\nCMD c\n"])
def test_what_is_not_said_in_words_has_to_be_said_by_the_server(dockerfile: str) -> None:
    with pytest.raises(StartUnclear):
        world(dockerfile).lock(TEXT)
    locked(dockerfile, TEXT + 'command = ["run"]\n')


def test_the_hint_has_the_digest_that_the_registry_has_now() -> None:
    with pytest.raises(NotPinned) as caught:
        world(f"FROM {BASE.reference}\n").lock(TEXT)
    assert caught.value.hint == f"write {PINNED}, which is what the registry has now"
    with pytest.raises(ManyErrors) as both:
        world("FROM scratch\nADD http://x /x\nRUN --mount=type=ssh x\n").lock(TEXT)
    assert [str(error.place) for error in both.value.errors] == ["./docker/Dockerfile:2", "./docker/Dockerfile:3"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('build = { context = "docker", target = "b" }', "server:web build.target changed since it was locked"),
        ('build = { context = "docker", args = { A = "1" } }', "server:web build.args changed since it was locked"),
        ('build = "other"', "server:web build.context changed since it was locked"),
        (f'source = "oci:{PINNED}"', "server:web is not built from a Dockerfile any more"),
    ],
)
def test_another_declaration_makes_it_stale(change: str, reason: str) -> None:
    lock, _ = locked(f'FROM {PINNED} AS b\nCMD ["x"]\n')
    reasons = stale_reasons(manifest_of(TEXT.replace('build = "docker"', change)), lock)
    assert reason in [f"{item.address} {item.what}" for item in reasons]


def test_a_lock_that_was_tampered_with_does_not_hold_together() -> None:
    lock, build = locked(f'FROM {PINNED}\nCMD ["x"]\n')
    for other in (
        replace(build, args={"A": "1"}),
        replace(build, keys={"linux/amd64": "0" * 64}),
        replace(build, images=(PINNED, "base.example.com/other:1")),
        replace(build, files=()),
        replace(build, server="none"),
    ):
        assert inconsistencies(replace(lock, builds=(other,)))
    outside = dumps(replace(lock, builds=(replace(build, dockerfile="../Dockerfile"),)))
    with pytest.raises(BadLock):
        loads(outside.encode())


def test_an_image_that_is_taken_instead_has_to_be_of_what_goes_in_now() -> None:
    dockerfile = f'FROM {PINNED}\nCMD ["x"]\n'
    _, build = locked(dockerfile)
    made = image("built.example.com/web:1", "linux/amd64", "linux/arm64")
    of_this = {name: replace(found, key=build.keys[name]) for name, found in made.platforms.items()}
    text = TEXT.replace('"docker"', f'{{ context = "docker", image = "oci:{made.reference}@{made.digest}" }}')

    def lock(platforms: dict[str, ImagePlatform]) -> Lock:
        there = world(dockerfile)
        there.images[made.reference] = replace(made, platforms=platforms)
        found = there.lock(text)
        # a reference with a digest is looked up as it stands there
        images = (replace(item, reference=f"{item.reference}@{item.digest}") for item in found.images)
        return replace(found, images=tuple(images))

    taken = lock(of_this)
    assert taken.builds[0].keys == build.keys, "it is no part of what goes in"
    assert "minor = 2" in dumps(taken)
    assert loads(dumps(taken).encode()) == taken
    assert inconsistencies(taken) == ()
    one = {**of_this, "linux/arm64": replace(of_this["linux/arm64"], key="0" * 64)}
    with pytest.raises(
        OtherContext, match=f"was built from the input {'0' * 12}, and ./docker as it is now is"
    ) as caught:
        lock(one)
    assert "hatchlock export web" in caught.value.hint
    with pytest.raises(OtherContext, match="does not say what it was built from"):
        lock(dict(made.platforms))
    edited = [replace(item, platforms=one) if item.reference.startswith("built") else item for item in taken.images]
    reasons = inconsistencies(replace(taken, images=tuple(edited)))
    assert "which was built from something else" in str(reasons)
    assert stale_reasons(manifest_of(TEXT), taken) == (
        Reason(address="server:web", what="build.image changed since it was locked"),
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('build = "./d"\nsource = "pypi:x"', "it has both 'source' and 'build'"),
        ('build = "./d"\nruntime = "process"', "an image runs in a container, not as a process"),
        ('build = "./d"\npython = "3.11"', "'python' says nothing about an image, which brings its own"),
        ('build = { context = "./d", dockerfile = "../D" }', "'../D' is not in the context"),
        ('build = { context = "./d", image = "oci:h.example.com/x:1" }', "is no image by its digest"),
        ('build = { context = "./d", dockerfile = "/D" }', "'/D' is not in the context"),
        ('build = { context = "./d", args = { TOKEN = "q8Zr71xWv0aPlm" } }', "no secret reaches a build"),
        ('build = { context = "./d", args = { TOKEN = { secret = "env:X" } } }', "args.TOKEN"),
        ('build = { dockerfile = "D" }', "context"),
        ('build = "./d#as=files"', "is no directory"),
    ],
)
def test_what_does_not_fit_into_a_manifest_is_said(lines: str, said: str) -> None:
    with pytest.raises((ManyErrors, HatchlockError)) as caught:
        manifest_of(TEXT.replace('build = "docker"', lines))
    errors = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    assert any(said in str(error) for error in errors), [str(error) for error in errors]
