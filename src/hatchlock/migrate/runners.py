"""Command lines that fetch what they run: npx and its like, uvx and its like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hatchlock.address import BadSource
from hatchlock.manifest.npx import npx_source
from hatchlock.manifest.takeover import CannotTakeOver, name_from, server_from_source
from hatchlock.migrate.described import Described
from hatchlock.migrate.options import Options
from hatchlock.migrate.values import at_home

__all__ = ["from_npx", "from_pipx", "from_uvx", "listed", "npm_words", "requirement_source"]

_GIT = "git+"
_UVX = Options(
    program="uvx",
    flags=frozenset(
        {
            *("-q", "--quiet", "-v", "--verbose", "--no-progress", "--isolated", "--refresh", "-U", "--upgrade"),
            *(
                "-n",
                "--no-cache",
                "--native-tls",
                "--no-config",
                "--no-env-file",
                "--offline",
                "--reinstall",
                "--force-reinstall",
            ),
            *("--no-python-downloads", "--system-certs", "--managed-python", "--no-managed-python"),
        }
    ),
    values=frozenset(
        {
            *("--from", "--with", "-w", "--python", "-p", "--with-editable", "--prerelease", "--refresh-package"),
            *("--color", "--cache-dir", "--link-mode", "--python-preference", "--resolution", "--exclude-newer"),
            *("--env-file", "--directory", "--project", "--reinstall-package", "--upgrade-package", "-P"),
        }
    ),
    lost={
        "--prerelease": "pre-releases are taken where nothing else fits; write the version that is wanted, pypi:NAME==1.0rc1",
        "--resolution": "the newest versions that fit are taken",
        "--exclude-newer": "it is one date for the whole manifest: [project] exclude-newer",
        "--with-editable": 'name the directory: with = ["path:DIR"]',
        "--env-file": 'the variables of that file: env.NAME = { secret = "file:PATH#NAME" }',
    },
)
_PIPX = Options(
    program="pipx run",
    flags=frozenset({"-q", "--quiet", "-v", "--verbose", "--no-cache", "--no-path-check"}),
    values=frozenset({"--spec", "--with", "--python"}),
)
_LIKE_NPX: dict[str, set[str]] = {"npm": {"exec", "x"}, "pnpm": {"dlx"}, "yarn": {"dlx"}, "bun": {"x"}}
_NPX_FLAGS = {"-y", "--yes", "-q", "--quiet", "-s", "--silent", "--prefer-offline", "--prefer-online", "--bun", "-no"}
_NPX_FLAGS |= {
    "--no-install",
    "--ignore-existing",
    "--no",
    "--offline",
    "--verbose",
    "-f",
    "--force",
    "--no-audit",
    "--no-fund",
    "--no-cache",
}
_NPX = Options(
    program="npx",
    flags=frozenset(_NPX_FLAGS),
    values=frozenset({"-p", "--package", "--loglevel", "--cache", "--node-options", "--prefix"}),
    lost={"--node-options": "give it as a variable: env.NODE_OPTIONS"},
)


def requirement_source(text: str) -> tuple[str, str]:
    """Return the source of a Python requirement, and a name for it.

    Args:
        text: As uvx has it: `name`, `name@1.2`, `name[extra]>=1`, `git+…`, a directory.

    Raises:
        BadSource: It is none of these.
    """
    if text.startswith(_GIT):
        source = f"git:{text.removeprefix(_GIT)}"
    elif re.match(r"\.{0,2}/|~/|[A-Za-z]:[\\/]|\.{1,2}$", text):
        source = f"path:{Path(at_home(text))}"
    else:
        spec = _without_at(text)
        try:
            requirement = Requirement(spec)
        except InvalidRequirement as error:
            why = str(error).splitlines()[0]
            raise BadSource(text=f"pypi:{spec}", why=why, advice="write pypi:NAME[EXTRA]>=1.2,<2") from error
        if requirement.url and requirement.url.startswith(_GIT):
            return f"git:{requirement.url.removeprefix(_GIT)}", name_from(requirement.name)
        return f"pypi:{spec}", name_from(requirement.name)
    return source, server_from_source(source)[0]


def listed(text: str) -> list[str]:
    """Return the requirements of a list with commas, of which a requirement may have some of its own."""
    return re.split(r",(?![^\[]*\])(?=\s*[A-Za-z./~])", text)


def _without_at(spec: str) -> str:
    """`name@1.2` is uvx's own spelling of `name==1.2`; `@latest` is what the lock decides."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?@([A-Za-z0-9.!+_-]+)(\[[^\]]*\])?", spec)
    if match is None:
        return spec
    name = match[1] + (match[2] or match[4] or "")
    return name if match[3] == "latest" else f"{name}=={match[3]}"


