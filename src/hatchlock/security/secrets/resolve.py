"""References become values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import SecretReference
from hatchlock.place import Place
from hatchlock.security.secrets.files import BadDotenv, dotenv_value, read_secret, secret_path
from hatchlock.security.secrets.values import Secrets

if TYPE_CHECKING:
    from hatchlock.security.secrets.programs import Keyring

__all__ = ["MissingSecret", "Places", "resolve"]

_LONGEST_VARIABLE = 1 << 17
"""Linux starts no program with a longer one, its name and the end included."""


@dataclass(kw_only=True, eq=False)
class MissingSecret(HatchlockError):
    """A required secret has no value.

    Attributes:
        variable: The variable that needs it.
        reference: The reference, with an absolute path where it is a file.
        why: Why there is no value.
        project: For whose server one would be kept; "" where it is nobody's in particular.
    """

    code: ClassVar[str] = "missing-secret"

    variable: str
    reference: str
    why: str
    project: str = ""

    def __str__(self) -> str:
        return f"the secret {self.reference} for {self.variable} has no value: {self.why}"

    def _hint(self) -> str:
        reference = SecretReference(secret=self.reference)
        if reference.kind == "env":
            return f"set it where the application that starts the server sees it: export {reference.spec}=…; applications often pass on only HOME and PATH, then use keyring: or file: instead"
        if reference.kind == "keyring":
            own = f" --project {self.project}" if self.project else ""
            return f"set it with `hatchlock secret set {reference.spec}{own}`"
        if reference.kind == "command":
            return f"run it by hand, without a terminal: {reference.spec} </dev/null"
        path, name = reference.file
        if name:
            return f"write {name}=… into {path}, which only you can read: chmod 600 {path}"
        return f"write it to {path}, readable by you alone: install -m 600 /dev/stdin {path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where the secrets of a server are looked for.

    Attributes:
        environ: Our own environment.
        directory: The project's directory, where relative paths start and commands run.
        project: Its name.
        store: The root of the store.
    """

    environ: Mapping[str, str] = field(repr=False)
    directory: str
    project: str
    store: Path


def resolve(references: Mapping[str, SecretReference], places: Places) -> Secrets:
    """Return the values of secrets, formatted; optional ones without a value are left out.

    Args:
        references: Variable -> reference. `env:NAME` is a variable of ours; `file:PATH` a file's content, `file:PATH#NAME`
            what a dotenv file says of a name; `keyring:NAME` is what `secret set` keeps; `command:` what a program prints. One
            newline at the end of a file or of what is printed is none of the secret, unless a whole file is given as one. An
            empty value counts as none. The same reference is asked once.
        places: Where to look.

    Raises:
        MissingSecret: A required one has no value, or it cannot be read.
        InsecureSecret: Somebody else can read or change a file.
        CommittedSecret: Git would commit a file, or has.
        BadDotenv: A dotenv file is none.
        PermissionProblem: The store of secrets could be read by somebody else.
    """
    asked = _Asked(places)
    variables: dict[str, str] = {}
    files: dict[str, bytes] = {}
    bare: dict[str, str] = {}
    for variable, reference in sorted(references.items()):
        value = _required(variable, reference, asked)
        if not value:
            continue
        value = _trimmed(value, reference)
        bare[variable] = value
        formatted = reference.format.replace("{}", value)
        if reference.as_ == "file":
            files[variable] = formatted.encode()
        elif len(f"{variable}={formatted}".encode()) >= _LONGEST_VARIABLE:
            why = 'no variable can be that long (128 KiB); as = "file" has no such limit'
            raise MissingSecret(variable=variable, reference=asked.shown(reference), why=why)
        else:
            variables[variable] = formatted
    return Secrets(variables=variables, files=files, bare=bare)


