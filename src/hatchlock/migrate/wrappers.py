"""What stands around a command without changing what it runs: shells, `env`, Windows' `cmd /c`, version managers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hatchlock.clients.shape import Start
from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.options import program_name

__all__ = ["unwrapped"]

_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ash", "fish"})
_SHELL_OPTION = re.compile(r"-[lieuxc]+|--login|--interactive|--norc|--noprofile")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_OPERATORS = frozenset("();<>|&")
_SUBSTITUTED = re.compile(r"`|\$\(|\$\(\(|[*?]")
_SECRET_KEEPERS = {
    "op": "1Password",
    "doppler": "Doppler",
    "infisical": "Infisical",
    "envchain": "the keychain",
    "aws-vault": "aws-vault",
    "dotenv": "a file",
    "dotenvx": "a file",
    "direnv": "a directory's .envrc",
    "vault": "Vault",
    "chamber": "chamber",
}
_DEEPEST = 5


def unwrapped(start: Start) -> Start:
    """Return what is run in the end.

    Args:
        start: As an entry has it. Variables that are set on the way are among its variables afterwards, a directory that is
            changed into is its directory.

    Raises:
        CannotTakeOver: A shell does more than to run one program, or variables come from a place that only the wrapper knows.
    """
    for _ in range(_DEEPEST):
        inner = _inner(start)
        if inner is None:
            return start
        start = inner
    return start


def _inner(start: Start) -> Start | None:
    if " " in start.command and not start.args and not Path(start.command).exists():
        return _from_text(start, start.command)  # all of it in one word
    name = program_name(start.command).lower()
    if name in _SHELLS:
        return _shell(start)
    if name in _SECRET_KEEPERS:
        raise CannotTakeOver(
            what=f"`{name}` gives it variables from {_SECRET_KEEPERS[name]}, and which ones is not said here",
            advice='name what it runs, and each variable: env.NAME = { secret = "command:…" } or "file:PATH#NAME"',
        )
    unwrap = _WRAPPERS.get(name)
    return unwrap(start) if unwrap else None


def _shell(start: Start) -> Start | None:
    words = list(start.args)
    is_command = False
    while words and _SHELL_OPTION.fullmatch(words[0]):
        is_command = is_command or ("c" in words[0] and not words[0].startswith("--"))
        words.pop(0)
    if not is_command:
        return None  # a script
    if not words:
        raise CannotTakeOver(what="the shell does not say what to run")
    return _from_text(start, words[0])


def _from_text(start: Start, text: str) -> Start:
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = ""
        words = list(lexer)
    except ValueError as error:
        raise CannotTakeOver(
            what="the words of the shell's command cannot be told apart: a quotation is not closed"
        ) from error
    cwd = start.cwd
    env = dict(start.env)
    while words:
        match words:
            case ["cd", directory, "&&" | ";", *rest]:
                cwd, words = directory, rest
            case ["export", assignment, "&&" | ";", *rest] if found := _ASSIGNMENT.fullmatch(assignment):
                env[found[1]], words = found[2], rest
            case ["exec", *rest]:
                words = rest
            case _:
                break
    return _assigned(replace(start, cwd=cwd, env=env), _plain(words))


def _plain(words: list[str]) -> list[str]:
    if not words:
        raise CannotTakeOver(what="the shell does not say what to run")
    if any(set(word) <= _OPERATORS or _SUBSTITUTED.search(word) for word in words):
        raise CannotTakeOver(
            what="its command is a script of the shell, which runs more than one program, or fills something in",
            advice="name the one program that is the server, and give what is filled in as env",
        )
    return words


def _assigned(start: Start, words: list[str]) -> Start:
    """Take `NAME=VALUE` in front of a command as variables."""
    env = dict(start.env)
    while words and (found := _ASSIGNMENT.fullmatch(words[0])):
        env[found[1]] = found[2]
        words = words[1:]
    if not words:
        raise CannotTakeOver(what="it sets variables, and does not say what to run")
    return replace(start, command=words[0], args=tuple(words[1:]), env=env)


def _env(start: Start) -> Start:
    words = list(start.args)
    while words and words[0].startswith("-"):
        if words[0] in {"-S", "--split-string"} and len(words) > 1:
            words = [*shlex.split(words[1]), *words[2:]]
        elif words[0] in {"-i", "--ignore-environment", "-", "--"}:
            words = words[1:]
        else:
            raise CannotTakeOver(what=f"`env` has the option {words[0]}, which cannot be taken over")
    return _assigned(start, words)


def _cmd(start: Start) -> Start:
    words = list(start.args)
    while words and re.fullmatch(r"/[a-z](?::\w+)?", words[0], re.IGNORECASE):
        words = words[1:]
    if len(words) == 1 and " " in words[0]:
        words = words[0].split()
    if not words:
        raise CannotTakeOver(what="`cmd` does not say what to run")
    return replace(start, command=words[0], args=tuple(words[1:]))


def _powershell(start: Start) -> Start | None:
    for index, word in enumerate(start.args):
        if word.lower() in {"-command", "-c"} and index + 1 < len(start.args):
            return _from_text(start, " ".join(start.args[index + 1 :]))
    return None


def _wsl(start: Start) -> Start:
    words = list(start.args)
    cwd = start.cwd
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in {"-d", "--distribution", "-u", "--user", "--cd"} and words:
            value = words.pop(0)
            cwd = value if option == "--cd" else cwd
    if not words:
        raise CannotTakeOver(what="`wsl` does not say what to run")
    return replace(start, command=words[0], args=tuple(words[1:]), cwd=cwd)


def _sudo(start: Start) -> Start:
    words = [word for index, word in enumerate(start.args) if word not in {"-E", "-n"} or any(start.args[:index])]
    if not words or words[0].startswith("-"):
        raise CannotTakeOver(what="`sudo` runs it as somebody else, which cannot be taken over")
    return replace(start, command=words[0], args=tuple(words[1:]))


def _behind_dashes(start: Start) -> Start | None:
    """`mise exec node@22 -- npx x`: the versions are the lock's affair."""
    if "--" not in start.args[:-1]:
        return None
    words = start.args[start.args.index("--") + 1 :]
    return replace(start, command=words[0], args=tuple(words[1:]))


_WRAPPERS: dict[str, Callable[[Start], Start | None]] = {
    "env": _env,
    "cmd": _cmd,
    "powershell": _powershell,
    "pwsh": _powershell,
    "wsl": _wsl,
    "sudo": _sudo,
    "mise": _behind_dashes,
    "asdf": _behind_dashes,
    "fnm": _behind_dashes,
}
