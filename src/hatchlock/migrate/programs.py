"""Command lines that run what lies on this machine: scripts, projects, installed programs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hatchlock.manifest.takeover import CannotTakeOver, name_from, server_from_source
from hatchlock.migrate.described import Described
from hatchlock.migrate.installed import module_source, program_source
from hatchlock.migrate.options import Options, program_name
from hatchlock.migrate.runners import listed, requirement_source
from hatchlock.migrate.values import at_home

__all__ = ["as_typed", "from_npm_script", "from_program", "from_uv_run", "project_above"]

_PYTHON_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile")
_NODE_PROJECT = ("package.json",)
_DULL = frozenset(
    {"index", "main", "server", "app", "run", "cli", "start", "mcp", "src", "dist", "build", "bin", "lib", "__main__"}
)
_INTERPRETERS = re.compile(r"python[\d.]*|node|deno|bun|ruby|bash|sh|zsh|php|perl|java|tsx|ts-node")
_NODE_WITH_VALUE = frozenset({"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"})
_DIRECTORY = ("--directory", "--project", "-C", "-P")
_UV_RUN = Options(
    program="uv run",
    flags=frozenset(
        {
            *(
                "-q",
                "--quiet",
                "-v",
                "--verbose",
                "--no-sync",
                "--frozen",
                "--locked",
                "--isolated",
                "--active",
                "-s",
                "--script",
            ),
            *(
                "--no-project",
                "--no-dev",
                "--dev",
                "--no-cache",
                "-n",
                "--offline",
                "--no-progress",
                "--native-tls",
                "--exact",
            ),
            *(
                "--no-config",
                "--all-extras",
                "--no-env-file",
                "--all-packages",
                "--no-editable",
                "--refresh",
                "-U",
                "--upgrade",
            ),
            *("--managed-python", "--no-managed-python", "--no-python-downloads", "--compile-bytecode", "--reinstall"),
        }
    ),
    values=frozenset(
        {
            *(
                *_DIRECTORY,
                "--with",
                "-w",
                "--with-editable",
                "--extra",
                "--group",
                "--only-group",
                "-p",
                "--python",
            ),
            *(
                "--env-file",
                "--cache-dir",
                "--package",
                "--color",
                "--link-mode",
                "-m",
                "--module",
                "--with-requirements",
            ),
            *("--python-preference", "--refresh-package", "--no-group", "--prerelease"),
        }
    ),
    lost={
        "--extra": 'a project\'s extras are not chosen; name what they need: with = ["pypi:…"]',
        "--all-extras": 'a project\'s extras are not chosen; name what they need: with = ["pypi:…"]',
        "--group": 'a project\'s groups are not chosen; name what they need: with = ["pypi:…"]',
        "--with-requirements": 'name what the file lists: with = ["pypi:…"]',
        "--env-file": 'the variables of that file: env.NAME = { secret = "file:PATH#NAME" }',
        "--package": "name the member of the workspace as the source: path:DIR",
        "--prerelease": "pre-releases are taken where nothing else fits",
    },
)


def project_above(path: Path, files: Sequence[str]) -> Path | None:
    """Return the closest directory at or above a path that has one of these files; None if there is none.

    The user's home and what is above it are no projects, whatever lies there.
    """
    home = Path.home()
    for directory in (path, *path.parents):
        if directory == home or directory in home.parents:
            return None
        if directory.is_dir() and any((directory / name).is_file() for name in files):
            return directory
    return None


def from_uv_run(program: str, before: Sequence[str], words: Sequence[str], *, cwd: str) -> Described:
    """Read what stands behind `uv run`, and behind that of other tools for projects of Python.

    Args:
        program: `uv`, `poetry` or another one.
        before: What stands between it and `run`.
        words: What stands behind `run`.
        cwd: Where it is run; "" where that is not known.

    Raises:
        BadSource: What it brings along is no source.
        CannotTakeOver: It has an option without counterpart, or nothing to run.
    """
    options = replace(_UV_RUN, program=f"{program} run")
    outer = options.split(before, needs_rest=False)
    found = options.split(words, needs_rest=not any(word in {"-m", "--module"} for word in words))
    said = found.last(*_DIRECTORY) or outer.last(*_DIRECTORY)
    directory = str(Path(cwd, at_home(said))) if cwd else said
    module = found.last("-m", "--module")
    run = ["python", "-m", module, *found.rest] if module else list(found.rest)
    if run and run[0].endswith(".py"):
        run = ["python", *run]
    more = [requirement_source(item.strip())[0] for value in found.all("--with", "-w") for item in listed(value)]
    more += [f"path:{Path(at_home(value))}" for value in found.all("--with-editable")]
    python = found.last("-p", "--python")
    root = _uv_project(directory, run)
    if root is not None:
        command = [_below(root, word, directory) for word in run]
        fields = {"source": f"path:{root}", "command": command} | ({"with": more} if more else {}) | _version(python)
        return Described(name=_project_name(root), fields=fields, lost=found.lost, is_project=True)
    if more:  # uv run --with "mcp[cli]" mcp run /path/server.py
        run = [_in_full(word, directory or cwd) for word in run]
        fields = {"source": more[0], "command": run} | ({"with": more[1:]} if more[1:] else {}) | _version(python)
        return Described(name=_script_name(run), fields=fields, lost=found.lost, notes=_alone(run), seen=tuple(run))
    missing = f": {directory} is no project of Python here" if directory else ""
    return Described(
        name=name_from(Path(directory).name) if directory else _script_name(run),
        fields={"command": program},
        args=(*before, "run", *words),
        lost=found.lost,
        notes=(f"`{program} run` stays as it is, as a program of this machine that is not pinned{missing}",),
    )


def _version(python: str) -> dict[str, str]:
    match = re.fullmatch(r"(?:c?python@?)?(3\.\d+(?:\.\d+)?)", python)
    return {"python": match[1]} if match else {}


def _uv_project(directory: str, run: Sequence[str]) -> Path | None:
    if directory:
        path = Path(at_home(directory))
        return project_above(path, _PYTHON_PROJECT) if path.is_absolute() and path.is_dir() else None
    script = Path(at_home(run[1])) if run[:1] == ["python"] and run[1:] else Path()
    return project_above(script.parent, _PYTHON_PROJECT) if script.suffix == ".py" and script.is_absolute() else None


def _below(root: Path, word: str, directory: str) -> str:
    """Return a word of a command as it is from a project's root, where it names a file below."""
    path = Path(at_home(directory) if directory else root) / word
    try:
        return str(path.relative_to(root)) if word.endswith((".py", ".js", ".mjs", ".cjs", ".ts")) else word
    except ValueError:
        return word


