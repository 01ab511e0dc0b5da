"""What users' .npmrc files say."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from hatchlock.sources.npm.npmrc import BadNpmrc, Npmrc, read_npmrc
from hatchlock.sources.npm.program import NpmNotFound, find_npm


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """A user's environment with its own home and system."""
    for name in ("home", "project", "system/etc"):
        (tmp_path / name).mkdir(parents=True)
    return {"HOME": str(tmp_path / "home"), "PREFIX": str(tmp_path / "system"), "PATH": os.environ["PATH"]}


def write(path: Path, *lines: str) -> None:
    path.write_text("\n".join(lines) + "\n")


def test_the_project_goes_before_the_user_and_the_user_before_the_system(
    machine: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "system/etc/npmrc", "registry=https://system.example.com", "cafile=/ca.pem")
    assert read_npmrc(machine).registry == "https://system.example.com/"
    write(tmp_path / "home/.npmrc", "registry = https://user.example.com/npm")
    assert read_npmrc(machine, tmp_path / "project").registry == "https://user.example.com/npm/"
    write(tmp_path / "project/.npmrc", "registry=https://project.example.com/")
    found = read_npmrc(machine, tmp_path / "project")
    assert (found.registry, found.cafile) == ("https://project.example.com/", "/ca.pem")


@pytest.mark.parametrize("name", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_a_variable_goes_first(machine: dict[str, str], tmp_path: Path, name: str) -> None:
    write(tmp_path / "project/.npmrc", "registry=https://project.example.com/")
    found = read_npmrc(machine | {name: "https://variable.example.com"}, tmp_path / "project")
    assert found.registry == "https://variable.example.com/"


def test_a_variable_may_name_the_users_file(machine: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "other", "@acme:registry=https://npm.acme.example.com")
    assert read_npmrc(machine | {"NPM_CONFIG_USERCONFIG": str(tmp_path / "other")}).scopes == {
        "@acme": "https://npm.acme.example.com/"
    }


def test_the_same_is_read_as_by_npm_itself(machine: dict[str, str], tmp_path: Path) -> None:
    write(
        tmp_path / "home/.npmrc",
        "; a comment",
        "registry = https://${HOST}/npm/  ; behind it another",
        '@acme:registry="https://acme.example.com/"',
        "@other:registry=https://${MISSING?}other.example.com/ # more",
        "cafile='/some where/ca.pem'",
        "[section]",
        "registry = https://section.example.com",
    )
    environ = machine | {"HOST": "host.example.com"}
    found = read_npmrc(environ)
    npm = find_npm(environ)
    keys = ["registry", "@acme:registry", "@other:registry"]
    output = subprocess.run(
        [*npm.argv, "config", "get", *keys],
        env={**environ, "npm_config_cache": str(tmp_path / "cache"), "npm_config_globalconfig": str(tmp_path / "none")},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    said = dict(line.split("=", 1) for line in output.stdout.split())
    assert said == {"registry": found.registry, **{f"{key}:registry": url for key, url in found.scopes.items()}}
    assert found.cafile == "/some where/ca.pem"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_credentials_of_the_longest_path_are_taken(machine: dict[str, str], tmp_path: Path) -> None:
    write(
        tmp_path / "home/.npmrc",
        "//npm.example.com/:_authToken=${NPM_TOKEN}",
        "//npm.example.com/team/:_auth=" + base64.b64encode(b"anna:geheim").decode(),
        "//npm.example.com/team/deep:username=bob",
        "//npm.example.com/team/deep:_password=" + base64.b64encode(b"pw:1").decode(),
        "//npm.example.com:8443/:_authToken=other-port",
        "//unset.example.com/:_authToken=${NOT_SET}",
    )
    found = read_npmrc(machine | {"NPM_TOKEN": "t0ken"})
    assert found.authorization("https://npm.example.com/zod") == "Bearer t0ken"
    assert found.authorization("https://NPM.example.com:443/zod") == "Bearer t0ken"
    assert found.authorization("https://npm.example.com/team/zod") == basic("anna:geheim")
    assert found.authorization("https://npm.example.com/team/deep/zod/-/zod-1.0.0.tgz") == basic("bob:pw:1")
    assert found.authorization("https://npm.example.com/teams/zod") == "Bearer t0ken"
    assert found.authorization("https://npm.example.com:8443/zod") == "Bearer other-port"
    assert found.authorization("https://other.example.com/zod") is None
    assert found.authorization("https://unset.example.com/zod") is None


def test_credentials_go_over_plain_http_to_loopback_only(machine: dict[str, str], tmp_path: Path) -> None:
    write(
        tmp_path / "home/.npmrc",
        *(f"//{host}/:_authToken=t0ken" for host in ("npm.example.com", "127.0.0.1:4873", "localhost", "[::1]:4873")),
    )
    found = read_npmrc(machine)
    assert found.authorization("http://npm.example.com/zod") is None
    for address in ("http://127.0.0.1:4873/zod", "http://localhost/zod", "http://[::1]:4873/zod"):
        assert found.authorization(address) == "Bearer t0ken", address


def test_credentials_are_never_shown() -> None:
    assert "geheim" not in repr(Npmrc(_settings={"//npm.example.com/:_authToken": "geheim"}))


def test_a_file_that_cannot_be_read_is_named(machine: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home/.npmrc").write_bytes(b"registry=\xff\xfe")
    with pytest.raises(BadNpmrc, match=r"home/\.npmrc") as caught:
        read_npmrc(machine)
    assert caught.value.hint


def test_without_any_setting_npm_itself_is_asked(machine: dict[str, str]) -> None:
    assert read_npmrc(machine) == Npmrc()
    assert find_npm(machine).default_registry().startswith("https://")


def test_what_anybody_writes_into_the_temporary_directory_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package.json").write_text('{"workspaces": ["*"]}')
    (tmp_path / ".npmrc").write_text("registry=http://127.0.0.1:1/\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert find_npm(os.environ).default_registry().startswith("https://")


def test_without_npm_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(NpmNotFound, match="npm") as caught:
        find_npm({"PATH": str(tmp_path)})
    assert "Node.js" in caught.value.hint
