"""Real registries on loopback: behind a login, behind a mirror, and what they say when they do not give an image."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.address import ImageReference
from hatchlock.net.registry import (
    ImageProblem,
    ImageUnreachable,
    LoginNeeded,
    Registry,
    UnknownImage,
    WrongLogin,
)
from hatchlock.sources.oci import fetch_image, lock_image
from hatchlock.sources.oci_tags import UnknownTag, choose_tag, declared_oci
from hatchlock.store.blobs import Blobs
from support.layers import make_layer
from support.registry import LOGIN, push, serving_registry

LAYER = make_layer({"app": b"an application"})


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_registry(tmp_path_factory.mktemp("private"), behind_login=True) as address:
        for tag in ("1.2", "1.2.3", "1.10.0", "1.10.0-alpine", "latest"):
            push(address, "team/app", tag, layers=[LAYER], login=LOGIN, Entrypoint=["/app"], User="65532")
        yield address


class Home:
    """A user with a Docker configuration and a credential helper on the PATH."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": str(root), "DOCKER_CONFIG": str(root / "docker"), "PATH": f"{root}/bin:/usr/bin:/bin"}
        (root / "docker").mkdir()
        (root / "bin").mkdir()

    def configure(self, config: object) -> None:
        (self.root / "docker" / "config.json").write_text(json.dumps(config))

    def helper(self, name: str, script: str) -> None:
        program = self.root / "bin" / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\nread host\n{script}\n")
        program.chmod(0o755)

    def registry(self, **options: object) -> Registry:
        return Registry(environ=self.environ, default_host="index.example.com", **options)  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def entry(login: str) -> dict[str, str]:
    return {"auth": base64.b64encode(login.encode()).decode()}


def refusal(home: Home, reference: str) -> ImageProblem:
    with pytest.raises(ImageProblem) as caught:
        lock_image(
            reference,
            ["linux/amd64"],
            registry=home.registry(),
            blobs=Blobs(home.root / "blobs"),
            facts=False,
        )
    assert "s3cret" not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    return caught.value


def lock_and_fetch(home: Home, reference: str, registry: Registry) -> None:
    blobs = Blobs(home.root / "blobs")
    image = lock_image(reference, ["linux/amd64"], registry=registry, blobs=blobs, facts=True)
    fetch_image(image, "linux/amd64", registry=registry, blobs=blobs)
    registry.close()
    assert image.platforms["linux/amd64"].entrypoint == ("/app",)
    assert all(blobs.has(layer.digest.removeprefix("sha256:")) for layer in image.platforms["linux/amd64"].layers)


def test_a_login_of_the_file_opens_a_private_registry(private: str, home: Home) -> None:
    home.configure({"auths": {private: entry(LOGIN)}})
    lock_and_fetch(home, f"{private}/team/app:1.2.3", home.registry())


@pytest.mark.parametrize("own", [True, False], ids=["credHelpers", "credsStore"])
def test_a_login_of_a_helper_opens_it_too(private: str, home: Home, *, own: bool) -> None:
    user, _, password = LOGIN.partition(":")
    answer = json.dumps({"ServerURL": "x", "Username": user, "Secret": password})
    home.helper("demo", f"[ \"$host\" = {private} ] || {{ echo \"not found\"; exit 1; }}\nprintf '%s' '{answer}'")
    home.configure({"credHelpers": {private: "demo"}} if own else {"credsStore": "demo"})
    lock_and_fetch(home, f"{private}/team/app:1.2.3", home.registry())


def test_what_keeps_an_image_from_being_locked_is_said_in_as_many_ways_as_it_can_be_helped(
    private: str, home: Home
) -> None:
    found = refusal(home, f"{private}/team/app:1.2.3")
    assert (type(found), found.hint) == (LoginNeeded, f"check the image's name, or log in: docker login {private}")

    home.configure({"auths": {private: entry("keeper:s3cret-but-wrong")}})
    found = refusal(home, f"{private}/team/app:1.2.3")
    assert (type(found), found.hint) == (WrongLogin, f"log in again: docker login {private}")

    home.configure({"credsStore": "broken"})
    home.helper("broken", "echo 's3cret trouble'")
    assert "docker-credential-broken answers with something that is no login" in str(
        refusal(home, f"{private}/team/app:1.2.3")
    )

    home.configure({"auths": {private: entry(LOGIN)}})
    found = refusal(home, f"{private}/team/app:1.9.9")
    assert (type(found), found.hint) == (UnknownTag, "tags that it has: 1.2, 1.2.3, 1.10.0")
    assert str(found) == f"{private} has no image {private}/team/app:1.9.9"

    found = refusal(home, f"{private}/team/none:1")
    assert type(found) is UnknownImage
    assert str(found).endswith(f"has no image {private}/team/none:1, nor any other of that name")


def test_a_requirement_with_bounds_becomes_the_highest_tag_of_a_private_registry(private: str, home: Home) -> None:
    home.configure({"auths": {private: entry(LOGIN)}})
    registry = home.registry()
    spec = f"{private}/team/app"
    tags = registry.tags(ImageReference.parse(spec))
    assert choose_tag(declared_oci(f"{spec}>=1.2"), tags, registry=private) == "1.10.0"
    assert choose_tag(declared_oci(f"{spec}:alpine>=1"), tags, registry=private) == "1.10.0-alpine"
    with pytest.raises(UnknownTag, match=r"has no image .*/team/app>=2") as caught:
        choose_tag(declared_oci(f"{spec}>=2"), tags, registry=private)
    assert "1.10.0" in caught.value.hint
    registry.close()


def test_a_mirror_gives_what_it_has_kept_when_the_registry_is_gone(home: Home, tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "mirror").mkdir()
    with serving_registry(tmp_path / "origin") as origin:
        digest = push(origin, "team/app", "1", layers=[LAYER], Entrypoint=["/app"])
        with serving_registry(tmp_path / "mirror", proxy_of=origin) as mirror:
            lock_and_fetch(home, f"{origin}/team/app:1", home.registry(mirrors={origin: [mirror]}))
    kept = list((tmp_path / "mirror" / "data").rglob(digest.removeprefix("sha256:")))
    assert kept, "the mirror was not asked"

    with serving_registry(tmp_path / "mirror") as mirror:
        registry = home.registry(mirrors={origin: [mirror]})
        image = registry.manifest(ImageReference.parse(f"{origin}/team/app@{digest}"))
        assert image.digest == digest
        registry.close()
        with pytest.raises(ImageUnreachable, match=f"from {origin}"):
            home.registry().manifest(ImageReference.parse(f"{origin}/team/app@{digest}"))
