"""The user's credentials for registries, from where `docker login` puts them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import read_optional
from hatchlock.process import ProcessFailed, run

__all__ = ["BadDockerConfig", "Credentials", "docker_config", "find_credentials"]

_TOKEN_USER = "<token>"  # noqa: S105  the helpers' word for "this secret is an identity token"
_HELPER_SECONDS = 20.0


@dataclass(kw_only=True, eq=False)
class BadDockerConfig(HatchlockError):
    """The file of the user's registry credentials is not what `docker login` writes."""

    code: ClassVar[str] = "bad-docker-config"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.why}"

    def _hint(self) -> str:
        return "mend the file, or point DOCKER_CONFIG to another directory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """How to log in: user and password, or an identity token."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


def docker_config(environ: Mapping[str, str]) -> Path:
    """Return the directory of the Docker client's configuration: `$DOCKER_CONFIG`, else `~/.docker`."""
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"])
    return Path(environ.get("HOME") or Path.home()) / ".docker"


def find_credentials(host: str, environ: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for a registry, or None: a helper of its own, then the store, then what the file holds.

    Args:
        host: `host[:port]`.
        environ: The user's; helpers (`docker-credential-NAME get`) run in it.

    Raises:
        BadDockerConfig: The file is not JSON of that form.
        PermissionProblem: The file cannot be read.
    """
    path = docker_config(environ) / "config.json"
    config = _load(path)
    for name in _names(host):
        helper = config.get("credHelpers", {}).get(name) or config.get("credsStore")
        found = _from_helper(helper, name, environ) if helper else None
        if found is None and isinstance(config.get("auths", {}).get(name), dict):
            found = _from_entry(config["auths"][name], path)
        if found is not None:
            return found
    return None


def _load(path: Path) -> dict[str, Any]:
    data = read_optional(path)
    if not data:
        return {}
    try:
        config = json.loads(data)
    except ValueError as error:
        raise BadDockerConfig(path=str(path), why=str(error)) from error
    if not isinstance(config, dict) or not all(
        isinstance(config.get(name, {}), dict) for name in ("auths", "credHelpers")
    ):
        raise BadDockerConfig(path=str(path), why="it is not an object with `auths`")
    return config


def _names(host: str) -> Iterator[str]:
    yield host
    for scheme in ("https", "http"):
        yield from (f"{scheme}://{host}{end}" for end in ("", "/", "/v1/", "/v2/"))


def _from_entry(entry: Mapping[str, Any], path: Path) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(identity_token=entry["identitytoken"])
    if entry.get("username") and entry.get("password"):
        return Credentials(user=entry["username"], password=entry["password"])
    if not entry.get("auth"):
        return None
    try:
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadDockerConfig(path=str(path), why=f"an `auth` is not base64: {error}") from error
    return Credentials(user=user, password=password.rstrip("\0"))


def _from_helper(helper: str, name: str, environ: Mapping[str, str]) -> Credentials | None:
    """Ask a helper; one that is missing, locked or without an entry is as if there were no credentials."""
    program = f"docker-credential-{helper}"
    try:
        answer = json.loads(run([program, "get"], env=environ, stdin=name.encode(), timeout=_HELPER_SECONDS))
    except (ProcessFailed, ValueError):
        return None
    if not isinstance(answer, dict) or not answer.get("Secret"):
        return None
    if answer.get("Username") == _TOKEN_USER:
        return Credentials(identity_token=answer["Secret"])
    return Credentials(user=answer.get("Username", ""), password=answer["Secret"])
