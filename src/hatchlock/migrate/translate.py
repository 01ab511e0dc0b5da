"""From what an application starts or connects to, to a server of the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.clients.shape import Address, Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.suspicion import looks_secret, secret_arguments
from hatchlock.manifest.takeover import CannotTakeOver, server_from_source
from hatchlock.migrate.bridges import BRIDGES_BY_PROGRAM, Bridged, bridged
from hatchlock.migrate.described import Described
from hatchlock.migrate.docker_line import ENGINES, image_of
from hatchlock.migrate.finish import finished
from hatchlock.migrate.fitting import without_tokens
from hatchlock.migrate.foreign import OfFinch, finch_target, hatch_package, refuse_ours
from hatchlock.migrate.image_use import ImageUse, proposed_image
from hatchlock.migrate.installed import behind_a_shim, past_our_own, program_places
from hatchlock.migrate.model import Left, Proposed
from hatchlock.migrate.names import server_name
from hatchlock.migrate.options import program_name
from hatchlock.migrate.programs import as_typed, from_npm_script, from_program, from_uv_run
from hatchlock.migrate.reach import hosts_in, paths_in, paths_to_be
from hatchlock.migrate.runners import from_npx, from_pipx, from_uvx, npm_words
from hatchlock.migrate.values import at_home, holds_secret, parted, references, unparted
from hatchlock.migrate.wrappers import unwrapped

__all__ = ["taken_over", "translated", "typed"]

_OWN_PLACES = "a server finds what its own environment has"
_OF_THE_MACHINE = dict.fromkeys(("PATH", "NODE_PATH", "PYTHONPATH", "VIRTUAL_ENV", "HOME", "PWD"), _OWN_PLACES) | {
    "npm_config_yes": "nothing is asked"
}
"""Variables that say where things are on this machine, and mean nothing in a sandbox."""
_RANDOM = re.compile(r"(?:[A-Za-z]+[_-])?(?=(?:\D*\d){5})(?=(?:[^A-Za-z]*[A-Za-z]){5})[A-Za-z0-9]{20,}")
_RELATIVE = "its path is relative, and to what is not said: write it in full"
_PYTHON_MANAGERS = frozenset({"uv", "poetry", "pdm", "rye", "pip", "pip3"})
_NODE_MANAGERS = frozenset({"npm", "pnpm", "yarn"})
_RUNS_TYPESCRIPT = frozenset({"npm:tsx", "npm:ts-node"})


def translated(server: Start | Address, *, name: str, line: int = 0, directory: str = "") -> Proposed | Left:
    """Return the server that an entry means.

    What is returned is valid in a manifest, once its secrets are references. Nothing is run, and no network is asked; of this
    machine only what an entry names is looked at: whether a path is there, which project holds it, what has installed it.

    Args:
        server: What the application does with it.
        name: Its name in the file; "" where it has none.
        line: Where it begins; 0 where the file has no lines.
        directory: Where the application starts it, where that is known: for a file that belongs to a directory.

    Returns:
        The server, with what of it cannot be carried over; or why nothing of it can be.
    """
    try:
        return _meant(server, name=name, line=line, directory=directory)
    except HatchlockError as error:
        hint = f"; {error.hint}" if error.hint else ""
        return Left(line=line, what=without_tokens(f"`{name}`: {error}{hint}" if name else f"{error}{hint}"))


def taken_over(server: Start | Address, *, name: str = "", line: int = 0, directory: str = "") -> Proposed:
    """Return the server that an entry means, as `translated` does, or raise why there is none.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: Nothing of it can be carried over.
    """
    found = _meant(server, name=name, line=line, directory=directory)
    if isinstance(found, Left):
        raise CannotTakeOver(what=found.what)
    return found


def typed(words: Sequence[str]) -> Proposed:
    """Return the server that a command line starts, as whoever types it to try that very command means it.

    What is fetched is the source that it names (`uvx`, `npx`, `docker run` and the like, also behind `env` or a shell). Any other
    program is the one of this machine, a script of a shell among them: its project is not built for that, and nothing is mounted.

    Args:
        words: The command line, split; not empty.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: It has an option without counterpart, or a secret among its arguments.
    """
    start = Start(command=words[0], args=tuple(words[1:]))
    try:
        inner = unwrapped(start)
    except CannotTakeOver:
        inner = start
    if _is_fetched(inner):
        return taken_over(start)
    described = as_typed(start.command, start.args)
    args = _arguments(described.args)
    fields = {**described.fields, **({"args": args} if args else {})}
    return Proposed(name=described.name, found_as="", line=0, fields=fields)


def _is_fetched(start: Start) -> bool:
    """Whether a command line brings what it runs, or connects to something, instead of running what is here."""
    program = program_name(start.command).lower()
    runners = {"uvx", *ENGINES, *BRIDGES_BY_PROGRAM, *_PYTHON_MANAGERS, *_NODE_MANAGERS}
    is_pipx = (program, *start.args[:1]) == ("pipx", "run")
    return program in runners or is_pipx or bool(npm_words(program, start.args)) or finch_target(start) is not None


def _meant(server: Start | Address, *, name: str, line: int, directory: str) -> Proposed | Left:
    if isinstance(server, Address):
        return _remote(Bridged(address=server), name=name, line=line)
    return _local(server, name=name, line=line, directory=directory)


def _remote(bridge: Bridged, *, name: str, line: int, own: str = "") -> Proposed | Left:
    address = bridge.address
    if references(address.url):
        raise CannotTakeOver(
            what="its address holds a variable, and nothing is put into addresses",
            advice="write the address in full; what is secret of it belongs into headers",
        )
    found, fields = server_from_source(address.url)
    literals, secrets = parted("headers", address.headers)
    fields |= {"transport": "sse"} if address.transport == "sse" else {}
    fields |= bridge.fields
    fields |= {"headers": literals} if literals else {}
    lost = [Left(line=line, what=what) for what in bridge.lost]
    return finished(
        Proposed(
            name=server_name(name) if name else own or found,
            found_as=name,
            line=line,
            fields=fields,
            secrets=secrets,
            left=(*unparted("headers", address.headers, line=line), *lost),
            notes=bridge.notes,
        )
    )


def _local(server: Start, *, name: str, line: int, directory: str) -> Proposed | Left:
    refuse_ours(server)
    start = unwrapped(server)
    refuse_ours(start)
    cwd, lost_cwd = _working_directory(start.cwd, directory)
    if finch := finch_target(start):
        return _of_finch(finch, start, name=name, line=line, directory=directory)
    program = program_name(start.command).lower()
    if program in ENGINES:
        use, lost = image_of(program, start.args, start.env)
        return _of_image(use, (*lost, *lost_cwd), name=name, line=line)
    described = hatch_package(start) or _described(program, start, cwd)
    source = str(described.fields.get("source") or BRIDGES_BY_PROGRAM.get(program, ""))
    if bridge := bridged(source, described.args, start.env):
        return _remote(bridge, name=name, line=line)
    if source in _RUNS_TYPESCRIPT and described.args:
        script = from_program(source.partition(":")[2], described.args, cwd=cwd)
        described = script if script.is_project else described
    kept = cwd if start.cwd or _names_below(described.args, cwd) else ""
    return _of_package(described, start.env, cwd=kept, lost=lost_cwd, name=name, line=line)


def _working_directory(own: str, directory: str) -> tuple[str, tuple[str, ...]]:
    """Return where an entry is started, "" where that is not known, and what of it cannot be kept."""
    if not own:
        return directory, ()
    path = Path(at_home(own))
    if directory and not references(own):
        path = Path(directory) / path
    if not path.is_absolute():
        return directory, (f"the working directory {own}: it is known to the application alone; write cwd",)
    return str(path), ()


def _names_below(args: Sequence[str], directory: str) -> bool:
    """Whether an argument is a relative path of something that is there: only then it matters where the server starts."""
    return bool(directory) and any(
        not word.startswith(("-", "/", "~")) and Path(directory, word).exists() for word in args if word
    )


def _described(program: str, start: Start, cwd: str) -> Described:
    words = start.args
    found: Described | None = None
    if npx := npm_words(program, words):
        found = from_npx(*npx)
    elif program == "uvx":
        found = from_uvx(program, words)
    elif program in _PYTHON_MANAGERS:
        found = _of_manager(program, words, cwd)
    elif (program, *words[:1]) == ("pipx", "run"):
        found = from_pipx(words[1:])
    elif program in _NODE_MANAGERS:
        found = from_npm_script(program, words, cwd=cwd)
    if found is None and program in _PYTHON_MANAGERS | _NODE_MANAGERS:
        raise CannotTakeOver(what=f"`{program} {' '.join(words[:1])}` runs no server")
    return found or from_program(start.command, words, cwd=cwd)


def _of_manager(program: str, words: Sequence[str], cwd: str) -> Described | None:
    at = words.index("run") if "run" in words else len(words)
    if words[at - 1 : at + 1] == ("tool", "run") and words[at - 2 : at - 1] not in {("--directory",), ("--project",)}:
        return from_uvx("uv tool run", words[at + 1 :])
    return from_uv_run(program, words[:at], words[at + 1 :], cwd=cwd) if at < len(words) else None


def _of_finch(finch: OfFinch, start: Start, *, name: str, line: int, directory: str) -> Proposed | Left:
    env = {**start.env, **finch.env}
    target = finch.target
    if isinstance(target, ImageUse):
        use = replace(target, env=env, mounts=finch.mounts, network=finch.network)
        return _of_image(use, finch.lost, name=name, line=line)
    if isinstance(target, Start):
        found = _local(replace(target, env=env), name=name, line=line, directory=directory)
    else:
        found = _of_package(target, env, cwd="", lost=(), name=name, line=line)
    if isinstance(found, Left):
        return found
    sandbox = dict(found.fields.get("sandbox", {}))
    mounts = [*sandbox.get("mounts", ()), *(mount.table() for mount in finch.mounts)]
    sandbox |= ({"mounts": mounts} if mounts else {}) | ({"network": "host"} if finch.network else {})
    lost = (Left(line=line, what=what) for what in finch.lost)
    return finished(replace(found, fields={**found.fields, "sandbox": sandbox}, left=(*found.left, *lost)))


def _of_image(use: ImageUse, lost: Iterable[str], *, name: str, line: int) -> Proposed | Left:
    checked = replace(use, args=tuple(_arguments(use.args)))
    found = proposed_image(checked, name=name, line=line)
    if isinstance(found, Left):
        return found
    return replace(found, left=(*found.left, *(Left(line=line, what=what) for what in lost)))


def _of_package(
    described: Described, env: Mapping[str, str], *, cwd: str, lost: Sequence[str], name: str, line: int
) -> Proposed | Left:
    args = _arguments(described.args)
    known = {key: at_home(value) for key, value in env.items() if key not in _OF_THE_MACHINE}
    lost = (*lost, *(f"`{key}`: {_OF_THE_MACHINE[key]}" for key in env if key in _OF_THE_MACHINE))
    literals, secrets = parted("env", known)
    fields, notes = _started(described, cwd)
    used = [*args, *literals.values()]
    own = _own_places(fields)
    keeps_directory = bool(cwd) and not described.is_project
    places = paths_in([*used, *described.seen, *([cwd] if keeps_directory else []), *own])
    if described.is_project:
        root = str(fields["source"]).partition(":")[2]
        places = [path for path in places if path != root and not path.startswith(f"{root}/")]
    has_directory = keeps_directory and any(cwd == path or cwd.startswith(f"{path}/") for path in places)
    if keeps_directory and not has_directory:
        lost = (*lost, f"the working directory {cwd}: it is not there, or not for a sandbox; write cwd")
    more: dict[str, Any] = {
        "args": args,
        "cwd": cwd if has_directory else "",
        "env": literals,
        "sandbox": _sandbox(hosts_in(used), places),
    }
    return finished(
        Proposed(
            name=server_name(name) if name else described.name,
            found_as=name,
            line=line,
            fields=fields | {key: value for key, value in more.items() if value},
            secrets=secrets,
            left=(
                *unparted("env", known, line=line),
                *(Left(line=line, what=what) for what in (*described.lost, *lost)),
            ),
            notes=(
                *notes,
                *_read_only([path for path in places if path not in own]),
                *_to_be(paths_to_be(used, places)),
            ),
        )
    )


def _started(described: Described, cwd: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields that say what is started, for whoever is not in the entry's working directory; and notes."""
    fields, notes = dict(described.fields), described.notes
    if str(fields.get("source", "")).startswith("path:.") and cwd:
        fields["source"] = f"path:{Path(cwd) / str(fields['source']).removeprefix('path:')}"
    command = fields.get("command")
    if isinstance(command, list):
        fields["command"] = _arguments(command)
    elif isinstance(command, str):
        fields["command"] = _program(command, cwd)
        notes += (_RELATIVE,) if _is_relative(fields["command"]) else ()
    program = "" if "source" in fields else _first(fields)
    other = past_our_own(program) if program else ""
    shim, found = behind_a_shim(other or program) if program else ("", "")
    if meant := found or other:
        fields["command"] = [meant, *fields["command"][1:]] if isinstance(fields["command"], list) else meant
        own = "the one before it on this PATH is hatchlock's own, which no application starts"
        notes += (f"{meant} is meant: " + (f"{shim} only looks for it, which no sandbox lets it" if shim else own),)
    return fields, notes


