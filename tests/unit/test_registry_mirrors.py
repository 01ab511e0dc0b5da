"""Mirrors of registries: who is asked, what each is told, and what is believed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import ImageReference
from hatchlock.net.registry import ImageUnreachable, LoginNeeded, NoAccess, Registry, UnknownImage
from hatchlock.net.registry_places import Places, normal_reference
from hatchlock.store.blobs import Blobs, WrongHash
from support.fake_registry import FakeRegistry, fake_registry, sha256
from support.ports import free_port

LAYER = b"layer" * 1000


@pytest.fixture
def own() -> Iterator[FakeRegistry]:
    with fake_registry() as server:
        server.image("team/app", "1", layers=[LAYER])
        yield server


@pytest.fixture
def mirror() -> Iterator[FakeRegistry]:
    with fake_registry() as server:
        yield server


def connect(tmp_path: Path, own: FakeRegistry, *mirrors: str, **options: Any) -> Registry:
    options = {"default_host": "index.example.com", "mirrors": {own.address: mirrors}, **options}
    return Registry(environ={"HOME": str(tmp_path)}, **options)


def reference(own: FakeRegistry, tail: str = "team/app:1") -> ImageReference:
    return ImageReference.parse(f"{own.address}/{tail}")


def log_in(home: Path, **logins: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    auths = {host: {"auth": base64.b64encode(login.encode()).decode()} for host, login in logins.items()}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))


def taken(registry: Registry, asked: ImageReference, digest: str) -> bytes:
    data = bytearray()
    registry.blob(asked, digest, data.extend)
    return bytes(data)


def stored(registry: Registry, asked: ImageReference, data: bytes, blobs: Blobs) -> None:
    with blobs.add(sha256(data).removeprefix("sha256:"), len(data), what="a layer") as blob:
        registry.blob(asked, sha256(data), blob.write)


def test_mirrors_are_asked_in_order_and_the_registry_only_for_what_they_lack(
    own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path
) -> None:
    digest = mirror.image("team/app", "1", layers=[b"another"])
    with fake_registry() as empty:
        registry = connect(tmp_path, own, empty.address, mirror.address)
        assert registry.manifest(reference(own)).digest == digest
        assert (len(empty.asked), len(mirror.asked), len(own.asked)) == (1, 1, 0)
        assert taken(registry, reference(own), sha256(LAYER)) == LAYER
        assert (len(empty.asked), len(mirror.asked), len(own.asked)) == (2, 2, 1)
        registry.close()


def test_a_mirror_may_have_its_images_below_a_path(own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path) -> None:
    digest = mirror.image("proxy/hub/team/app", "1", layers=[LAYER])
    registry = connect(tmp_path, own, f"{mirror.address}/proxy/hub")
    assert registry.manifest(reference(own)).digest == digest
    registry.close()


def test_the_default_registrys_mirrors_serve_short_names(mirror: FakeRegistry, tmp_path: Path) -> None:
    digest = mirror.image("library/python", "3.11", layers=[LAYER])
    registry = Registry(
        environ={"HOME": str(tmp_path)},
        default_host="index.example.com",
        mirrors={"example.com": [mirror.address]},
    )
    for name in ("python:3.11", "example.com/python:3.11", "example.com/library/python:3.11"):
        assert registry.manifest(ImageReference.parse(name)).digest == digest
    registry.close()


def test_a_mirror_that_gives_no_answer_is_asked_once_and_told_of_when_nobody_has_it(
    own: FakeRegistry, tmp_path: Path
) -> None:
    gone = f"127.0.0.1:{free_port()}"
    registry = connect(tmp_path, own, gone)
    assert registry.manifest(reference(own)).data
    with pytest.raises(UnknownImage) as caught:
        registry.manifest(reference(own, "team/app:2"))
    assert str(caught.value).startswith(f"{own.address} has no image {own.address}/team/app:2; its mirror: image ")
    assert f"{own.address}/team/app:2 cannot be fetched from {gone}: " in str(caught.value)
    registry.close()


def test_a_mirror_that_turns_away_or_fails_is_passed_over(
    own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path
) -> None:
    registry = connect(tmp_path, own, mirror.address)
    mirror.login = "me:secret"
    assert registry.manifest(reference(own)).data
    mirror.login, mirror.statuses = "", [500]
    assert registry.manifest(reference(own)).data
    mirror.denies = True
    assert registry.manifest(reference(own)).data
    assert len(own.asked) == 3
    registry.close()


@pytest.mark.parametrize("what", ["manifest", "blob", "too long"])
def test_a_mirror_with_other_bytes_than_the_digest_names_is_refused_by_name(
    own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path, what: str
) -> None:
    digest = mirror.image("team/app", "1", layers=[LAYER])
    media_type, _ = mirror.documents[f"/v2/team/app/manifests/{digest}"]
    mirror.documents[f"/v2/team/app/manifests/{digest}"] = (media_type, b"{}")
    mirror.blobs[sha256(LAYER)] = b"x" * (len(LAYER) + (what == "too long"))
    registry = connect(tmp_path, own, mirror.address)
    attempts: dict[str, Callable[[], object]] = {
        "manifest": lambda: registry.manifest(reference(own, f"team/app@{digest}")),
        "blob": lambda: taken(registry, reference(own), sha256(LAYER)),
        "too long": lambda: stored(registry, reference(own), LAYER, Blobs(tmp_path / "blobs")),
    }
    with pytest.raises(WrongHash, match=f"from {mirror.address} "):
        attempts[what]()
    assert own.asked == []
    registry.close()


@pytest.mark.parametrize("ranges", [True, False], ids=["resumed", "sent again"])
def test_where_a_mirror_breaks_off_the_registry_goes_on(
    own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path, *, ranges: bool
) -> None:
    data = bytes(range(256)) * 16_384  # more than one piece
    own.blobs[sha256(data)] = mirror.blobs[sha256(data)] = data
    own.knows_ranges = ranges
    mirror.breaks_off = True
    registry = connect(tmp_path, own, mirror.address)
    assert taken(registry, reference(own), sha256(data)) == data
    assert (len(mirror.asked), len(own.asked)) == (1, 1)
    registry.close()


def test_each_is_told_its_own_login_and_no_other(own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path) -> None:
    own.login, own.basic = "me:for-the-registry", True
    mirror.login, mirror.basic = "me:for-the-mirror", True
    log_in(tmp_path, **{own.address: own.login, mirror.address: mirror.login})
    registry = connect(tmp_path, own, mirror.address)
    assert registry.manifest(reference(own)).data
    registry.close()
    for server, other in ((own, mirror), (mirror, own)):
        said = {base64.b64decode(text.partition(" ")[2]).decode() for text in server.authorizations}
        assert said == {"", server.login}
        assert other.login not in said


def test_where_a_redirect_leads_no_login_goes_and_none_is_given_when_it_is_asked_for(
    own: FakeRegistry, tmp_path: Path
) -> None:
    own.login, own.basic = "me:secret", True
    log_in(tmp_path, **{own.address: own.login})
    registry = connect(tmp_path, own)
    with fake_registry() as storage:
        storage.blobs[sha256(LAYER)] = LAYER
        own.redirects[f"/v2/team/app/blobs/{sha256(LAYER)}"] = (
            f"http://{storage.address}/v2/team/app/blobs/{sha256(LAYER)}"
        )
        assert taken(registry, reference(own), sha256(LAYER)) == LAYER
        storage.login = "me:secret"
        for storage.basic in (True, False):
            with pytest.raises(ImageUnreachable, match="the storage that it redirects to refuses"):
                taken(registry, reference(own), sha256(LAYER))
        assert (set(storage.authorizations), storage.tokens) == ({""}, [])
    registry.close()


def test_a_redirect_in_a_circle_or_to_no_address_is_an_error(own: FakeRegistry, tmp_path: Path) -> None:
    path = "/v2/team/app/manifests/1"
    registry = connect(tmp_path, own)
    for target, words in ((path, "in a circle"), ("file:///etc/passwd", "no http"), ("http://[", "no http")):
        own.redirects[path] = target
        with pytest.raises(ImageUnreachable, match=words):
            registry.manifest(reference(own))
    registry.close()


@pytest.mark.parametrize("basic", [True, False], ids=["basic", "token"])
def test_over_plain_http_to_another_machine_no_login_is_sent(own: FakeRegistry, tmp_path: Path, *, basic: bool) -> None:
    own.login, own.basic = "me:secret", basic
    log_in(tmp_path, **{"registry.example.com": own.login})
    registry = Registry(
        environ={"HOME": str(tmp_path), "http_proxy": f"http://{own.address}"},  # answers for that machine
        default_host="index.example.com",
        plain_http=frozenset({"registry.example.com"}),
    )
    with pytest.raises(LoginNeeded, match="no login is sent over plain http") as caught:
        registry.manifest(ImageReference.parse("registry.example.com/team/app:1"))
    assert "https" in caught.value.hint
    assert own.authorizations
    assert set(own.authorizations) == {""}
    registry.close()


@pytest.mark.parametrize("realm", ["http://token.example.com/", "file:///etc/passwd", "https://", "http://["])
def test_a_token_service_that_others_could_listen_to_is_not_asked(
    own: FakeRegistry, tmp_path: Path, realm: str
) -> None:
    own.login, own.realm = "me:secret", realm
    log_in(tmp_path, **{own.address: own.login})
    registry = connect(tmp_path, own)
    with pytest.raises(ImageUnreachable, match="its token service has no https address"):
        registry.manifest(reference(own))
    registry.close()


def test_a_login_without_the_right_to_read_is_told_from_a_wrong_one(own: FakeRegistry, tmp_path: Path) -> None:
    own.login, own.denies = "me:secret", True
    log_in(tmp_path, **{own.address: own.login})
    for basic in (True, False):
        own.basic = basic
        registry = connect(tmp_path, own)
        with pytest.raises(NoAccess, match="does not let this login read") as caught:
            registry.manifest(reference(own))
        assert "ask its owner" in caught.value.hint
        registry.close()


def test_tags_come_in_pages_from_the_first_who_has_any(own: FakeRegistry, mirror: FakeRegistry, tmp_path: Path) -> None:
    for tag in ("1.1", "1.2", "latest", "old"):
        own.image("team/app", tag, layers=[LAYER])
    own.tags_at_once = 2
    registry = connect(tmp_path, own, mirror.address)
    assert registry.tags(reference(own)) == ("1", "1.1", "1.2", "latest", "old")
    assert (len(mirror.asked), len(own.asked)) == (1, 3)
    mirror.image("team/app", "2", layers=[LAYER])
    assert registry.tags(reference(own)) == ("2",)
    with pytest.raises(UnknownImage, match="nor any other of that name"):
        registry.tags(reference(own, "team/none"))
    registry.close()


def test_a_list_of_tags_that_leads_elsewhere_or_nowhere_is_an_error(own: FakeRegistry, tmp_path: Path) -> None:
    path = "/v2/team/app/tags/list"
    registry = connect(tmp_path, own)
    own.links[path] = '<http://other.example.com/v2/team/app/tags/list?last=1>; rel="next"'
    with pytest.raises(ImageUnreachable, match="goes on somewhere else"):
        registry.tags(reference(own))
    own.links[path] = f'<{path}?n=1000>; rel="next"'
    with pytest.raises(ImageUnreachable, match="has no end"):
        registry.tags(reference(own))
    registry.close()


def test_one_image_has_one_name() -> None:
    names = {"nginx", "library/nginx", "example.com/nginx", "index.example.com/library/nginx"}
    found = {str(normal_reference(ImageReference.parse(name), default_host="index.example.com")) for name in names}
    assert found == {"example.com/library/nginx"}
    assert (
        str(normal_reference(ImageReference.parse("GHCR.io/a/b:1"), default_host="index.example.com"))
        == "ghcr.io/a/b:1"
    )


def test_only_the_hosts_that_are_named_and_loopback_are_spoken_to_without_tls() -> None:
    places = Places(
        default_host="index.example.com",
        plain_http=frozenset({"lan.example.com:5000"}),
        mirrors={"example.com": ["lan.example.com:5000/hub", "mirror.example.com"]},
    )
    asked = ImageReference.parse("nginx")
    assert [(place.url, place.private) for place in (*places.mirrors(asked), places.own(asked))] == [
        ("http://lan.example.com:5000/v2/hub/library/nginx", False),
        ("https://mirror.example.com/v2/library/nginx", True),
        ("https://index.example.com/v2/library/nginx", True),
    ]
    assert places.own(ImageReference.parse("[::1]:5000/x")).url == "http://[::1]:5000/v2/x"