def _in_full(word: str, directory: str) -> str:
    """Return the path of a script that is there, and every other word as it is."""
    path = Path(at_home(directory), at_home(word))
    return str(path) if word.endswith(".py") and path.is_absolute() and path.is_file() else word


def _alone(run: Sequence[str]) -> tuple[str, ...]:
    scripts = [word for word in run if word.endswith(".py")]
    beside = "mount the directory if it needs what lies beside it"
    return tuple(f"it sees {word} alone: {beside}" if Path(word).is_absolute() else _lost(word) for word in scripts)


def _lost(script: str) -> str:
    return f"{script} is not found from where it starts: write its path in full"


def from_npm_script(program: str, words: Sequence[str], *, cwd: str) -> Described | None:
    """Read `npm run NAME` and `npm start`, with the project's directory; None if it is something else.

    Raises:
        CannotTakeOver: What the project's script runs is not one program, or its directory is not known.
    """
    options = Options(
        program=program,
        flags=frozenset({"-s", "--silent", "-q", "--quiet", "--if-present"}),
        values=frozenset({"--prefix", "--dir", "-C", "--cwd"}),
    )
    found = options.split(words, needs_rest=False)
    match found.rest:
        case ("run" | "run-script", script, *args):
            pass
        case ("start", *args):
            script = "start"
        case _:
            return None
    behind = options.split(args, needs_rest=False)
    directory = behind.last("--prefix", "--dir", "-C", "--cwd") or found.last("--prefix", "--dir", "-C", "--cwd") or cwd
    root = Path(at_home(directory)) if directory else None
    if root is None or not (root / "package.json").is_file():
        raise CannotTakeOver(
            what=f"`{program} run {script}` does not say where its project is"
            if root is None
            else f"{root} is no project of Node here",
            advice='name its directory: source = "path:DIR"',
        )
    text = json.loads((root / "package.json").read_text()).get("scripts", {}).get(script, "")
    run = shlex.split(text) if isinstance(text, str) else []
    if not run or program_name(run[0]) != "node" or re.search(r"[&|;<>$`]", text):
        raise CannotTakeOver(
            what=f"the script {script!r} of {root} runs something else than node",
            advice='name what it runs: source = "path:DIR", command = ["node", "FILE"]',
        )
    fields = {"source": f"path:{root}", "command": run}
    return Described(name=_project_name(root), fields=fields, args=behind.rest, is_project=True)


