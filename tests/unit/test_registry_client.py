"""The registry client: what it asks, what it believes, and what it says when it fails."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.address import ImageReference
from hatchlock.net.docker_credentials import BadDockerConfig, Credentials, Lookup, find_login
from hatchlock.net.registry import ImageUnreachable, LoginNeeded, Registry, UnknownImage, WrongLogin
from hatchlock.net.trust import BadCertificates
from hatchlock.store.blobs import WrongHash
from support.fake_registry import FakeRegistry, fake_registry, sha256
from support.faulty import Answer, answering, flood, reply
from support.ports import free_port


@pytest.fixture
def server() -> Iterator[FakeRegistry]:
    with fake_registry() as state:
        state.image("team/app", "1.0", layers=[b"layer"])
        yield state


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin") + ":/usr/bin:/bin"}


@pytest.fixture
def client(environ: dict[str, str]) -> Iterator[Registry]:
    registry = Registry(environ=environ, default_host="index.example.com")
    yield registry
    registry.close()


def reference(server: FakeRegistry, tail: str = "team/app:1.0") -> ImageReference:
    return ImageReference.parse(f"{server.address}/{tail}")


def write_config(home: Path, config: object) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps(config))


def auth(login: str) -> dict[str, str]:
    return {"auth": base64.b64encode(login.encode()).decode()}


def test_a_manifest_comes_with_its_digest_and_type(server: FakeRegistry, client: Registry) -> None:
    manifest = client.manifest(reference(server))
    assert manifest.digest == sha256(manifest.data)
    assert client.manifest(reference(server, f"team/app@{manifest.digest}")) == manifest


def test_a_manifest_with_another_digest_than_asked_for_is_refused(server: FakeRegistry, client: Registry) -> None:
    wrong = f"sha256:{'0' * 64}"
    server.documents[f"/v2/team/app/manifests/{wrong}"] = server.documents["/v2/team/app/manifests/1.0"]
    with pytest.raises(WrongHash, match=server.address):
        client.manifest(reference(server, f"team/app@{wrong}"))


def test_a_blob_that_was_changed_is_refused(server: FakeRegistry, client: Registry) -> None:
    server.blobs[sha256(b"layer")] = b"other"
    with pytest.raises(WrongHash):
        client.blob(reference(server), sha256(b"layer"), bytearray().extend)


def test_an_image_that_is_not_there_is_named(server: FakeRegistry, client: Registry) -> None:
    with pytest.raises(UnknownImage, match=r"team/none:2") as caught:
        client.manifest(reference(server, "team/none:2"))
    assert "check its name" in caught.value.hint


def test_a_registry_that_does_not_answer_is_named_with_the_reason(client: Registry) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ImageUnreachable, match=rf"from {address}: .*refused"):
        client.manifest(ImageReference.parse(f"{address}/team/app"))


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("env:time", 'runtime = "process" needs none'),
        ("server:shop", "hatchlock remove shop"),
        ("", "that this machine reaches it"),
    ],
)
def test_what_helps_when_it_is_out_of_reach_depends_on_what_it_is_for(address: str, hint: str) -> None:
    error = ImageUnreachable(image="x/y:1", registry="x", why="refused", address=address)
    assert error.hint.endswith(hint)


def test_something_that_is_no_manifest_is_refused(server: FakeRegistry, client: Registry) -> None:
    server.documents["/v2/team/app/manifests/1.0"] = ("text/html", b"<html>")
    with pytest.raises(ImageUnreachable, match="text/html"):
        client.manifest(reference(server))


@pytest.mark.parametrize(
    "answer",
    [
        flood(1 << 33, Content_Type="application/vnd.oci.image.manifest.v1+json"),
        flood(1 << 33, status=302, Location="/elsewhere"),
        flood(1 << 33, status=401, WWW_Authenticate='Basic realm="x"'),
    ],
)
def test_what_is_not_wanted_of_an_answer_is_not_read(answer: Answer, client: Registry) -> None:
    """A registry, or a mirror of it, that goes on sending would fill the memory."""
    with answering(answer, reply(404)) as server:
        host = server.url.removeprefix("http://").rstrip("/")
        with pytest.raises((ImageUnreachable, UnknownImage, LoginNeeded)):
            client.manifest(ImageReference.parse(f"{host}/team/app:1.0"))
        assert server.flooded < 32 << 20


def test_a_passing_failure_is_tried_again(server: FakeRegistry, client: Registry) -> None:
    server.statuses = [503]
    assert client.manifest(reference(server)).data


def test_a_lasting_failure_is_reported(server: FakeRegistry, client: Registry) -> None:
    server.statuses = [500]
    with pytest.raises(ImageUnreachable, match="status 500"):
        client.manifest(reference(server))


def test_offline_nothing_is_asked(server: FakeRegistry, environ: dict[str, str]) -> None:
    with pytest.raises(ImageUnreachable, match="--offline"):
        Registry(environ=environ, default_host="index.example.com", offline=True).manifest(reference(server))
    assert server.asked == []


def test_a_token_is_got_with_the_users_login_and_kept(server: FakeRegistry, client: Registry, tmp_path: Path) -> None:
    server.login = "me:secret"
    write_config(tmp_path, {"auths": {server.address: auth("me:secret")}})
    client.manifest(reference(server))
    client.blob(reference(server), sha256(b"layer"), bytearray().extend)
    assert server.tokens == [{"service": ["fake"], "scope": ["repository:team/app:pull"]}]


def test_basic_authorization_is_given_where_it_is_asked_for(
    server: FakeRegistry, client: Registry, tmp_path: Path
) -> None:
    server.login, server.basic = "me:secret", True
    write_config(tmp_path, {"auths": {server.address: auth("me:secret")}})
    assert client.manifest(reference(server)).data


@pytest.mark.parametrize("basic", [False, True], ids=["token", "basic"])
def test_no_login_and_a_wrong_one_are_two_errors_that_say_how_to_log_in_and_no_secret(
    server: FakeRegistry, environ: dict[str, str], tmp_path: Path, *, basic: bool
) -> None:
    server.login, server.basic = "me:secret", basic
    for config, expected in (({}, LoginNeeded), ({server.address: auth("me:wrong-secret")}, WrongLogin)):
        write_config(tmp_path, {"auths": config})
        registry = Registry(environ=environ, default_host="index.example.com")
        with pytest.raises(expected) as caught:
            registry.manifest(reference(server))
        registry.close()
        assert caught.value.hint.endswith(f"docker login {server.address}")
        assert "secret" not in f"{caught.value!r}{caught.value}{caught.value.hint}"


def test_an_identity_token_is_exchanged(server: FakeRegistry, client: Registry, tmp_path: Path) -> None:
    server.login = "me:secret"
    write_config(tmp_path, {"auths": {server.address: {"identitytoken": "long-lived"}}})
    assert client.manifest(reference(server)).data
    assert server.tokens[0]["refresh_token"] == ["long-lived"]


def test_other_hosts_are_reached_through_the_users_proxy(server: FakeRegistry, environ: dict[str, str]) -> None:
    server.image("team/app", "1.0", layers=[b"layer"])
    asked = ImageReference.parse("registry.example.com/team/app:1.0")
    environ |= {"HTTP_PROXY": f"http://{server.address}", "NO_PROXY": "other.example.com"}
    registry = Registry(environ=environ, default_host="x", plain_http=frozenset({"registry.example.com"}))
    assert registry.manifest(asked).data
    registry.close()


def test_certificates_that_cannot_be_read_are_named(environ: dict[str, str]) -> None:
    registry = Registry(environ={**environ, "REQUESTS_CA_BUNDLE": "/none/ca.pem"}, default_host="x")
    with pytest.raises(BadCertificates, match=r"/none/ca\.pem cannot be used: No such file"):
        registry.manifest(ImageReference.parse("registry.example.com/team/app"))


def test_an_answer_that_breaks_off_is_not_taken_for_a_layer(server: FakeRegistry, client: Registry) -> None:
    server.breaks_off = True
    server.blobs[sha256(b"layer" * 1000)] = b"layer" * 1000
    with pytest.raises(ImageUnreachable, match="IncompleteRead"):
        client.blob(reference(server), sha256(b"layer" * 1000), bytearray().extend)


def test_short_names_belong_to_the_default_registrys_library(server: FakeRegistry, environ: dict[str, str]) -> None:
    digest = server.image("library/python", "3.11", layers=[b"x"])
    registry = Registry(environ=environ, default_host=server.address)
    assert registry.manifest(ImageReference.parse("python:3.11")).digest == digest
    registry.close()


def test_credentials_come_from_a_helper_of_the_host(tmp_path: Path, environ: dict[str, str]) -> None:
    helper = tmp_path / "bin" / "docker-credential-demo"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username": "me", "Secret": "for %s"}\' "$host"\n')
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    write_config(
        tmp_path, {"credHelpers": {"registry.example.com": "demo"}, "auths": {"other.example.com": auth("a:b")}}
    )
    found = find_login("registry.example.com", environ)
    assert found == Lookup(credentials=Credentials(user="me", password="for registry.example.com"))
    assert "for registry" not in repr(found)
    assert find_login("other.example.com", environ).credentials == Credentials(user="a", password="b")
    assert find_login("third.example.com", environ) == Lookup()


def test_a_helper_that_is_missing_is_as_if_there_were_no_login(tmp_path: Path, environ: dict[str, str]) -> None:
    write_config(tmp_path, {"credsStore": "not-installed"})
    found = find_login("registry.example.com", environ)
    assert (found.credentials, found.problem) == (None, "docker-credential-not-installed could not be asked")


def test_a_docker_config_that_is_no_json_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")
    with pytest.raises(BadDockerConfig, match=r"\.docker/config\.json"):
        find_login("registry.example.com", environ)
