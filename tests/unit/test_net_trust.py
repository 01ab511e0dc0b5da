from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hatchlock.net.trust import child_environment
from support.faulty import answering, certificate, reply


def test_nothing_else_of_the_environment_leaks() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/root",
        "UV_PUBLISH_TOKEN": "geheim",
        "NPM_TOKEN": "geheim",
        "https_proxyx": "x",
    }
    assert child_environment(environ) == {}


@pytest.mark.parametrize("given", ["HTTPS_PROXY", "https_proxy"])
def test_proxies_are_given_in_both_cases(given: str) -> None:
    child = child_environment({given: "http://proxy.example.org:3128", "no_proxy": "localhost"})
    assert child == {
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "https_proxy": "http://proxy.example.org:3128",
        "NO_PROXY": "localhost",
        "no_proxy": "localhost",
    }


@pytest.mark.parametrize(
    "given", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"]
)
def test_one_bundle_is_given_under_every_name(given: str) -> None:
    names = [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
    ]
    assert child_environment({given: "/ca.pem"}) == dict.fromkeys(names, "/ca.pem")


def test_what_the_user_set_stays_and_an_added_bundle_is_no_whole_one() -> None:
    child = child_environment({"GIT_SSL_CAINFO": "/git.pem", "SSL_CERT_FILE": "/ca.pem", "UV_NATIVE_TLS": "true"})
    assert (child["GIT_SSL_CAINFO"], child["PIP_CERT"], child["UV_NATIVE_TLS"]) == ("/git.pem", "/ca.pem", "true")
    assert child_environment({"NODE_EXTRA_CA_CERTS": "/more.pem"}) == {"NODE_EXTRA_CA_CERTS": "/more.pem"}
    assert child_environment({"SSL_CERT_DIR": "/certs"}) == {"SSL_CERT_DIR": "/certs", "GIT_SSL_CAPATH": "/certs"}


_ASK_WITH_NODE = "require('https').get(process.argv[1], r => r.on('data', d => process.stdout.write(d)))"


@pytest.mark.parametrize("program", ["git", "node"])
def test_children_trust_what_we_were_told_to_trust(tmp_path: Path, program: str) -> None:
    cert, context = certificate(tmp_path)
    child = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    told = child | child_environment({"REQUESTS_CA_BUNDLE": str(cert)})
    ref = b"1" * 40 + b" refs/heads/main\0agent=test\n"
    refs = b"001e# service=git-upload-pack\n0000" + f"{len(ref) + 4:04x}".encode() + ref + b"0000"
    kind = "application/x-git-upload-pack-advertisement"
    with answering(reply(body=refs, Content_Type=kind), tls=context) as server:
        command = ["git", "ls-remote", server.url] if program == "git" else ["node", "-e", _ASK_WITH_NODE, server.url]
        trusting = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)
        assert "refs/heads/main" in trusting.stdout, trusting.stderr
        assert subprocess.run(command, env=child, capture_output=True, timeout=60, check=False).returncode != 0
