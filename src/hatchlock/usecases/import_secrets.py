"""The secrets of an import: what the store has of them already, and under which names it would keep them."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.migrate.deciding import Outcome
    from hatchlock.usecases.project import Project

__all__ = ["KeptSecret", "SecretDesk", "exposed_files"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSecret:
    """A secret of the servers that were read.

    Attributes:
        name: What it is called: the manifest has `keyring:NAME`.
        used_by: `SERVER.VARIABLE`, sorted.
        value: What the files have for it; "" where they have none.
        is_there: Whether the store of secrets has that value already.
    """

    name: str
    used_by: tuple[str, ...]
    value: str = field(repr=False)
    is_there: bool


def exposed_files(outcomes: Iterable[Outcome], project: Project) -> Iterator[tuple[str, str]]:
    """Yield which files of secrets somebody else can read or change, by the servers that are refused for that.

    Args:
        outcomes: The servers that are in the manifest afterwards.
        project: Whose directory relative paths start in.
    """
    from hatchlock.launch import SecretReference
    from hatchlock.security.secrets.files import open_to_others, secret_path

    for outcome in outcomes:
        references = (SecretReference(secret=item.reference) for item in outcome.server.secrets if item.reference)
        named = dict.fromkeys(reference.file[0] for reference in references if reference.kind == "file")
        for written in named:
            path = secret_path(written, environ=project.environ, directory=str(project.directory))
            try:
                facts = path.stat()
            except OSError:
                continue  # `secret check` says so, when there is a server that needs it
            if who := open_to_others(facts):
                mode = stat.S_IMODE(facts.st_mode)
                what = f"{path} holds secrets and can be read by {who} (mode {mode:04o}), so no server gets any from it"
                yield outcome.name, f"{what}: chmod 600 {shlex.quote(str(path))}"


class SecretDesk:
    """What the store of secrets has under which names, and what the manifest refers to.

    Args:
        project: Whose store it is.
        name: The project's name: a secret may be its own.
        text: The manifest.

    Raises:
        PermissionProblem: The store of secrets could be another user's, or be read by one.
    """

    def __init__(self, project: Project, name: str, text: str) -> None:
        from hatchlock.security.secrets.programs import Keyring
        from hatchlock.security.secrets.store import SecretStore

        self._project = name
        self._store = SecretStore(project.home.root)
        self._keyring = Keyring(project.environ)
        self._names = frozenset(self._store.names())
        self._text = text

    def is_free(self, name: str, value: str) -> bool:
        """Return whether nothing has a name, or this value."""
        if self._is_known(name):
            return bool(value) and self.has(name, value)
        return f'"keyring:{name}"' not in self._text

    def has(self, name: str, value: str) -> bool:
        """Return whether this value, or any if it is "", is what the project gets under a name."""
        return self._is_known(name) and (not value or self._store.get(name, self._project, self._keyring) == value)

    def listed(self, outcomes: Iterable[Outcome]) -> Iterator[KeptSecret]:
        """Yield the secrets of servers, by name; without those that the store has another value of."""
        users: dict[str, set[str]] = {}
        values: dict[str, str] = {}
        for outcome in outcomes:
            for secret in outcome.server.secrets:
                place = secret.reference or outcome.references.get(secret, "")
                kind, _, name = place.partition(":")
                if kind == "keyring":
                    users.setdefault(name, set()).add(f"{outcome.name}.{secret.key}")
                    values[name] = values.get(name) or ("" if secret.reference else secret.value)
        for name, by in sorted(users.items()):
            value, is_there = values[name], self.has(name, values[name])
            if is_there or not (value and self._is_known(name)):
                yield KeptSecret(name=name, used_by=tuple(sorted(by)), value=value, is_there=is_there)

    def _is_known(self, name: str) -> bool:
        return name in self._names or f"{self._project}/{name}" in self._names
