"""Pushing: what is sent, in which order, with whose login, and what is said when it fails."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.address import ImageReference
from hatchlock.images.packed import PROVENANCE, PROVENANCE_ANNOTATION, Packed, pack
from hatchlock.images.pushing import Pushed, push_image
from hatchlock.net.registry_errors import ImageUnreachable, LoginNeeded, NoAccess, WrongLogin
from hatchlock.net.registry_push import Pusher, PushRefused
from support.made_images import made_image
from support.ports import free_port
from support.push_registry import PushRegistry, push_registry

LOGIN = "keeper:s3cret-pass"


@pytest.fixture
def server() -> Iterator[PushRegistry]:
    with push_registry() as state:
        yield state


@pytest.fixture
def pusher(tmp_path: Path) -> Iterator[Pusher]:
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    made = Pusher(environ=environ, default_host="index.example.com")
    yield made
    made.close()


@pytest.fixture
def image(tmp_path: Path) -> Packed:
    return pack([made_image(tmp_path / "image")])


def push(server: PushRegistry, pusher: Pusher, image: Packed, tag: str = ":1") -> Pushed:
    return push_image(image, ImageReference.parse(f"{server.address}/team/app{tag}"), pusher=pusher)


def log_in(home: Path, login: str = LOGIN, *, server: PushRegistry) -> None:
    (home / ".docker").mkdir()
    auths = {server.address: {"auth": base64.b64encode(login.encode()).decode()}}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))


def test_everything_is_there_by_digest_and_by_tag(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    done = push(server, pusher, image)
    assert done.reference == f"{server.address}/team/app@{image.top.digest}"
    assert server.manifests["1"] == server.manifests[image.top.digest] == (image.top.media_type, image.top.data)
    assert set(server.blobs) == {blob.digest for blob in image.blobs}
    assert (done.blobs, done.size) == (3, sum(blob.size for blob in image.blobs))


def test_a_second_push_sends_nothing(server: PushRegistry, pusher: Pusher, tmp_path: Path) -> None:
    image = pack([made_image(tmp_path / "image", provenance=b"{}")])
    push(server, pusher, image)
    before = server.written
    again = push(server, pusher, image)
    assert (again.blobs, again.size, again.documents, server.written) == (0, 0, 0, before)


def test_only_missing_layers_are_sent(server: PushRegistry, pusher: Pusher, image: Packed, tmp_path: Path) -> None:
    push(server, pusher, image)
    other = pack([made_image(tmp_path / "other", ours=b"other" + bytes(1019))])
    done = push(server, pusher, other, ":2")
    assert done.blobs == 2  # the config, and the one layer that changed
    assert server.manifests["1"][1] == image.top.data


def test_without_a_tag_there_is_only_the_digest(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    push(server, pusher, image, "")
    assert set(server.manifests) == {image.top.digest}


def test_several_platforms_are_one_index(server: PushRegistry, pusher: Pusher, tmp_path: Path) -> None:
    image = pack([made_image(tmp_path / name, architecture=name) for name in ("arm64", "amd64")])
    push(server, pusher, image)
    listed = server.document("1")["manifests"]
    assert [item["platform"]["architecture"] for item in listed] == ["amd64", "arm64"]
    assert all(item["digest"] in server.manifests for item in listed)


@pytest.mark.parametrize("lists", [True, False])
def test_a_statement_is_found_from_the_image(lists: bool, server: PushRegistry, pusher: Pusher, tmp_path: Path) -> None:
    """By a registry that lists what refers to a manifest, else by the specification's tag."""
    server.lists_referrers = lists
    image = pack([made_image(tmp_path / "image", provenance=b'{"_type": "statement"}')])
    push(server, pusher, image)
    (attached,) = image.attached
    artefact = server.document(attached.manifest.digest)
    assert artefact["subject"]["digest"] == image.top.digest
    assert artefact["artifactType"] == PROVENANCE
    (statement,) = artefact["layers"]
    assert server.blobs[statement["digest"]] == b'{"_type": "statement"}'
    assert server.document("1")["annotations"][PROVENANCE_ANNOTATION] == statement["digest"]
    tag = image.top.digest.replace(":", "-")
    assert (tag in server.manifests) is not lists
    if not lists:
        assert [item["digest"] for item in server.document(tag)["manifests"]] == [attached.manifest.digest]


def test_what_others_say_of_an_image_stays_listed(server: PushRegistry, pusher: Pusher, tmp_path: Path) -> None:
    image = pack([made_image(tmp_path / "image", provenance=b"{}")])
    tag = image.top.digest.replace(":", "-")
    other = {"digest": f"sha256:{'1' * 64}", "mediaType": "x", "size": 1}
    server.manifests[tag] = ("application/vnd.oci.image.index.v1+json", json.dumps({"manifests": [other]}).encode())
    server.blobs[other["digest"]] = b""  # type: ignore[index]
    push(server, pusher, image)
    assert [item["digest"] for item in server.document(tag)["manifests"]] == [
        other["digest"],
        image.attached[0].manifest.digest,
    ]


