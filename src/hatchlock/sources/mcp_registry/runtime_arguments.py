"""An entry's `runtimeArguments`, taken apart: what was meant for the program that starts a server, and what for the server.

They stand before the package's name on a command line of `docker run`, `uvx` or `npx`, none of which is used here. Publishers
also put the program's own words among them, the package once more, and the server's arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from hatchlock.sources.mcp_registry.document import Argument, NamedInput, Package

__all__ = ["Runtime", "split_runtime"]

_DOCKER_FLAGS = frozenset({"-i", "--interactive", "-t", "--tty", "-it", "-ti", "--rm", "--init", "-d", "--detach"})
_DOCKER_NAMES = frozenset({"--name", "--pull", "--platform", "-l", "--label", "--log-driver"})
_DOCKER_SANDBOX = {
    "-v": "sandbox.mounts",
    "--volume": "sandbox.mounts",
    "--mount": "sandbox.mounts",
    "--network": "sandbox.network",
    "--net": "sandbox.network",
    "-u": "sandbox.user",
    "--user": "sandbox.user",
    "-w": "cwd",
    "--workdir": "cwd",
    "-m": "sandbox.memory",
    "--memory": "sandbox.memory",
    "-p": "port",
    "--publish": "port",
}
_DOCKER_VALUED = frozenset({"-e", "--env", *_DOCKER_NAMES, *_DOCKER_SANDBOX})
_IMAGE_HINTS = frozenset({"image", "image_name", "image-name", "imageName"})
_UVX_FLAGS = frozenset(
    {
        "-q",
        "--quiet",
        "-v",
        "--verbose",
        "-U",
        "--upgrade",
        "-n",
        "--no-cache",
        "--refresh",
        "--isolated",
        "--no-progress",
    }
)
_UVX_VALUED = frozenset(
    {"-p", "--python", "--from", "--with", "-w", "--index-url", "--extra-index-url", "--default-index"}
)
_NPX_FLAGS = frozenset({"-y", "--yes", "-q", "--quiet", "-s", "--silent", "--prefer-offline", "--no"})
_NPX_VALUED = frozenset({"-p", "--package", "--registry"})
_PYTHON_FLAGS = frozenset({"-u", "-B", "-I", "-s"})
_PYTHON = re.compile(r"python[\d.]*")
_PYTHON_VERSION = re.compile(r"(?:python)?(3\.\d+(?:\.\d+)?)")
_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(kw_only=True)
class Runtime:
    """What `runtimeArguments` come to.

    Attributes:
        arguments: The server's own, in order.
        environment: Variables that they set.
        command: The command that they name; empty if it is the package's own.
        python: The version of Python that they ask for, or "".
        with_: Python packages that they add, as requirements.
        notes: What they ask for and is left out, as sentences.
    """

    arguments: list[Argument] = field(default_factory=list)
    environment: list[NamedInput] = field(default_factory=list)
    command: tuple[str, ...] = ()
    python: str = ""
    with_: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, argument: Argument, instead: str = "") -> None:
        """Note an option that has no counterpart, or has one elsewhere."""
        shown = " ".join(filter(None, (argument.name, _text(argument))))
        advice = f"; if it is needed, write {instead} into the manifest" if instead else ""
        self.notes.append(f"its publisher starts it with {shown}, which is left out{advice}")


def split_runtime(package: Package, image: str = "") -> Runtime:
    """Take the runtime arguments of a package apart. The kind of the package says whose they are, not its `runtimeHint`.

    Args:
        package: Of kind "oci", "pypi", "npm" or "mcpb".
        image: Of an image its reference.
    """
    match package.registry_type:
        case "oci":
            return _docker(package, image)
        case "pypi" if _PYTHON.fullmatch(package.runtime_hint):
            return _python(package)
        case "pypi":
            return _UVX.split(package)
        case "npm":
            return _NPX.split(package)
    return Runtime(arguments=list(package.runtime_arguments))


def _docker(package: Package, image: str) -> Runtime:
    split = Runtime()
    own = {_repository(package.identifier), _repository(image)} - {""}
    words = _paired(package.runtime_arguments, _DOCKER_VALUED)
    for argument in words:
        text = _text(argument)
        if argument.type == "named":
            _docker_option(split, argument)
        elif text in {"docker", "podman", "run"}:
            continue
        elif _repository(text) in own or text in _IMAGE_HINTS:
            break
        else:
            split.arguments.append(argument)
            break
    split.arguments += words
    return split


def _docker_option(split: Runtime, argument: Argument) -> None:
    option = argument.name
    if option in _DOCKER_FLAGS or option in _DOCKER_NAMES:
        return
    if option not in {"-e", "--env"}:
        split.leave_out(argument, _DOCKER_SANDBOX.get(option, ""))
        return
    name, _, value = _text(argument).partition("=")
    if _VARIABLE.fullmatch(name) is None:
        split.leave_out(argument, "env")
        return
    split.environment.append(
        NamedInput(
            name=name,
            value=value,
            description=argument.description,
            is_required=argument.is_required,
            is_secret=argument.is_secret,
            placeholder=argument.placeholder,
            choices=argument.choices,
            variables=argument.variables,
        )
    )


def _repository(reference: str) -> str:
    head, slash, last = reference.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Runner:
    """A program that fetches a package and starts a command of it."""

    words: frozenset[str]
    flags: frozenset[str]
    valued: frozenset[str]
    naming: frozenset[str]  # those of `valued` that name the package, so that the next word is the command
    take: Callable[[Runtime, Argument, Package], None]
    is_package: Callable[[str, Package], bool]

    def split(self, package: Package) -> Runtime:
        split = Runtime()
        words = _paired(package.runtime_arguments, self.valued)
        is_named = False
        for argument in words:
            text = _text(argument)
            if argument.type == "named" and argument.name in self.flags:
                continue
            if argument.type == "named" and argument.name in self.valued:
                is_named = is_named or argument.name in self.naming
                self.take(split, argument, package)
                continue
            if argument.type == "positional" and text in self.words:
                continue
            if argument.type == "positional" and is_named:
                _name_command(split, argument)
            elif argument.type == "named" or not self.is_package(text, package):
                split.arguments.append(argument)
            break
        split.arguments += words
        return split


def _uvx_option(split: Runtime, argument: Argument, package: Package) -> None:
    text = _text(argument)
    match argument.name:
        case "-p" | "--python":
            version = _PYTHON_VERSION.fullmatch(text)
            split.python = version[1] if version else ""
            if version is None:
                split.leave_out(argument, "python")
        case "--with" | "-w":
            wanted = [item.strip() for item in text.split(",") if item.strip()]
            split.with_ += filter(_is_of_an_index, wanted)
            if not all(map(_is_of_an_index, wanted)):
                split.leave_out(argument, "with")
        case "--from":
            if not _is_python_package(text, package):
                split.leave_out(argument, "source")
        case _:
            split.leave_out(argument, "[indexes.pypi]")


def _is_of_an_index(text: str) -> bool:
    """An entry has no say over which addresses and directories are asked."""
    try:
        return Requirement(text).url is None
    except InvalidRequirement:
        return False


def _python(package: Package) -> Runtime:
    """`python -m module …`: the module is the command."""
    split = Runtime()
    words = _paired(package.runtime_arguments, frozenset({"-m"}))
    for argument in words:
        text = _text(argument)
        if argument.name == "-m":
            split.command = ("python", "-m", text)
            break
        if argument.name in _PYTHON_FLAGS or (argument.type == "positional" and _PYTHON.fullmatch(text)):
            continue
        if not _is_python_package(text, package):
            split.arguments.append(argument)
        break
    split.arguments += words
    return split


def _is_python_package(text: str, package: Package) -> bool:
    name = re.split(r"[\[=@<>~!;\s]", text, maxsplit=1)[0]
    return canonicalize_name(name) == canonicalize_name(package.identifier)


def _npx_option(split: Runtime, argument: Argument, package: Package) -> None:
    if not _is_npm_package(_text(argument), package):
        split.leave_out(argument, "[indexes.npm]" if argument.name == "--registry" else "with")


def _name_command(split: Runtime, argument: Argument) -> None:
    """A word is a command of the package; a path would be a program of the machine."""
    if _COMMAND.fullmatch(_text(argument)):
        split.command = (_text(argument),)
    else:
        split.leave_out(argument, "command")


def _is_npm_package(text: str, package: Package) -> bool:
    return text == package.identifier or text.startswith(f"{package.identifier}@")


def _text(argument: Argument) -> str:
    return argument.value or argument.default or ("" if argument.type == "named" else argument.value_hint)


def _paired(arguments: Iterable[Argument], valued: frozenset[str]) -> Iterator[Argument]:
    """Yield arguments, with options that were written as words made options, together with their values."""
    rest = iter(arguments)
    for argument in rest:
        if argument.type == "named" or not argument.value.startswith("-"):
            yield argument
            continue
        option, equals, value = argument.value.partition("=")
        if equals or option not in valued:
            if equals and option in valued:
                yield argument.model_copy(update={"type": "named", "name": option, "value": value})
            elif option in _ALL_FLAGS:
                yield argument.model_copy(update={"type": "named", "name": option, "value": ""})
            else:
                yield argument
            continue
        following = next(rest, None)
        if following is not None:
            yield following.model_copy(update={"type": "named", "name": option})


_ALL_FLAGS = _DOCKER_FLAGS | _UVX_FLAGS | _NPX_FLAGS | _PYTHON_FLAGS


_UVX = _Runner(
    words=frozenset({"uvx", "uv", "tool", "run", "pipx"}),
    flags=_UVX_FLAGS,
    valued=_UVX_VALUED,
    naming=frozenset({"--from"}),
    take=_uvx_option,
    is_package=_is_python_package,
)
_NPX = _Runner(
    words=frozenset({"npx", "npm", "exec", "dlx"}),
    flags=_NPX_FLAGS,
    valued=_NPX_VALUED,
    naming=frozenset({"-p", "--package"}),
    take=_npx_option,
    is_package=_is_npm_package,
)
