"""From what people type (a source, or the command of a README) to a server of the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hatchlock.address import BadSource, ImageReference, Kind, Source
from hatchlock.errors import HatchlockError
from hatchlock.manifest.checks import relaxations
from hatchlock.manifest.npx import npx_source
from hatchlock.manifest.suspicion import looks_secret, secret_arguments

__all__ = ["CannotTakeOver", "name_from", "server_from_command", "server_from_source"]

Server = tuple[str, dict[str, Any]]
"""A server's name and its keys, as in the manifest."""

_INTERPRETERS = re.compile(r"python[\d.]*|node|deno|bun|ruby|bash|sh")
_REASON = "taken over from a command line that allowed it"

_UVX_FLAGS = {"-q", "--quiet", "-v", "--verbose", "--no-progress", "--isolated", "--refresh", "-U", "--upgrade"}
_UVX_FLAGS |= {"-n", "--no-cache", "--native-tls", "--no-config", "--no-env-file"}
_UVX_VALUES = {"--from", "--with", "-w", "--python", "-p"}
_PIPX_FLAGS = {"-q", "--quiet", "-v", "--verbose", "--no-cache"}
_PIPX_VALUES = {"--spec", "--with", "--python"}
_NPX_FLAGS = {"-y", "--yes", "-q", "--quiet", "-s", "--silent", "--prefer-offline", "--bun"}
_NPX_VALUES = {"-p", "--package"}
_GIT = "git+"
_DOCKER_FLAGS = {"-i", "--interactive", "-t", "--tty", "--rm", "--init", "--read-only", "-q", "--quiet"}
_DOCKER_VALUES = {"-e", "--env", "-v", "--volume", "--mount", "--name", "--network", "--net", "--pull", "--cap-drop"}
_DOCKER_VALUES |= {"-u", "--user", "-w", "--workdir", "-m", "--memory", "--cpus", "--pids-limit", "-l", "--label"}


@dataclass(kw_only=True, eq=False)
class CannotTakeOver(HatchlockError):
    """A command line, or a part of it, that has no counterpart in the manifest."""

    code: ClassVar[str] = "cannot-take-over"

    what: str
    advice: str = "write the server into the manifest by hand, and then run `hatchlock lock`"

    def __str__(self) -> str:
        return self.what

    def _hint(self) -> str:
        return self.advice


def name_from(text: str) -> str:
    """Return a name as a manifest allows it, close to `text`, and without the usual `mcp-server-`: "server" at worst."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    short = re.sub(r"^(mcp-)?(server-)?(mcp-)?|(-mcp)?(-server)?(-mcp)?$", "", name)
    return (short or name)[:64].strip("-") or "server"


def server_from_source(text: str) -> Server:
    """Return the server that a source alone describes.

    Args:
        text: `kind:spec`, an image reference with a registry or path: `ghcr.io/team/server:1.2`, or the address of a remote
            server.

    Raises:
        BadSource: It is none of these, or no server.
    """
    head = text.partition(":")[0]
    if head in {"http", "https"}:
        return name_from(_own_part(text)), {"url": text}
    if head not in set(Kind) and "/" in text and "://" not in text and not text.startswith((".", "/")):
        text = f"oci:{text}"
    source = Source.parse(text)
    if source.kind is Kind.PYPI:
        requirement = _requirement(source.spec)
        return name_from(requirement.name), {"source": f"pypi:{source.spec}"}
    if source.kind is Kind.OCI:
        image = ImageReference.parse(source.spec)
        return name_from(image.repository.rpartition("/")[2]), {"source": str(source)}
    if source.kind is Kind.MCP:
        return name_from(source.spec.partition("@")[0].rpartition("/")[2]), {"source": str(source)}
    if source.kind in {Kind.DEB, Kind.CONDA}:
        raise BadSource(
            text=text,
            why=f"{source.kind}: is a part of an environment, not a server",
            advice=f'list it beside a server: with = ["{source}"]',
        )
    return name_from(_own_name(source)), {"source": str(source)}


def _own_part(url: str) -> str:
    """Return the part of an address's host that tells it from others: `tracker` of `https://mcp.tracker.example.com/mcp`."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    words = [word for word in host.split(".")[:-1] if word not in {"www", "mcp", "api"}] or [host]
    return words[0] if not host.replace(".", "").isdigit() else "server"


def _own_name(source: Source) -> str:
    """Return the last word of what is named: of a package without scope and range, of a path or address its last part."""
    if source.kind is Kind.NPM:
        name = source.spec.removeprefix("@").partition("@")[0]
        return re.sub(r"/(mcp|server)$", "", name).rpartition("/")[2] if "/" in name else name
    path = re.split(r"[#?]", source.spec)[0]
    if source.kind is Kind.HATCH:
        path = re.split(r"[\s<>=!~]", path)[0].replace(":", "/")
    if source.kind is Kind.GIT:
        head, _, last = path.rpartition("/")
        path = f"{head}/{last.partition('@')[0]}".removesuffix(".git")
    last = path.rstrip("/").rpartition("/")[2]
    return re.sub(r"(\.tar)?\.(gz|xz|bz2|zip|tgz)$", "", last) or "server"