@pytest.mark.parametrize("says_scope", [True, False])
def test_the_login_is_that_of_docker(
    says_scope: bool, server: PushRegistry, pusher: Pusher, image: Packed, tmp_path: Path
) -> None:
    """A token that is good for pulling does not do for pushing: another one is asked for."""
    server.login, server.says_scope = LOGIN, says_scope
    log_in(tmp_path, server=server)
    push(server, pusher, image)
    assert server.scopes[-1] == "repository:team/app:pull,push"
    assert image.top.digest in server.manifests


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_credential_helper_is_asked(
    key: str, server: PushRegistry, pusher: Pusher, image: Packed, tmp_path: Path
) -> None:
    server.login = LOGIN
    helper = tmp_path / "bin" / "docker-credential-vault"
    helper.parent.mkdir()
    secret = json.dumps({"Username": "keeper", "Secret": "s3cret-pass"})
    helper.write_text(f"#!/bin/sh\nread host\ntest \"$1 $host\" = 'get {server.address}' && echo '{secret}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    (tmp_path / ".docker").mkdir()
    config = {"credsStore": "vault"} if key == "credsStore" else {"credHelpers": {server.address: "vault"}}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
    push(server, pusher, image)
    assert image.top.digest in server.manifests


def test_without_a_login_it_says_how_to_get_one(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.login = LOGIN
    with pytest.raises(LoginNeeded, match="wants a login of whoever pushes") as caught:
        push(server, pusher, image)
    assert f"docker login {server.address}" in caught.value.hint


def test_a_wrong_login_is_said(server: PushRegistry, pusher: Pusher, image: Packed, tmp_path: Path) -> None:
    server.login = LOGIN
    log_in(tmp_path, "keeper:old", server=server)
    with pytest.raises(WrongLogin, match="cannot be pushed"):
        push(server, pusher, image)


def test_a_login_that_may_not_push_is_said(server: PushRegistry, pusher: Pusher, image: Packed, tmp_path: Path) -> None:
    server.login, server.denies = LOGIN, True
    log_in(tmp_path, server=server)
    with pytest.raises(NoAccess, match="does not let this login push") as caught:
        push(server, pusher, image)
    assert "right to push" in caught.value.hint


def test_a_full_disk_is_said_in_the_registrys_words(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.faults["PUT uploads"] = [(507, "UNKNOWN")] * 9
    with pytest.raises(PushRefused, match=r"status 507.*UNKNOWN as the test wants it") as caught:
        push(server, pusher, image)
    assert "disk may be full" in caught.value.hint
    assert server.manifests == {}


def test_bytes_that_change_on_the_way_are_said(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.corrupts = True
    with pytest.raises(PushRefused, match="DIGEST_INVALID") as caught:
        push(server, pusher, image)
    assert "other bytes than were sent" in caught.value.hint


def test_an_upload_that_breaks_off_is_begun_again(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.faults["PUT uploads"] = [(0, ""), (404, "BLOB_UPLOAD_UNKNOWN")]
    push(server, pusher, image)
    assert server.asked["POST uploads"] == 5
    assert set(server.blobs) == {blob.digest for blob in image.blobs}


def test_a_registry_that_breaks_off_every_time_is_named(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.faults["PUT uploads"] = [(0, "")] * 9
    with pytest.raises(ImageUnreachable, match=f"cannot be pushed to {server.address}") as caught:
        push(server, pusher, image)
    assert "not sent twice" in caught.value.hint
    assert server.manifests == {}


def test_a_registry_that_does_not_answer_is_named(pusher: Pusher, image: Packed) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ImageUnreachable, match=rf"pushed to {address}: .*refused"):
        push_image(image, ImageReference.parse(f"{address}/team/app:1"), pusher=pusher)


def test_another_host_that_takes_uploads_is_told_no_login(
    server: PushRegistry, pusher: Pusher, image: Packed, tmp_path: Path
) -> None:
    server.login = LOGIN
    log_in(tmp_path, server=server)
    with push_registry() as storage:
        server.elsewhere = storage.address
        server.blobs = storage.blobs
        push(server, pusher, image)
        assert storage.asked["PUT uploads"] == 3
        assert set(storage.authorizations) == {""}


@pytest.mark.parametrize("elsewhere", ["[::1", "x:99999999", "x:y"])
def test_a_place_for_uploads_that_is_no_address_is_refused(
    server: PushRegistry, pusher: Pusher, image: Packed, elsewhere: str
) -> None:
    server.elsewhere = elsewhere
    with pytest.raises(ImageUnreachable, match="it does not say where a layer is to be sent") as caught:
        push(server, pusher, image)
    assert "state=" not in str(caught.value)


def test_words_of_a_registry_are_one_line(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.faults["PUT manifests"] = [(400, "DENIED\n\nhint: run this" + "x" * 5000)]
    with pytest.raises(PushRefused, match="DENIED hint: run this") as caught:
        push(server, pusher, image)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1300


def test_a_manifest_that_is_refused_is_said(server: PushRegistry, pusher: Pusher, image: Packed) -> None:
    server.faults["PUT manifests"] = [(400, "MANIFEST_INVALID")]
    with pytest.raises(PushRefused, match=r"does not take the manifest .*MANIFEST_INVALID"):
        push(server, pusher, image)