def _sandbox(hosts: Sequence[str], places: Sequence[str]) -> dict[str, Any]:
    network = {"network": hosts} if hosts else {}
    mounts = {"mounts": [{"source": path, "target": path, "mode": "ro"} for path in places]} if places else {}
    return {**network, **mounts}


def _program(command: str, cwd: str) -> str:
    place = at_home(command)
    if "$" in place:
        raise CannotTakeOver(what="its program is named by a variable", advice="write its path")
    return str(Path(cwd) / place) if cwd and _is_relative(place) else place


def _own_places(fields: Mapping[str, Any]) -> list[str]:
    """Return what a program of this machine needs to see of itself."""
    program = _first(fields)
    return program_places(program) if program and "source" not in fields else []


def _first(fields: Mapping[str, Any]) -> str:
    """Return the program of a server's command; "" where it has none."""
    command = fields.get("command") or ""
    return command if isinstance(command, str) else command[0]


def _is_relative(command: str) -> bool:
    return "/" in command and not command.startswith("/")


def _read_only(places: Sequence[str]) -> tuple[str, ...]:
    return tuple(f'{path} is mounted read-only: write mode = "rw" if it is to write there' for path in places)


def _to_be(paths: Sequence[str]) -> tuple[str, ...]:
    advice = 'mount its directory, with mode = "rw" if the server makes it'
    return tuple(f"{path} is not there yet, and not in its sandbox: {advice}" for path in paths)