def server_from_command(words: Sequence[str]) -> Server:
    """Return the server that a command line starts.

    `uvx`, `uv tool run`, `pipx run`, `npx` and its like, `docker run` and `podman run` become the source that they name;
    anything else is a program of this machine. What looks like a secret in a variable becomes a reference to the variable of the same name.

    Args:
        words: The command line, split.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: It holds an option without counterpart, or a secret among its arguments.
    """
    if not words or not words[0]:
        raise CannotTakeOver(what="there is no command", advice="write hatchlock add -- COMMAND ARGUMENT…")
    program = PurePath(words[0]).name
    match (program, *words[1:3]):
        case ("uvx", *_):
            return _uvx("uvx", words[1:])
        case ("uv", "tool", "run"):
            return _uvx("uv tool run", words[3:])
        case ("pipx", "run", *_):
            return _pipx(words[2:])
        case ("docker" | "podman", "run", *_):
            return _docker(f"{program} run", words[2:])
        case ("npx" | "bunx" | "pnpx", *_) | ("npm" | "pnpm" | "yarn", "exec" | "dlx", *_):
            return _npx(program, words[1:])
    return _program(program, words)


def _requirement(spec: str) -> Requirement:
    try:
        requirement = Requirement(spec)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise BadSource(text=f"pypi:{spec}", why=why, advice="write pypi:NAME[EXTRA]>=1.2,<2") from error
    return requirement


