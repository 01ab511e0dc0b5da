"""What was put aside of applications' files, and the secrets that it takes to put it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hatchlock.clients.dialect import Entry
from hatchlock.clients.originals import NO_ORIGINALS, Originals, read_originals
from hatchlock.errors import PermissionProblem
from hatchlock.paths import Home
from hatchlock.state.documents import BadState
from hatchlock.state.imported import Imported
from hatchlock.state.originals import original_path

__all__ = ["KeptEntries"]


class KeptEntries:
    """Looks up, for one project, what is kept of entries that ours stand for. Reads only.

    Args:
        home: The store.
        project: The project's name, whose secrets these are.
        environ: The variables that the keyring's program gets.
    """

    def __init__(self, home: Home, project: str, environ: Mapping[str, str]) -> None:
        self._home = home
        self._project = project
        self._environ = environ

    def path(self, file: Path) -> Path:
        """Return where what was put aside of a file is kept."""
        return original_path(self._home.root, file)

    def originals(self, file: Path) -> Originals:
        """Return what was put aside of a file; of a damaged document nothing."""
        try:
            return read_originals(self.path(file))
        except BadState:
            return NO_ORIGINALS

    def values(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return the values of those secrets that the store of secrets has.

        Raises:
            PermissionProblem: It could be another user's, or be read by one.
        """
        from hatchlock.security.secrets.programs import Keyring  # noqa: PLC0415  only entries with secrets need them
        from hatchlock.security.secrets.store import SecretStore  # noqa: PLC0415

        store, keyring = SecretStore(self._home.root), Keyring(self._environ)
        found = {name: store.get(name, self._project, keyring) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def lacks(self, names: Iterable[str]) -> bool:
        """Return whether the store of secrets lacks one of these names; no value is looked at."""
        wanted = frozenset(names)
        if not wanted:
            return False
        from hatchlock.security.secrets.store import SecretStore  # noqa: PLC0415  only entries with secrets need it

        try:
            known = SecretStore(self._home.root).names().keys()
        except PermissionProblem:
            return True
        return any(name not in known and f"{self._project}/{name}" not in known for name in wanted)

    def loss_of_taking(self, file: Path, name: str, entry: Entry, record: Imported | None, data: bytes) -> str:
        """Return what would be lost if an entry of somebody else's were taken out; "" for nothing.

        Args:
            file: The application's file.
            name: The entry's name.
            entry: The entry.
            record: What `import` knows of it, if it has read it.
            data: The file's bytes.
        """
        from hatchlock.clients.kept_text import is_suspect  # noqa: PLC0415  only such entries need it

        if record and (record.secrets or not record.is_kept):
            can_be_kept = record.is_kept and not self.lacks(record.secrets)
        else:
            can_be_kept = not is_suspect(data[slice(*entry.span)].decode(), entry.value)
        if can_be_kept:
            return ""
        way = " (`hatchlock import --keep-secrets` does)" if record else ""
        return f"the entry {name!r} in {file}: it holds what looks like a secret, and nothing keeps that{way}"

    def loss_of_removal(self, file: Path, name: str) -> str:
        """Return what would be lost if an entry of ours were taken out: what cannot be put back; "" for nothing."""
        for taken in self.originals(file).of(name):
            if self.lacks(taken.secrets):
                return f"the entry {taken.name!r} that stood in {file}: its secrets are not in the store of secrets any more"
        return ""

    def puts_back(self, file: Path, name: str) -> str:
        """Return which entries are put back if one of ours is taken out, in words; "" for none."""
        return ", ".join(sorted(taken.name for taken in self.originals(file).of(name)))
