"""Command lines that start what the lock has without hatchlock: by npx, uvx or docker run, of that very version or digest.

They pin the one package or image that they name. Of what is below a package they hold nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from hatchlock.launch_parts import WORKSPACE, size_in_bytes
from hatchlock.migrate.outgoing.compose import tmpfs_of
from hatchlock.migrate.outgoing.model import Contained, Note, Started, Withheld
from hatchlock.migrate.outgoing.setting import Setting

__all__ = ["docker_run", "docker_run_notes", "npx", "uvx"]

_WORDS = ("none", "internet", "host")


def uvx(
    requirement: str, command: str, args: Sequence[str], *, python: str = "", also: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return `uvx …` for a command of a Python package.

    Args:
        requirement: What it comes from, pinned: `name[extra]==1.2`, or `git+https://…@COMMIT`.
        command: The command.
        args: Its arguments.
        python: "3.11"; "" for any.
        also: What is to be there besides, pinned.
    """
    wanted = [word for item in also for word in ("--with", item)]
    version = ["--python", python] if python else []
    return ("uvx", *version, "--from", requirement, *wanted, command, *args)


def npx(spec: str, command: str, args: Sequence[str]) -> tuple[str, ...]:
    """Return `npx …` for a command of an npm package.

    Args:
        spec: What it comes from, pinned: `@scope/name@1.2.3`, or `git+https://…#COMMIT`.
        command: The command; "" where npx finds it by itself.
        args: Its arguments.
    """
    return ("npx", "-y", *(("-p", spec, command) if command else (spec,)), *args)


def docker_run(server: Contained, setting: Setting) -> Started | Withheld:
    """Return `docker run …` for a server that is an image, as closed as it is here; or why there is none."""
    reasons = {
        "it stays, and speaks HTTP: what an application starts speaks stdio": bool(server.port),
        "it gets a secret as a file, and an application gives variables": any(
            reference.as_ == "file" for reference in server.secrets.values()
        ),
        "it works in the directory that it is started from, which docker run does not know": any(
            mount.source == WORKSPACE for mount in server.sandbox.mounts
        ),
    }
    if why := next((why for why, is_so in reasons.items() if is_so), ""):
        return Withheld(server=server.name, why=why)
    entry = server.argv if server.after_own is None else ()
    words = [
        *("docker", "run", "--interactive", "--rm", "--init"),
        *_closed(server),
        *_placed(server, setting),
        # docker passes them on from the entry's own variables: their values are on no command line
        *(word for key in (*server.env, *server.secrets) for word in ("--env", key)),
        *(("--entrypoint", entry[0]) if entry else ()),
        server.image,
        *(entry[1:] if entry else server.after_own or ()),
    ]
    return Started(name=server.name, words=tuple(words), env=server.env, secrets=server.secrets)


def docker_run_notes(server: Contained) -> Iterator[Note]:
    """Yield what `docker run` does not do of what is done here."""
    sandbox = server.sandbox
    if sandbox.network[0] not in _WORDS:
        what = "its network is a list of hosts, which docker run does not know: there it reaches every host"
        yield Note(server=server.name, what=what)
    if sandbox.mounts or sandbox.seccomp not in {"default", "unconfined"}:
        yield Note(server=server.name, what="its mounts are paths of this machine")
    if sandbox.run_as == "host":
        yield Note(server=server.name, what="it runs as its image says there, not as whoever starts it")
    if sandbox.writable:
        places = ", ".join(sandbox.writable)
        yield Note(
            server=server.name, what=f"what it keeps in {places} begins as root's: give it to {sandbox.user} once"
        )


def _closed(server: Contained) -> Iterator[str]:
    sandbox = server.sandbox
    options: Mapping[str, object] = {
        "--network": sandbox.network[0] if sandbox.network[0] in {"none", "host"} else "",
        "--user": sandbox.user if sandbox.run_as == "user" else "",
        "--memory": sandbox.memory,
        "--memory-swap": size_in_bytes(sandbox.memory) + size_in_bytes(sandbox.swap),
        "--cpus": f"{sandbox.cpus:g}",
        "--pids-limit": sandbox.pids,
        "--shm-size": sandbox.tmp,
        "--ipc": "private",
        "--cgroupns": "private",
        "--no-healthcheck": None,
        "--stop-signal": sandbox.stop_signal,
        "--stop-timeout": math.ceil(sandbox.stop_grace),
        "--log-driver": "none",
    }
    if sandbox.read_only:
        yield "--read-only"
    yield from ("--cap-drop", "ALL")
    for name in sandbox.capabilities:
        yield from ("--cap-add", name)
    yield from ("--security-opt", "no-new-privileges")
    guards = {
        "apparmor": sandbox.apparmor,
        "seccomp": sandbox.seccomp if sandbox.seccomp == "unconfined" else "default",
    }
    for name, value in guards.items():
        if value != "default":
            yield from ("--security-opt", f"{name}={value}")
    for limit in (f"nofile={sandbox.files}", "core=0"):
        yield from ("--ulimit", limit)
    for option, given in options.items():
        if given != "":
            yield from (option,) if given is None else (option, str(given))
    for path, written in tmpfs_of(server):
        yield from ("--tmpfs", f"{path}:{written}")


def _placed(server: Contained, setting: Setting) -> Iterator[str]:
    sandbox = server.sandbox
    for mount in sandbox.mounts:
        read_only = ("readonly",) if mount.mode == "ro" else ()
        source, target = f"source={setting.absolute(mount.source)}", f"target={mount.target}"
        yield from ("--mount", _fields("type=bind", source, target, *read_only))
    for path in sandbox.writable:
        name = f"{setting.project}-{server.name}-{path.strip('/').replace('/', '-')}"
        yield from ("--mount", _fields("type=volume", f"source={name}", f"target={path}"))
    if sandbox.seccomp not in {"default", "unconfined"}:
        yield from ("--security-opt", f"seccomp={setting.absolute(sandbox.seccomp)}")
    if server.cwd:
        yield from ("--workdir", server.cwd)


def _fields(*fields: str) -> str:
    """Return what `--mount` reads, which is a line of CSV."""
    return ",".join(
        f'"{field.replace(chr(34), chr(34) * 2)}"' if set(',"\n') & set(field) else field for field in fields
    )
