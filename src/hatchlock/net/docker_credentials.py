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
from hatchlock.paths import user_home
from hatchlock.process import ProcessFailed, run

__all__ = ["BadDockerConfig", "Credentials", "Lookup", "docker_config", "find_login"]

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
    return user_home(environ) / ".docker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """What came of looking for a login.

    Attributes:
        credentials: The login, or None.
        problem: Why there is none, as a clause, where something else than "there is none" can be said; "" otherwise.
    """

    credentials: Credentials | None = None
    problem: str = ""


def find_login(host: str, environ: Mapping[str, str]) -> Lookup:
    """Look for the login of a registry: from a helper of its own, else from the store, else in the file.

    A helper or store that cannot be asked is as if it had no login; the file may still have one.

    Args:
        host: `host[:port]`.
        environ: The user's; helpers (`docker-credential-NAME get`) run in it.

    Raises:
        BadDockerConfig: The file is not JSON of that form.
        PermissionProblem: The file cannot be read.
    """
    path = docker_config(environ) / "config.json"
    config = _load(path)
    found = Lookup()
    for helper, name in _helpers(config, host):
        found = _from_helper(helper, name, environ)
        if found.credentials or found.problem:
            break
    if found.credentials is None:
        entries = (config.get("auths", {}).get(name) for name in _names(host))
        known = (_from_entry(entry, path) for entry in entries if isinstance(entry, dict))
        found = Lookup(credentials=next(filter(None, known), None), problem=found.problem)
    return found


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


def _helpers(config: Mapping[str, Any], host: str) -> Iterator[tuple[str, str]]:
    """Yield the programs to ask, each with the name under which it knows the registry."""
    own = config.get("credHelpers", {})
    for name in _names(host):
        if isinstance(own.get(name), str):
            yield own[name], name
            return
    if isinstance(store := config.get("credsStore"), str) and store:
        # what `docker login` calls them: the last is the default registry's
        yield from ((store, name) for name in (host, f"https://{host}", f"https://{host}/v1/"))


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
    except (binascii.Error, TypeError, UnicodeDecodeError) as error:
        raise BadDockerConfig(path=str(path), why=f"an `auth` is not base64: {error}") from error
    return Credentials(user=user, password=password.rstrip("\0"))


def _from_helper(helper: str, name: str, environ: Mapping[str, str]) -> Lookup:
    program = f"docker-credential-{helper}"
    try:
        answer = json.loads(run([program, "get"], env=environ, stdin=name.encode(), timeout=_HELPER_SECONDS))
    except ProcessFailed as error:
        # an entry that is not there is an error status; what it printed is not shown, for it handles secrets
        return Lookup(problem="" if error.status else f"{program} could not be asked")
    except ValueError:
        return Lookup(problem=f"{program} answers with something that is no login")
    if not isinstance(answer, dict) or not isinstance(answer.get("Secret"), str) or not answer["Secret"]:
        return Lookup()
    if answer.get("Username") == _TOKEN_USER:
        return Lookup(credentials=Credentials(identity_token=answer["Secret"]))
    return Lookup(credentials=Credentials(user=str(answer.get("Username") or ""), password=answer["Secret"]))
