"""Files of variables that entries and services name: `envFile` of VS Code and Cursor, `env_file` of compose files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.migrate.document import Unreadable, decoded
from hatchlock.migrate.model import Left
from hatchlock.migrate.values import at_home, parted, references
from hatchlock.security.secrets.files import dotenv_values

__all__ = ["FileVariables", "file_variables", "read_env_file"]

_WORKSPACE = re.compile(r"\$\{workspaceFolder\}")
_IN_REFERENCES = "#{}"
"""What the path in `{file:PATH#NAME}` cannot have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileVariables:
    """What an entry gets from the file that it names.

    Attributes:
        env: Name -> value, as an entry has it: what looks like a secret names its place in the file, `{file:PATH#NAME}`.
        is_read: Whether there is such a file, and it was read.
        why: Why nothing is known of them, as a clause; "" where it was read, or none is named.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = False
    why: str = ""


def file_variables(written: str, *, directory: str) -> FileVariables:
    """Read the file that an entry of an application names. No value of it that looks like a secret is returned.

    Args:
        written: Its path: absolute, in the user's home, or below `${workspaceFolder}`.
        directory: The directory of the application's project, where that is known; relative paths begin there.
    """
    # a function, for a directory may have a backslash in its name
    text = at_home(_WORKSPACE.sub(lambda _: directory, written) if directory else written)
    path = Path(directory) / text if directory else Path(text)
    if "$" in text or not path.is_absolute():
        return FileVariables(why=f"{written} is known to the application alone")
    if set(_IN_REFERENCES) & set(str(path)):
        return FileVariables(why=f"no reference can name {written}, which has one of {_IN_REFERENCES} in it")
    try:
        values, lost = read_env_file(path, written, line=0)
    except Unreadable as error:
        return FileVariables(why=f"{written} cannot be read: {error}")
    if lost:
        return FileVariables(why=lost[0].what)
    if values is None:
        return FileVariables(why=f"{written} is not there")
    _, secrets = parted("env", values, expands=False)
    # nothing is put into the values of such a file, and something would be into those of an entry
    elsewhere = {item.key for item in secrets} | {name for name, value in values.items() if references(value)}
    return FileVariables(
        is_read=True,
        env={name: f"{{file:{path}#{name}}}" if name in elsewhere else value for name, value in values.items()},
    )


def read_env_file(path: Path, shown: str, *, line: int) -> tuple[dict[str, str] | None, tuple[Left, ...]]:
    """Return what a file says, None if it is not there; and why it cannot be read.

    Args:
        path: The file.
        shown: Its path as it is shown.
        line: Where it is named.
    """
    if not path.is_file():
        return None, ()
    try:
        return dotenv_values(decoded(path.read_bytes(), file=shown)), ()
    except ValueError as error:
        at, why = error.args
        return {}, (Left(line=line, what=f"{shown}:{at}: {why}, so its variables are not carried over"),)
    except OSError as error:
        return {}, (Left(line=line, what=f"{shown} cannot be read: {error.strerror}"),)
