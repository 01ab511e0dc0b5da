from __future__ import annotations

import hashlib
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatchlock.net.credentials import Credentials
from hatchlock.net.http import Http, Refused, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.net.trust import BadCertificates, proxy_for
from support.index import Release, serving
from support.ports import free_port

QUICK = Patience(back_off=0.01)


def test_an_answer_has_status_headers_in_lower_case_and_the_body() -> None:
    with serving(Release(name="thing", version="1.0")) as index, Http(environ={}) as http:
        answer = http.get(f"{index.url}thing/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.pypi.simple.v1+json"
    assert answer.data.startswith(b"{")


def test_a_client_error_is_an_answer_and_checking_it_raises() -> None:
    with serving() as index, Http(environ={}) as http:
        answer = http.get(f"{index.url}nothing/")
        assert answer.status == 404
        with pytest.raises(Unreachable, match="HTTP 404"):
            answer.checked()


def test_a_server_error_is_tried_again() -> None:
    with serving(Release(name="thing", version="1.0")) as index, Http(environ={}, patience=QUICK) as http:
        index.failures["/simple/thing/"] = 2
        assert http.get(f"{index.url}thing/").status == 200
    assert len(index.asked_for("/simple/thing/")) == 3


def test_a_server_error_that_stays_is_reported() -> None:
    with serving() as index, Http(environ={}, patience=QUICK) as http:
        index.failures["/simple/thing/"] = 99
        with pytest.raises(Unreachable, match="HTTP 503"):
            http.get(f"{index.url}thing/")


def test_nobody_listening_is_unreachable_and_says_where_without_the_password() -> None:
    url = f"http://user:geheim@127.0.0.1:{free_port()}/simple/"
    with Http(environ={}, patience=QUICK) as http, pytest.raises(Unreachable) as caught:
        http.get(url)
    assert "127.0.0.1" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "proxy" in caught.value.hint


def test_a_host_is_looked_up_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    real = socket.getaddrinfo

    def counting(host: str | None, port: int | None, *args: int, **more: int) -> object:
        if host == "index.example.com":
            asked.append(host)
            # the first address has nobody listening
            return [*real("127.0.0.2", port, *args, **more), *real("127.0.0.1", port, *args, **more)]
        return real(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", counting)
    with serving(Release(name="thing", version="1.0")) as index, Http(environ={}) as http:
        url = index.url.replace("127.0.0.1", "index.example.com") + "thing/"
        with ThreadPoolExecutor(8) as pool:
            assert [answer.status for answer in pool.map(http.get, [url] * 16)] == [200] * 16
    assert len(asked) == 1


def test_a_name_that_does_not_resolve_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    with Http(environ={}) as http, pytest.raises(Unreachable, match=r"index\.example\.com does not resolve"):
        http.get("http://index.example.com/")


def test_offline_asks_nobody() -> None:
    with serving(Release(name="thing", version="1.0")) as index, Http(environ={}, offline=True) as http:
        with pytest.raises(Unreachable, match="--offline"):
            http.get(f"{index.url}thing/")
        assert index.asked == []


def test_a_byte_range_is_both_ends_inclusive() -> None:
    release = Release(name="thing", version="1.0")
    with serving(release) as index, Http(environ={}) as http:
        url = f"{index.url}../files/{release.file_name}"
        assert http.get(url, byte_range=(2, 5)).data == release.data[2:6]
        assert http.get(url, byte_range=(-7, None)).data == release.data[-7:]
        index.ranges = False
        whole = http.get(url, byte_range=(2, 5))
    assert not whole.partial
    assert whole.data == release.data


def test_a_download_hands_over_every_byte() -> None:
    release = Release(name="thing", version="1.0", padding=700_000)
    digest = hashlib.sha256()
    with serving(release) as index, Http(environ={}) as http:
        size = http.download(f"{index.url}../files/{release.file_name}", digest.update)
    assert size == len(release.data)
    assert digest.hexdigest() == hashlib.sha256(release.data).hexdigest()


def test_a_download_that_is_not_there_gives_the_sink_nothing() -> None:
    pieces: list[bytes] = []
    with serving() as index, Http(environ={}) as http, pytest.raises(Unreachable, match="404"):
        http.download(f"{index.url}../files/none.whl", pieces.append)
    assert pieces == []


def test_a_sink_that_fails_does_not_spoil_the_next_request() -> None:
    release = Release(name="thing", version="1.0", padding=2_000_000)

    def full(_: bytes) -> None:
        raise OSError("disk full")

    with serving(release) as index, Http(environ={}, threads=1) as http:
        with pytest.raises(OSError, match="disk full"):
            http.download(f"{index.url}../files/{release.file_name}", full)
        assert http.get(f"{index.url}thing/").status == 200


def test_credentials_come_from_netrc(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password geheim\n")
    (tmp_path / ".netrc").chmod(0o600)
    with serving(Release(name="thing", version="1.0"), login=("anna", "geheim")) as index:
        with Http(environ={}) as http, pytest.raises(Refused, match="401") as caught:
            http.get(f"{index.url}thing/").checked()
        with Http(environ={"HOME": str(tmp_path)}) as http:
            assert http.get(f"{index.url}thing/").status == 200
    assert "netrc" in caught.value.hint


def test_credentials_in_an_address_are_kept_for_its_host_and_port_only() -> None:
    credentials = Credentials({})
    assert credentials.learn("https://anna:a%40b@example.com/simple/") == "https://example.com/simple/"
    assert credentials.authorization("https://example.com/files/x") == "Basic YW5uYTphQGI="
    assert credentials.authorization("https://example.com:8443/files/x") is None
    assert credentials.authorization("https://example.org/simple/") is None


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://example.com/", {}, ""),
        ("https://example.com/", {"HTTPS_PROXY": "http://proxy.example.org:3128"}, "http://proxy.example.org:3128"),
        ("https://example.com/", {"https_proxy": "proxy.example.org:3128"}, "http://proxy.example.org:3128"),
        ("http://example.com/", {"HTTPS_PROXY": "http://proxy.example.org"}, ""),
        ("http://example.com/", {"ALL_PROXY": "http://proxy.example.org"}, "http://proxy.example.org"),
        ("https://a.example.com/", {"HTTPS_PROXY": "p", "NO_PROXY": "example.com"}, ""),
        ("https://a.example.com/", {"HTTPS_PROXY": "p", "NO_PROXY": " .example.com ,b"}, ""),
        ("https://anexample.com/", {"HTTPS_PROXY": "p", "NO_PROXY": "example.com"}, "http://p"),
        ("https://example.com:8443/", {"HTTPS_PROXY": "p", "NO_PROXY": "example.com:8443"}, ""),
        ("https://example.com:8444/", {"HTTPS_PROXY": "p", "NO_PROXY": "example.com:8443"}, "http://p"),
        ("https://example.com/", {"HTTPS_PROXY": "p", "NO_PROXY": "*"}, ""),
        ("https://example.com/", {"HTTPS_PROXY": "p", "NO_PROXY": ""}, "http://p"),
    ],
)
def test_the_proxy_is_the_one_of_the_scheme_unless_the_host_is_excepted(
    url: str, environ: dict[str, str], proxy: str
) -> None:
    assert proxy_for(url, environ) == proxy


def test_requests_go_through_the_proxy() -> None:
    release = Release(name="thing", version="1.0")
    with serving(release) as proxy:
        address = proxy.url.removesuffix("/simple/")
        with Http(environ={"HTTP_PROXY": address}) as http:
            http.get("http://index.example.com/simple/thing/")
    assert proxy.asked == ["http://index.example.com/simple/thing/"]


def test_a_ca_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    with Http(environ={"SSL_CERT_FILE": str(missing)}) as http, pytest.raises(BadCertificates) as caught:
        http.get("https://127.0.0.1:1/")
    assert str(missing) in str(caught.value)
    assert "SSL_CERT_FILE" in caught.value.hint
