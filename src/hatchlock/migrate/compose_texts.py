"""What the texts of one service of a compose file stand for: its variables, and those of its other values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hatchlock.manifest.suspicion import looks_secret
from hatchlock.migrate.document import Part
from hatchlock.migrate.env_files import read_env_file
from hatchlock.migrate.interpolation import Filled, filled
from hatchlock.migrate.model import Left, Secret
from hatchlock.migrate.values import at_home, parted, unparted

__all__ = ["Surroundings", "Texts", "Variables", "is_secret_name", "pairs", "variables"]

_DOTENV = ".env"
_PROBE = "Ab1Cd2Ef3Gh4Ij5Kl6"


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Where a compose file stands.

    Attributes:
        directory: What its paths are relative to.
        known: What `.env` beside it says. The variables of whoever imports are not asked: another day they would be others.
    """

    directory: Path
    known: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, path: Path) -> tuple[Surroundings, tuple[Left, ...]]:
        """Return those of a file, and what of them cannot be read."""
        directory = path.absolute().parent
        found, left = read_env_file(directory / _DOTENV, _DOTENV, line=0)
        return cls(directory=directory, known=found or {}), left

    def path(self, text: str) -> str:
        """Return a path of this machine, absolute or with `~` for the home directory."""
        is_full = text.startswith(("/", "~/")) or text == "~"
        return text if is_full else str((self.directory / text).absolute().resolve())


class Texts:
    """The texts of one service, with their variables put in.

    Attributes:
        around: Where the file stands.
        left: Which of them name a variable that has no value.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.left: list[Left] = []
        self._known = {**around.known, "PWD": str(around.directory), "HOME": "~"}

    def of(self, part: Part) -> str:
        """Return what a text stands for.

        Raises:
            Unreadable: It is no text.
        """
        found = filled(part.text(), self._known)
        self.left += [part.left(f"{name} has no value, neither in {_DOTENV} nor by default") for name in found.missing]
        return found.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Variables:
    """A service's variables.

    Attributes:
        fields: What a manifest has of them; references that are complete too.
        secrets: The others.
        defaults: Variables of the compose file's surroundings that have their defaults from now on.
        left: What cannot be carried over.
    """

    fields: Mapping[str, Any]
    secrets: tuple[Secret, ...]
    defaults: tuple[str, ...]
    left: tuple[Left, ...]


def variables(service: Part, around: Surroundings) -> Variables:
    """Return the variables of a service: those of `env_file`, and over them those of `environment`.

    A value of `.env` or of `env_file` that looks like a secret is a secret with its value. What is taken from wherever compose
    is started becomes a reference to the variable there, which need not be set unless it looks like a secret, or compose itself
    starts nothing without it.

    Raises:
        Unreadable: They are written in a way that compose does not know.
    """
    found, left = _from_files(service.get("env_file"), around)
    own = {key: (text, part) for key, text, part in pairs(service.get("environment"))}
    fields: dict[str, Any] = {}
    secrets: dict[str, Secret] = {}
    defaults: list[str] = []
    said = {key: item for key, item in own.items() if item[0] is not None or key not in found}
    for key, (text, part) in {**found, **said}.items():
        value = filled(f"${{{key}}}" if text is None else text, around.known)
        one, lost = _variable(key, value)
        left += [Left(line=part.line, what=what) for what in lost]
        if isinstance(one, Secret):
            secrets[key] = one
        elif one is not None:
            fields[key] = one
            defaults += value.defaults
    return Variables(
        fields=fields,
        secrets=tuple(secrets.values()),
        defaults=tuple(dict.fromkeys(defaults)),
        left=tuple(left),
    )


def is_secret_name(name: str) -> bool:
    """Return whether a variable of this name probably holds a secret."""
    return looks_secret(name, _PROBE)


def pairs(part: Part | None) -> Iterator[tuple[str, str | None, Part]]:
    """Yield the names and values of a mapping, or of a list of `NAME=VALUE`; None for a name without a value.

    Raises:
        Unreadable: It is neither.
    """
    if part is None:
        return
    if isinstance(part.value, list):
        for item in part.each():
            name, equals, value = item.text().partition("=")
            yield name, value if equals else None, item
        return
    for member in part.members():
        yield member.key, None if member.value is None else member.text(), member


def _variable(key: str, found: Filled) -> tuple[Any, tuple[str, ...]]:
    """Return what a manifest has of a variable, a literal, a complete reference or a `Secret`, and what is lost."""
    if not found.names:
        return _plain(key, found.value)
    is_secret = any(map(is_secret_name, (key, *found.names)))
    is_complete = not found.missing
    if is_complete and not is_secret and not looks_secret(key, found.value):
        return found.value, ()
    if len(found.names) == 1 and not set("{}") & set("".join(found.around)):
        return _referred(key, found, is_secret=is_secret)
    if is_complete and not found.defaults:
        return Secret(table="env", key=key, value=found.value), ()
    why = f"`{key}`: it is put together from several parts; set the variable {key} to the whole value"
    return Secret(table="env", key=key, reference=f"env:{key}"), (why,)


def _referred(key: str, found: Filled, *, is_secret: bool) -> tuple[Any, tuple[str, ...]]:
    """Return a variable whose value names one other variable, and what is lost."""
    (name,), (before, after) = found.names, found.around
    shown = f"{before}{{}}{after}" if before or after else ""
    if not found.missing and not found.defaults:
        value = found.value[len(before) : len(found.value) - len(after)]
        return Secret(table="env", key=key, value=value, format=shown), ()
    if is_secret and (found.missing or found.value != before + after):
        lost = (f"`{key}`: the value that it has without {name} is not kept: set that variable",)
        secret = Secret(table="env", key=key, reference=f"env:{name}", format=shown)
        return secret, lost if found.defaults else ()
    reference = {"secret": f"env:{name}"} | ({} if found.needed else {"required": False})
    return reference | ({"format": shown} if shown else {}), ()


def _plain(key: str, value: str) -> tuple[Any, tuple[str, ...]]:
    # a dollar sign that compose was told to leave alone is no reference
    literals, secrets = parted("env", {key: value}, expands=False)
    lost = tuple(item.what for item in unparted("env", {key: value}, expands=False))
    return next(iter((*secrets, *literals.values())), None), lost


def _from_files(part: Part | None, around: Surroundings) -> tuple[dict[str, tuple[str | None, Part]], list[Left]]:
    found: dict[str, tuple[str | None, Part]] = {}
    left: list[Left] = []
    for item in (part,) if part and isinstance(part.value, str) else part.each() if part else ():
        is_table = isinstance(item.value, Mapping)
        name = item.need("path") if is_table else item
        needed = item.get("required") if is_table else None
        text = filled(name.text(), around.known).value
        values, lost = read_env_file(Path(at_home(around.path(text))), text, line=item.line)
        if values is None and (needed is None or needed.flag()):
            left.append(Left(line=item.line, what=f"`env_file`: {text} is not there"))
        left += lost
        # a dollar sign there is one
        found |= {key: (value.replace("$", "$$"), item) for key, value in (values or {}).items()}
    return found, left