def from_program(command: str, args: Sequence[str], *, cwd: str) -> Described:
    """Read a command line that is nothing else: a script of a project, a program that a package has installed, or just a program.

    Args:
        command: The program.
        args: Its arguments.
        cwd: Where it is run; "" where that is not known.
    """
    program = program_name(command)
    if re.fullmatch(r"python[\d.]*", program):
        return _from_python(command, args, cwd=cwd)
    if program == "node":
        return _from_script(command, args, files=_NODE_PROJECT, ends=(".js", ".mjs", ".cjs", ".ts"), cwd=cwd)
    if program in {"tsx", "ts-node"}:
        return _from_script(
            command, args, files=_NODE_PROJECT, ends=(".ts", ".mts", ".js"), cwd=cwd, more=[f"npm:{program}"]
        )
    if not _INTERPRETERS.fullmatch(program) and (source := program_source(command)):
        return _installed(source, program, args)
    return _unpinned(command, args)


def as_typed(command: str, args: Sequence[str]) -> Described:
    """Read a command line as the program of this machine that it names, whatever project or package that is of."""
    match args:
        case ["-m", module, *rest] if re.fullmatch(r"python[\d.]*", program_name(command)):
            return Described(name=name_from(module), fields={"command": [command, "-m", module]}, args=tuple(rest))
    return _unpinned(command, args)


def _from_python(command: str, args: Sequence[str], *, cwd: str) -> Described:
    options = [word for word in args if word in {"-u", "-s", "-E", "-I", "-B", "-O", "-q", "-P"}]
    rest = [
        word
        for index, word in enumerate(args)
        if word not in options or any(not item.startswith("-") for item in args[:index])
    ]
    match rest:
        case ["-m", module, *words]:
            if source := module_source(command, module):
                found = _installed(source, "", words)
                return Described(
                    name=found.name,
                    fields={**found.fields, "command": ["python", "-m", module]},
                    args=tuple(words),
                    notes=found.notes,
                    is_project=found.is_project,
                )
            if root := _own_project(command, cwd):
                fields = {"source": f"path:{root}", "command": ["python", "-m", module]}
                return Described(name=_project_name(root), fields=fields, args=tuple(words), is_project=True)
            advice = 'if a package of PyPI brings that module, name it: source = "pypi:NAME"'
            return Described(
                name=name_from(module),
                fields={"command": [command, *options, "-m", module]},
                args=tuple(words),
                notes=(
                    f"`python -m {module}` is a program of this machine: it is not pinned; {advice}",
                    *_missing(command),
                ),
            )
    return _from_script(command, args, files=_PYTHON_PROJECT, ends=(".py",), cwd=cwd)