def _trimmed(value: str, reference: SecretReference) -> str:
    """A line that somebody wrote or printed ends with a newline; a key that is given as a file does so as well, and must."""
    is_line = reference.kind == "command" or (reference.kind == "file" and not reference.file[1])
    is_whole = reference.kind == "file" and reference.as_ == "file" and reference.format == "{}"
    return value.removesuffix("\n") if is_line and not is_whole else value


class _NoValueError(Exception):
    """Why there is no value."""


def _required(variable: str, reference: SecretReference, asked: _Asked) -> str:
    try:
        return _usable(asked.value(variable, reference))
    except _NoValueError as error:
        if not reference.required:
            return ""
        shown = asked.shown(reference)
        raise MissingSecret(variable=variable, reference=shown, why=str(error), project=asked.project) from None


def _usable(value: str) -> str:
    if not value or value == "\n":
        raise _NoValueError("it is empty")
    if "\0" in value:
        raise _NoValueError("it holds a NUL character, which no variable can")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _NoValueError("it is not UTF-8 text") from None
    return value


class _Asked:
    """Asks for values, and remembers the answers: a program that prints a secret may well ask its user first."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._known: dict[str, str | _NoValueError] = {}
        self._opened: Keyring | None = None

    @property
    def project(self) -> str:
        return self._places.project

    def value(self, variable: str, reference: SecretReference) -> str:
        known = self._known.get(reference.secret)
        if known is None:
            try:
                known = self._ask(variable, reference)
            except _NoValueError as error:
                known = error
            self._known[reference.secret] = known
        if isinstance(known, _NoValueError):
            raise known
        return known

    def shown(self, reference: SecretReference) -> str:
        if reference.kind != "file":
            return reference.secret
        path, name = reference.file
        return f"file:{self._path(path)}" + (f"#{name}" if name else "")

    def _path(self, path: str) -> Path:
        return secret_path(path, environ=self._places.environ, directory=self._places.directory)

    def _ask(self, variable: str, reference: SecretReference) -> str:
        if reference.kind == "env":
            if reference.spec not in self._places.environ:
                raise _NoValueError("the variable is not set")
            return self._places.environ[reference.spec]
        if reference.kind == "file":
            return self._from_file(variable, reference)
        if reference.kind == "keyring":
            return self._from_keyring(reference.spec)
        return self._from_command(reference)

    def _from_file(self, variable: str, reference: SecretReference) -> str:
        from hatchlock.security.secrets.tracked import CommittedSecret, not_ignored  # noqa: PLC0415  most have none

        places = self._places
        written, name = reference.file
        path = self._path(written)
        try:
            text = _text(read_secret(path, variable))
        except OSError as error:
            raise _NoValueError(error.strerror or str(error)) from error
        except ValueError as error:
            raise _NoValueError(str(error)) from error
        if not_ignored(path, project=Path(places.directory), environ=places.environ):
            raise CommittedSecret(variable=variable, path=str(path))
        if not name:
            return text
        try:
            found = dotenv_value(text, name)
        except ValueError as error:
            line, why = error.args
            raise BadDotenv(place=Place(file=str(path), line=line), why=why) from None
        if found is None:
            raise _NoValueError(f"the file does not name {name}")
        return found

    def _from_keyring(self, name: str) -> str:
        from hatchlock.security.secrets.programs import Keyring  # noqa: PLC0415  most have none
        from hatchlock.security.secrets.store import SecretStore  # noqa: PLC0415

        self._opened = self._opened or Keyring(self._places.environ)
        found = SecretStore(self._places.store).get(name, self._places.project, self._opened)
        if found is None:
            raise _NoValueError("neither the keyring of this system nor the store has it")
        return found

    def _from_command(self, reference: SecretReference) -> str:
        from hatchlock.security.secrets.programs import CommandFailed, output_of  # noqa: PLC0415  most have none

        try:
            printed = output_of(reference.words, environ=self._places.environ, directory=self._places.directory)
            return _text(printed)
        except (CommandFailed, ValueError) as error:
            raise _NoValueError(str(error)) from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