def _arguments(words: Sequence[str]) -> list[str]:
    """Return a server's own arguments.

    Raises:
        CannotTakeOver: One holds a secret, or a place where an application puts something in.
    """
    args = [at_home(word) for word in words]
    suspects = secret_arguments([re.sub(r"<[^<>]*>", "Ab1Cd2Ef3Gh4Ij5Kl6", word) for word in args])
    suspects += [index for index, word in enumerate(args) if holds_secret(word) or _is_random(args, index)]
    filled = [index for index, word in enumerate(args) if references(word) or re.search(r"\$\{[^}]*\}", word)]
    secret = [index for index in filled if _is_named_secret(args, index)]
    if suspects or secret:
        raise CannotTakeOver(
            what=f"argument {min((*suspects, *secret)) + 1} of the server looks like a secret, and a manifest is no place for one",
            advice="give it as a variable that the server reads: env.NAME = { secret = … }",
        )
    if filled:
        raise CannotTakeOver(
            what=f"argument {filled[0] + 1} holds a variable, and nothing is put into arguments",
            advice="write what it stands for, or give it as a variable that the server reads",
        )
    return args


def _is_random(args: Sequence[str], index: int) -> bool:
    """Whether a word that belongs to no option is a text that nobody would think of: a key, most probably."""
    belongs = index > 0 and args[index - 1].startswith("-") and "=" not in args[index - 1]
    return not belongs and _RANDOM.fullmatch(args[index]) is not None


def _is_named_secret(args: Sequence[str], index: int) -> bool:
    option = args[index].partition("=")[0] if args[index].startswith("-") else args[index - 1] if index else ""
    return looks_secret(option.lstrip("-"), "Ab1Cd2Ef3Gh4Ij5Kl6")