def _options(
    program: str, words: Sequence[str], flags: set[str], valued: set[str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Split off the options in front: those with values as pairs, flags dropped; return them and the rest."""
    pairs: list[tuple[str, str]] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        option, equals, value = word.partition("=")
        if word in flags or _is_cluster(word, flags):
            continue
        if option not in valued:
            raise CannotTakeOver(what=f"`{program}` has the option {option}, which cannot be taken over")
        if not equals:
            if not rest:
                raise CannotTakeOver(what=f"`{program}` has the option {option} without its value")
            value = rest.pop(0)
        pairs.append((option, value))
    if not rest:
        raise CannotTakeOver(what=f"`{program}` does not say what to run")
    return pairs, rest


def _is_cluster(word: str, flags: set[str]) -> bool:
    """Whether a word is several short flags in one: -it."""
    return re.fullmatch("-[A-Za-z]{2,}", word) is not None and all(f"-{letter}" in flags for letter in word[1:])


def _uvx(program: str, words: Sequence[str]) -> Server:
    pairs, (tool, *args) = _options(program, words, _UVX_FLAGS, _UVX_VALUES)
    given = dict(pairs)
    spec = given.get("--from", tool)
    more = [item for option, value in pairs if option in {"--with", "-w"} for item in value.split(",")]
    command = tool if "--from" in given else ""
    if spec.startswith(_GIT):
        name, fields = server_from_source(f"git:{spec.removeprefix(_GIT)}")
        return name, fields | ({"command": command} if command else {}) | _args(args)
    return _python(spec, command, args, more, given.get("--python") or given.get("-p") or "")


def _pipx(words: Sequence[str]) -> Server:
    pairs, (tool, *args) = _options("pipx run", words, _PIPX_FLAGS, _PIPX_VALUES)
    given = dict(pairs)
    more = [value for option, value in pairs if option == "--with"]
    command = tool if "--spec" in given else ""
    return _python(given.get("--spec", tool), command, args, more, given.get("--python", ""))


def _python(spec: str, command: str, args: list[str], more: Iterable[str], python: str) -> Server:
    requirement = _requirement(_without_at(spec))
    if re.fullmatch(r"(?:python)?3\.\d+(\.\d+)?|", python) is None:
        raise CannotTakeOver(what=f"the interpreter {python!r} is no version of Python, and cannot be taken over")
    fields: dict[str, Any] = {"source": f"pypi:{_without_at(spec)}"}
    if command and canonicalize_name(command) != canonicalize_name(requirement.name):
        fields["command"] = command
    fields |= _args(args)
    if python:
        fields["python"] = python.removeprefix("python")
    if more := [f"pypi:{_checked(_without_at(item.strip()))}" for item in more]:
        fields["with"] = more
    return name_from(requirement.name), fields


def _npx(program: str, words: Sequence[str]) -> Server:
    if program in {"npm", "pnpm", "yarn"}:
        program, words = f"{program} {words[0]}", words[1:]
    pairs, (word, *args) = _options(program, words, _NPX_FLAGS, _NPX_VALUES)
    packages = [value for option, value in pairs if option in {"-p", "--package"}]
    if len(packages) > 1:
        raise CannotTakeOver(what=f"`{program}` names several packages, which cannot be taken over")
    spec = _without_latest(packages[0] if packages else word)
    name, fields = server_from_source(npx_source(spec))
    if packages:
        fields["command"] = word
    return name, fields | _args(args)


def _without_latest(spec: str) -> str:
    """`name@latest` is npx's own habit: what is newest is the lock's business."""
    return spec.removesuffix("@latest")


def _checked(spec: str) -> str:
    _requirement(spec)
    return spec


def _without_at(spec: str) -> str:
    """`name@1.2` is uvx's own spelling of `name==1.2`; `@latest` is what the lock decides."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+(?:\[[^\]]*\])?)@([A-Za-z0-9.!+_-]+)", spec)
    if match is None:
        return spec
    return match[1] if match[2] == "latest" else f"{match[1]}=={match[2]}"


def _args(args: Sequence[str]) -> dict[str, Any]:
    if suspects := secret_arguments(args):
        raise CannotTakeOver(
            what=f"argument {suspects[0] + 1} of the server looks like a secret, and a manifest is no place for one",
            advice="give it as a variable that the server reads: env.NAME = { secret = … }",
        )
    return {"args": list(args)} if args else {}


def _program(program: str, words: Sequence[str]) -> Server:
    match words:
        case [_, "-m", module, *rest] if program.startswith("python"):
            return name_from(module), {"command": list(words[:3]), **_args(rest)}
    script = next((word for word in words[1:] if not word.startswith("-")), "")
    is_script = script and _INTERPRETERS.fullmatch(program)
    return name_from(PurePath(script).stem if is_script else program), {"command": words[0], **_args(words[1:])}


def _docker(program: str, words: Sequence[str]) -> Server:
    pairs, (image, *args) = _options(program, words, _DOCKER_FLAGS, _DOCKER_VALUES)
    name, fields = server_from_source(f"oci:{image}")
    fields |= _args(args)
    env: dict[str, Any] = {}
    sandbox: dict[str, Any] = {}
    for option, value in pairs:
        match option:
            case "-e" | "--env":
                variable, equals, text = value.partition("=")
                literal = equals and not looks_secret(variable, text)
                env[variable] = text if literal else {"secret": f"env:{variable}"}
            case "-w" | "--workdir":
                fields["cwd"] = value
            case _:
                _add_to_sandbox(sandbox, program, option, value)
    if relaxations(sandbox):
        sandbox["reason"] = _REASON
    return name, fields | ({"env": env} if env else {}) | ({"sandbox": sandbox} if sandbox else {})


def _add_to_sandbox(sandbox: dict[str, Any], program: str, option: str, value: str) -> None:
    match option:
        case "-v" | "--volume":
            sandbox.setdefault("mounts", []).append(_volume(program, value))
        case "--mount":
            sandbox.setdefault("mounts", []).append(_mount(program, value))
        case "--network" | "--net" if value == "host":
            sandbox["network"] = "host"
        case "--network" | "--net" if value not in {"none", "bridge", "default"}:
            raise CannotTakeOver(what=f"`{program}` joins the network {value!r}, which cannot be taken over")
        case "-u" | "--user":
            sandbox["user"] = value
        case "-m" | "--memory":
            sandbox["memory"] = value.lower().removesuffix("b")
        case "--cpus" | "--pids-limit":
            sandbox["cpus" if option == "--cpus" else "pids"] = _number(program, option, value)


def _number(program: str, option: str, value: str) -> float | int:
    if re.fullmatch(r"\d+(\.\d+)?", value) is None:
        raise CannotTakeOver(what=f"`{program}` has {option} {value}, which is no number")
    return float(value) if "." in value else int(value)


def _volume(program: str, value: str) -> dict[str, str]:
    source, _, rest = value.partition(":")
    target, _, mode = rest.partition(":")
    return _bind(program, source, target, read_only="ro" in mode.split(","))


def _mount(program: str, value: str) -> dict[str, str]:
    words = dict(word.partition("=")[::2] for word in value.split(","))
    if words.get("type", "bind") != "bind":
        raise CannotTakeOver(what=f"`{program}` mounts something that is no directory of this machine")
    read_only = any(words.get(key, "false") in {"", "true", "1"} for key in ("readonly", "ro"))
    source = words.get("source") or words.get("src") or ""
    return _bind(
        program, source, words.get("target") or words.get("dst") or words.get("destination") or "", read_only=read_only
    )


def _bind(program: str, source: str, target: str, *, read_only: bool) -> dict[str, str]:
    if not target or not source.startswith(("/", ".", "~")):
        raise CannotTakeOver(
            what=f"`{program}` keeps data in the volume {source or target!r}, which would stay behind",
            advice="leave the option out, write sandbox.writable and a reason for the server, and copy the data yourself",
        )
    return {"source": source, "target": target, "mode": "ro" if read_only else "rw"}
