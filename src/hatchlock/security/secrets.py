"""Secrets: references become values when a server starts, and at no other time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import SecretReference

__all__ = ["InsecureSecret", "MissingSecret", "SecretUnsupported", "hidden_values", "redact", "resolve"]

_SHORTEST_HIDDEN = 4


@dataclass(kw_only=True, eq=False)
class MissingSecret(HatchlockError):
    """A required secret has no value."""

    code: ClassVar[str] = "missing-secret"

    variable: str
    reference: str
    why: str

    def __str__(self) -> str:
        return f"the secret {self.reference} for {self.variable} has no value: {self.why}"

    def _hint(self) -> str:
        kind, _, spec = self.reference.partition(":")
        if kind == "env":
            return f"set it where the application that starts the server sees it: export {spec}=…; applications often pass on only HOME and PATH, then use file: instead"
        return f"write it to {spec}, readable by you alone: install -m 600 /dev/stdin {spec}"


@dataclass(kw_only=True, eq=False)
class InsecureSecret(HatchlockError):
    """A secret's file can be read by anybody on the machine."""

    code: ClassVar[str] = "insecure-secret"

    variable: str
    path: str
    mode: int

    def __str__(self) -> str:
        return f"the secret file {self.path} for {self.variable} can be read by every user (mode {self.mode:04o})"

    def _hint(self) -> str:
        return f"chmod 600 {self.path}"


@dataclass(kw_only=True, eq=False)
class SecretUnsupported(HatchlockError):
    """A kind of secret that this version cannot resolve."""

    code: ClassVar[str] = "secret-unsupported"

    variable: str
    what: str

    def __str__(self) -> str:
        return f"the secret for {self.variable} uses {self.what}, which this version does not support"

    def _hint(self) -> str:
        return "use env:NAME or file:PATH, given as a variable"


def resolve(references: Mapping[str, SecretReference], *, environ: Mapping[str, str], directory: str) -> dict[str, str]:
    """Return the values of secrets by variable, formatted; optional ones without a value are left out.

    Args:
        references: Variable -> reference. `env:NAME` is looked up in `environ`; the content of `file:PATH` loses one
            trailing newline. An empty value counts as none.
        environ: The environment of `run`.
        directory: Where relative paths start; `~` is the user's home.

    Raises:
        MissingSecret: A required one has no value, or its file cannot be read.
        InsecureSecret: A file is readable by every user.
        SecretUnsupported: A kind or form that this version does not know.
    """
    values = {}
    for variable, reference in sorted(references.items()):
        value = _value(variable, reference, environ, directory)
        if value:
            values[variable] = reference.format.replace("{}", value)
    return values


def hidden_values(references: Mapping[str, SecretReference], values: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must not appear in logs: each secret without its format, and each line of those with several lines."""
    hidden = set()
    for variable, value in values.items():
        before, _, after = references[variable].format.partition("{}")
        secret = value[len(before) : len(value) - len(after)]
        hidden |= {secret, *secret.splitlines()}
    return tuple(sorted(text for text in hidden if len(text) >= _SHORTEST_HIDDEN))


def redact(text: str, values: Iterable[str]) -> str:
    """Return `text` with every occurrence of the values replaced by `***`, longer ones first."""
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def _value(variable: str, reference: SecretReference, environ: Mapping[str, str], directory: str) -> str:
    kind, _, spec = reference.secret.partition(":")
    if reference.as_ != "variable":
        raise SecretUnsupported(variable=variable, what=f'as = "{reference.as_}"')
    try:
        if kind == "env":
            value = _from_environment(spec, environ)
        elif kind == "file":
            value = _from_file(variable, _path(spec, environ, directory))
        else:
            raise SecretUnsupported(variable=variable, what=f"{kind}:")
        return _checked(value)
    except _NoValueError as error:
        if reference.required:
            shown = f"file:{_path(spec, environ, directory)}" if kind == "file" else reference.secret
            raise MissingSecret(variable=variable, reference=shown, why=str(error)) from None
        return ""


class _NoValueError(Exception):
    """Why there is no value."""


def _checked(value: str) -> str:
    if not value:
        raise _NoValueError("it is empty")
    if "\0" in value:
        raise _NoValueError("it holds a NUL character, which no variable can")
    return value


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise _NoValueError("the variable is not set")
    return environ[name]


def _path(spec: str, environ: Mapping[str, str], directory: str) -> Path:
    if spec.startswith("~/") and "HOME" in environ:
        return Path(environ["HOME"]) / spec[2:]
    return Path(directory) / spec


def _from_file(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & stat.S_IROTH:
                raise InsecureSecret(variable=variable, path=str(path), mode=mode)
            return stream.read().decode().removesuffix("\n")
    except OSError as error:
        raise _NoValueError(error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _NoValueError("the file is not UTF-8 text") from error