def _own_project(command: str, cwd: str) -> Path | None:
    """Return the project in whose virtual environment an interpreter is, or in whose directory it is run."""
    place = Path(at_home(command))
    if place.is_absolute() and (place.parent.parent / "pyvenv.cfg").is_file():
        return project_above(place.parent.parent.parent, _PYTHON_PROJECT)
    path = Path(at_home(cwd))
    return project_above(path, _PYTHON_PROJECT) if cwd and path.is_absolute() and path.is_dir() else None


def _from_script(
    command: str,
    args: Sequence[str],
    *,
    files: Sequence[str],
    ends: tuple[str, ...],
    cwd: str,
    more: Sequence[str] = (),
) -> Described:
    at = _first_word(args)
    script = args[at] if at is not None else ""
    path = Path(at_home(cwd), at_home(script)) if script else Path()
    if not script.endswith(ends) or at is None:
        return _unpinned(command, args)
    root = project_above(path.parent, files) if path.is_absolute() and path.is_file() else None
    if root is None:
        found = _unpinned(command, args)
        is_known = Path(at_home(script)).is_absolute() or (path.is_absolute() and path.is_file())
        return found if is_known else replace(found, notes=(*found.notes, _lost(script)))
    interpreter = re.sub(r"^python.*", "python", program_name(command))
    fields = {"source": f"path:{root}", "command": [interpreter, *args[:at], str(path.relative_to(root))]}
    return Described(
        name=_project_name(root),
        fields=fields | ({"with": list(more)} if more else {}),
        args=tuple(args[at + 1 :]),
        is_project=True,
    )


def _first_word(args: Sequence[str]) -> int | None:
    """Return the index of the first word that is neither an option nor an option's value."""
    index = 0
    while index < len(args) and args[index].startswith("-"):
        index += 2 if args[index] in _NODE_WITH_VALUE else 1
    return index if index < len(args) else None


def _installed(source: str, program: str, args: Sequence[str]) -> Described:
    name, fields = server_from_source(source)
    is_project = source.startswith("path:")
    own = re.split(r"[=@]", source.partition(":")[2].removeprefix("@"))[0]
    if program and (is_project or program != own):
        fields = {**fields, "command": program}
    return Described(
        name=name,
        fields=fields,
        args=tuple(args),
        notes=()
        if is_project
        else (f"{source} is what is installed on this machine; drop the version to follow new ones",),
        is_project=is_project,
    )


def _unpinned(command: str, args: Sequence[str]) -> Described:
    script = _script_name([command, *args])
    shown = program_name(command)
    unpinned = f"`{shown}` is a program of this machine: it is not pinned, and whoever changes it changes the server"
    return Described(name=script, fields={"command": command}, args=tuple(args), notes=(unpinned, *_missing(command)))


def _missing(command: str) -> tuple[str, ...]:
    is_there = ("/" in command and not command.startswith("/")) or shutil.which(command) is not None
    return () if is_there else (f"there is no program `{program_name(command)}` on this machine yet",)


def _script_name(words: Sequence[str]) -> str:
    """Return a name for what a command line runs: its script's, else its program's."""
    program, *rest = words or ("server",)
    script = next((word for word in rest if not word.startswith("-") and re.search(r"[./]", word)), "")
    if not script or not _INTERPRETERS.fullmatch(program_name(program)):
        return name_from(
            program_name(program) if not script else Path(script).stem if program == "mcp" else program_name(program)
        )
    parts = [part for part in re.split(r"[\\/]", re.sub(r"\.\w+$", "", script)) if part not in {"", ".", ".."}]
    telling = [part for part in reversed(parts) if part.lower() not in _DULL]
    return name_from((telling or parts or ["server"])[0])


def _project_name(root: Path) -> str:
    return name_from(root.name)
