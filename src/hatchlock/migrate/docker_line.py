"""`docker run` and its like: a command line as what it says of a container."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.image_use import ImageUse, Mount
from hatchlock.migrate.options import Options, Split
from hatchlock.migrate.values import at_home

__all__ = ["ENGINES", "image_of"]

ENGINES = frozenset({"docker", "podman", "finch", "nerdctl", "container"})
"""Programs with Docker's command line."""

_RESTARTS = "hatchlock starts it again by itself"
_ONE_OF_OURS = "each server has its own; a host is reached by its name, in sandbox.network"
_NO_LIMIT = "hatchlock has no such limit"
_ALONE = "a server shares none of these with anybody"
_LOST = {
    "--restart": _RESTARTS,
    "--platform": "the lock has each platform of the manifest",
    "--add-host": _ONE_OF_OURS,
    "--dns": _ONE_OF_OURS,
    "--link": _ONE_OF_OURS,
    "--ip": _ONE_OF_OURS,
    "--network-alias": _ONE_OF_OURS,
    "--tmpfs": "sandbox.tmp is the size of its /tmp; another such place is a directory of sandbox.writable",
    "--shm-size": _NO_LIMIT,
    "--ulimit": _NO_LIMIT,
    "--memory-reservation": _NO_LIMIT,
    "--memory-swap": "swap is 0 unless sandbox.swap says otherwise",
    "--cpu-shares": _NO_LIMIT,
    "--group-add": "a server has the one group of its user",
    "--health-cmd": "a server's health is whether it answers over MCP",
    "--ipc": _ALONE,
    "--cgroupns": _ALONE,
    "--pid": _ALONE,
    "--uts": _ALONE,
    "--stop-timeout": "it has sandbox.stop-grace, unless said 10 seconds",
}
_FLAGS = {"-i", "--interactive", "-t", "--tty", "--rm", "--init", "--read-only", "-q", "--quiet", "-d", "--detach"}
_FLAGS |= {"-P", "--publish-all", "--no-healthcheck", "--sig-proxy", "--replace"}
_VALUES = {
    "-e",
    "--env",
    "-v",
    "--volume",
    "--mount",
    "--name",
    "--network",
    "--net",
    "--pull",
    "--cap-drop",
    "--cap-add",
}
_VALUES |= {
    "-u",
    "--user",
    "-w",
    "--workdir",
    "-m",
    "--memory",
    "--cpus",
    "--pids-limit",
    "-l",
    "--label",
    "--env-file",
}
_VALUES |= {
    "-p",
    "--publish",
    "--entrypoint",
    "--security-opt",
    "-h",
    "--hostname",
    "--log-driver",
    "--log-opt",
    "--expose",
}
_VALUES |= {"--stop-signal", "--cidfile", "--label-file", "-a", "--attach", "--userns", *_LOST}
_OURS = re.compile(r"no-new-privileges(?:[:=]true)?|label[:=].*|apparmor[:=]docker-default")


def image_of(program: str, words: Sequence[str], given: Mapping[str, str]) -> tuple[ImageUse, tuple[str, ...]]:
    """Read what stands behind the name of an engine.

    Args:
        program: Its name.
        words: What stands behind.
        given: The variables that the engine's program has, which `--env NAME` hands on.

    Returns:
        What it says, and what of it cannot be carried over, as clauses.

    Raises:
        CannotTakeOver: It starts no container from an image, or has an option without counterpart.
    """
    match words:
        case ["container", "run", *rest] | ["run", *rest]:
            return _run(f"{program} run", rest, given)
        case ["mcp", *_]:
            raise CannotTakeOver(
                what=f"`{program} mcp` is a gateway to several servers",
                advice="import its profile or catalogue file, which has them one by one",
            )
        case ["exec", *_] | ["start", *_] | ["attach", *_]:
            raise CannotTakeOver(
                what=f"`{program} {words[0]}` uses a container that somebody else has made",
                advice='name its image: source = "oci:HOST/REPOSITORY:TAG"',
            )
        case ["compose", *_]:
            raise CannotTakeOver(what=f"`{program} compose` reads a file of its own", advice="import that file")
    raise CannotTakeOver(what=f"`{program}` does not run an image")