def from_uvx(program: str, words: Sequence[str]) -> Described:
    """Read what stands behind `uvx` or `uv tool run`.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: It has an option without counterpart.
    """
    found = Options(program=program, flags=_UVX.flags, values=_UVX.values, lost=_UVX.lost).split(words)
    tool, *args = found.rest
    more = [item for value in found.all("--with", "-w") for item in listed(value)]
    spec = found.last("--from")
    described = _python(spec or tool, tool if spec else "", args, more, found.last("--python", "-p"))
    return Described(name=described.name, fields=described.fields, args=described.args, lost=found.lost)


def from_pipx(words: Sequence[str]) -> Described:
    """Read what stands behind `pipx run`.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: It has an option without counterpart.
    """
    found = _PIPX.split(words)
    tool, *args = found.rest
    spec = found.last("--spec")
    return _python(spec or tool, tool if spec else "", args, found.all("--with"), found.last("--python"))


def _python(spec: str, command: str, args: Sequence[str], more: Iterable[str], python: str) -> Described:
    source, name = requirement_source(spec)
    fields: dict[str, object] = {"source": source}
    words = (command, *args)
    if re.fullmatch(r"python[\d.]*", command):
        fields["command"] = list(words)  # python -m MODULE, of the package
        args = ()
    elif command and canonicalize_name(command) != canonicalize_name(re.split(r"[\[<>=!~;@ ]", spec)[0]):
        fields["command"] = command
    if python:
        fields["python"] = _python_version(python)
    if others := [requirement_source(item.strip())[0] for item in more if item.strip()]:
        fields["with"] = others
    return Described(name=name, fields=fields, args=tuple(args))


def _python_version(text: str) -> str:
    if re.fullmatch(r"(?:(?:c?python|cp)@?)?3\.?\d+(\.\d+)?|", text) is None:
        raise CannotTakeOver(what=f"the interpreter {text!r} is no version of Python, and cannot be taken over")
    version = re.sub(r"^[a-z]*@?", "", text)
    return version if "." in version else f"3.{version[1:]}"


def npm_words(program: str, words: Sequence[str]) -> tuple[str, list[str]] | None:
    """Return the name and the words of npx, where a program's words mean what npx does; None if they do not."""
    if program in {"npx", "bunx", "pnpx"}:
        return program, list(words)
    verbs = _LIKE_NPX.get(program, set())
    at = next((index for index, word in enumerate(words) if word in verbs), None)
    if at is None or any(not word.startswith("-") for word in words[: min(at, 1)]):
        return None
    return f"{program} {words[at]}", [*words[:at], *words[at + 1 :]]


def from_npx(program: str, words: Sequence[str]) -> Described:
    """Read what stands behind `npx` and its like.

    Raises:
        BadSource: What it runs is no source.
        CannotTakeOver: It has an option without counterpart.
    """
    found = Options(program=program, flags=_NPX.flags, values=_NPX.values, lost=_NPX.lost).split(words)
    word, *args = found.rest
    if args[:1] == ["--"]:  # npm exec PACKAGE -- ARGUMENTS
        args = args[1:]
    packages = [_without_latest(item) for item in found.all("-p", "--package")]
    source = npx_source(packages[0] if packages else _without_latest(word))
    name, fields = server_from_source(source)
    if packages:
        fields["command"] = word
    if packages[1:]:
        fields["with"] = [npx_source(item) for item in packages[1:]]
    return Described(name=name, fields=fields, args=tuple(args), lost=found.lost)


def _without_latest(spec: str) -> str:
    """`name@latest` is npx's own habit: what is newest is the lock's business."""
    return spec.removesuffix("@latest")
