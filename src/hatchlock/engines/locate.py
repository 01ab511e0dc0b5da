"""Which container engine to use, whether it answers, and whose it is. Only the standard library: `run` imports this."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.engines.api import Engine
from hatchlock.engines.connect import EngineUnreachable, secured, without_password
from hatchlock.errors import HatchlockError
from hatchlock.paths import user_home

__all__ = ["EngineNotFound", "FoundEngine", "answers", "find_engine", "found_engines", "locate_engine"]

_SYSTEM = (("Docker", "/var/run/docker.sock"), ("Podman", "/run/podman/podman.sock"), ("Finch", "/run/finch.sock"))
_IN_RUNTIME = (("rootless Docker", "docker.sock"), ("rootless Podman", "podman/podman.sock"))
_IN_HOME = (
    ("Docker Desktop", ".docker/run/docker.sock"),
    ("Docker Desktop", ".docker/desktop/docker.sock"),
    ("Colima (profile {})", ".colima/*/docker.sock"),
    ("Colima (profile {})", ".config/colima/*/docker.sock"),
    ("Colima", ".colima/docker.sock"),
    ("OrbStack", ".orbstack/run/docker.sock"),
    ("Rancher Desktop", ".rd/docker.sock"),
    ("Lima (instance {})", ".lima/*/sock/docker.sock"),
    ("Lima (instance {})", ".lima/*/sock/podman.sock"),
    ("Finch", ".finch/finch.sock"),
    ("Podman machine", ".local/share/containers/podman/machine/podman.sock"),
    ("Podman machine ({})", ".local/share/containers/podman/machine/*/podman.sock"),
)
"""Whose engine, and where its socket is; `{}` stands for what `*` is."""
_ANYWHERE = (("Finch", "/Applications/Finch/lima/data/finch/sock/finch.sock"),)
_NAMED_BY_TMPDIR = ("Podman machine ({})", "podman/*-api.sock")
_DOCKER_HOST = "DOCKER_HOST"


@dataclass(kw_only=True, eq=False)
class EngineNotFound(HatchlockError):
    """No container engine answers.

    Attributes:
        looked_in: `PLACE: what was found there`, in the order of looking.
    """

    code: ClassVar[str] = "engine-not-found"

    looked_in: tuple[str, ...]

    def __str__(self) -> str:
        return "no container engine answers; looked in:\n  " + "\n  ".join(self.looked_in)

    def _hint(self) -> str:
        return (
            "start Docker or Podman, or set DOCKER_HOST; `hatchlock lock` and servers with "
            'runtime = "process" work without an engine'
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundEngine:
    """An address at which an engine was looked for.

    Attributes:
        name: Whose it is, or who named it: `Colima (profile default)`, `Docker context build`, `DOCKER_HOST`.
        address: As `engines.connect` has it; "" where a context names none.
        problem: Why it does not answer; "" if it does.
    """

    name: str
    address: str
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.name} at {without_password(self.address)}" if self.address else self.name


def find_engine(environ: Mapping[str, str]) -> str:
    """Return the address of the engine to use, one that answers now: `unix:///var/run/docker.sock`.

    Raises:
        EngineNotFound: None answers.
    """
    return locate_engine(environ).address


def locate_engine(environ: Mapping[str, str]) -> FoundEngine:
    """Return the engine to use, one that answers now.

    What the user chose is the only candidate: `DOCKER_HOST` (with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`), else the
    current Docker context (`DOCKER_CONTEXT`, else the client's configuration). Without a choice the usual sockets are tried
    in turn: the system's, those of the user's session, those that desktop programs make in the home.

    Raises:
        EngineNotFound: None answers.
    """
    looked = []
    for found in found_engines(environ):
        if not found.problem:
            return found
        looked.append(f"{found}: {found.problem}")
    raise EngineNotFound(looked_in=tuple(looked))


def found_engines(environ: Mapping[str, str]) -> Iterator[FoundEngine]:
    """Yield where engines are looked for, in the order of looking, each asked only when it is come to.

    Sockets of desktop programs that do not exist are left out.
    """
    for name, address in _candidates(environ):
        yield FoundEngine(name=name, address=address, problem=_problem(address))


def answers(address: str) -> bool:
    """Whether an engine answers at an address."""
    return not _problem(address)


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if environ.get(_DOCKER_HOST):
        yield _DOCKER_HOST, _with_tls(environ[_DOCKER_HOST], environ)
        return
    context = _context(environ)
    if context:
        yield f"Docker context {context}", _context_address(context, environ)
        return
    home = user_home(environ)
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    docker, *others = _SYSTEM
    usual = (docker, *((name, str(runtime / path)) for name, path in _IN_RUNTIME), *others)
    seen = set()
    for name, path in (*usual, *_made_by_programs(home, environ)):
        real = os.path.realpath(path)  # links that several programs make to one socket
        if real not in seen:
            seen.add(real)
            yield name, f"unix://{path}"


def _made_by_programs(home: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the sockets of desktop programs, whoever made them, those that exist."""
    for name, pattern in _IN_HOME:
        yield from _existing(name, home, pattern)
    for name, variable, pattern in (
        ("Colima (profile {})", "COLIMA_HOME", "*/docker.sock"),
        ("Lima (instance {})", "LIMA_HOME", "*/sock/docker.sock"),
    ):
        if environ.get(variable):
            yield from _existing(name, Path(environ[variable]), pattern)
    yield from _existing(_NAMED_BY_TMPDIR[0], Path(environ.get("TMPDIR") or "/tmp"), _NAMED_BY_TMPDIR[1])  # noqa: S108
    yield from ((name, path) for name, path in _ANYWHERE if Path(path).exists())


def _existing(name: str, root: Path, pattern: str) -> Iterator[tuple[str, str]]:
    before, _, after = f"{root}/{pattern}".partition("*")
    for path in sorted(root.glob(pattern)):
        yield name.format(str(path)[len(before) : len(str(path)) - len(after)]), str(path)


def _with_tls(address: str, environ: Mapping[str, str]) -> str:
    """Return DOCKER_HOST with what Docker's own client takes from the variables beside it."""
    verify, certificates = bool(environ.get("DOCKER_TLS_VERIFY")), environ.get("DOCKER_CERT_PATH", "")
    if not verify and not certificates:
        return address
    return secured(address, certificates or str(_docker_config(environ)), verify=verify)


def _context(environ: Mapping[str, str]) -> str:
    chosen = environ.get("DOCKER_CONTEXT") or _json(_docker_config(environ) / "config.json").get("currentContext")
    return chosen if isinstance(chosen, str) and chosen != "default" else ""


def _context_address(name: str, environ: Mapping[str, str]) -> str:
    # The Docker client names a context's directories by the digest of its name.
    directory = hashlib.sha256(name.encode()).hexdigest()
    contexts = _docker_config(environ) / "contexts"
    meta = _json(contexts / "meta" / directory / "meta.json")
    endpoint = (meta.get("Endpoints") or {}).get("docker") or {}
    address = str(endpoint.get("Host") or "")
    certificates = contexts / "tls" / directory / "docker"
    skips = bool(endpoint.get("SkipTLSVerify"))
    if not (skips or certificates.is_dir()):
        return address
    return secured(address, str(certificates), verify=not skips)


def _docker_config(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or user_home(environ) / ".docker")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _problem(address: str) -> str:
    """Say why nothing answers at an address; "" when something does."""
    try:
        Engine(address).ping()
    except EngineUnreachable as error:
        return error.why
    return ""