def _run(program: str, words: Sequence[str], given: Mapping[str, str]) -> tuple[ImageUse, tuple[str, ...]]:
    found = Options(program=program, flags=frozenset(_FLAGS), values=frozenset(_VALUES), lost=_LOST).split(words)
    image, *args = found.rest
    env, unread = _variables(found, given)
    entrypoint = found.last("--entrypoint")
    security, lost = _security(found)
    return (
        ImageUse(
            image=image.removeprefix("docker://"),
            entrypoint=(entrypoint,) if entrypoint else (),
            args=tuple(args),
            env=env,
            mounts=_mounts(found),
            network=found.last("--network", "--net"),
            ports=tuple(found.all("-p", "--publish")),
            cwd=found.last("-w", "--workdir"),
            user=found.last("-u", "--user"),
            limits=_limits(program, found) | security,
            capabilities=tuple(found.all("--cap-add")),
        ),
        (*found.lost, *unread, *lost, *_beyond(found)),
    )


def _variables(found: Split, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    env: dict[str, str] = {}
    lost: list[str] = []
    for path in found.all("--env-file"):
        names = _names_in(path)
        env |= {name: f"{{file:{path}#{name}}}" for name in names}
        if not names:
            lost.append(
                f'`--env-file {path}`: the file is not there; give each variable: env.NAME = {{ secret = "file:PATH#NAME" }}'
            )
    for text in found.all("-e", "--env"):
        name, equals, value = text.partition("=")
        env[name] = value if equals else given.get(name, f"${{{name}}}")
    return env, lost


def _names_in(path: str) -> list[str]:
    """Return the names in a file of variables, without a look at their values; none if it cannot be read."""
    file = Path(at_home(path))
    if not file.is_absolute():
        return []
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [match[1] for line in lines if (match := re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", line))]


def _beyond(found: Split) -> list[str]:
    """Return what there is one of in a manifest, and several of here; and what of `--mount` has no counterpart."""
    ports = [f"the port {port}: a server has one" for port in found.all("-p", "--publish")[1:]]
    return ports + [f"`--mount {text}`: {_LOST['--tmpfs']}" for text in found.all("--mount") if _mount(text) is None]


def _mounts(found: Split) -> tuple[Mount, ...]:
    volumes = [Mount.parse(text) for text in found.all("-v", "--volume")]
    return (*volumes, *(mount for text in found.all("--mount") if (mount := _mount(text))))


def _mount(text: str) -> Mount | None:
    """Return what `--mount` says; None for what is no directory of this machine and no volume: one in memory."""
    words = dict(word.partition("=")[::2] for word in text.split(","))
    if words.get("type", "bind") not in {"bind", "volume"}:
        return None
    return Mount(
        source=words.get("source") or words.get("src") or "",
        target=words.get("target") or words.get("dst") or words.get("destination") or "",
        read_only=any(words.get(key, "false") in {"", "true", "1"} for key in ("readonly", "ro")),
    )


def _limits(program: str, found: Split) -> dict[str, Any]:
    memory = found.last("-m", "--memory").lower().removesuffix("b")
    numbers = {key: found.last(f"--{option}") for key, option in (("cpus", "cpus"), ("pids", "pids-limit"))}
    limits: dict[str, Any] = {key: _number(program, key, value) for key, value in numbers.items() if value}
    texts = {"memory": memory, "stop-signal": found.last("--stop-signal")}
    return limits | {key: value for key, value in texts.items() if value}


def _number(program: str, option: str, value: str) -> float | int:
    if re.fullmatch(r"\d+(\.\d+)?", value) is None:
        raise CannotTakeOver(what=f"`{program}` has {option} {value}, which is no number")
    return float(value) if "." in value else int(value)


def _security(found: Split) -> tuple[dict[str, Any], list[str]]:
    kept: dict[str, Any] = {}
    lost: list[str] = []
    for text in found.all("--security-opt"):
        key, _, value = text.replace(":", "=", 1).partition("=")
        if key in {"seccomp", "apparmor"} and value == "unconfined":
            kept[key] = value
        elif not _OURS.fullmatch(text):
            lost.append(f"`--security-opt {text}`: see seccomp, apparmor and selinux in the manifest's reference")
    return kept, lost
