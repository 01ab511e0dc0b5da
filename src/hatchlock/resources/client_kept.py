"""What was put aside of applications' files, and the secrets that it takes to put it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.clients.dialect import Entry
from hatchlock.clients.originals import NO_ORIGINALS, Originals, read_originals
from hatchlock.clients.reversal import How
from hatchlock.errors import PermissionProblem
from hatchlock.paths import Home
from hatchlock.state.documents import BadState
from hatchlock.state.imported import Imported
from hatchlock.state.originals import original_path

__all__ = ["NO_REMOVAL", "TO_KEEP", "KeptEntries", "Removal", "how_put_back"]

TO_KEEP = "to keep it"
"""The detail of a step that says what can be done so that nothing is lost with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """What becomes of the entries that one of ours stands for, if it is taken out.

    Attributes:
        details: What is to be shown of it, field -> value.
        loss: What would be lost; "" for nothing.
    """

    details: Mapping[str, str] = field(default_factory=dict)
    loss: str = ""


NO_REMOVAL = Removal()


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

    def lacks(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of these names the store of secrets lacks, sorted; no value is looked at."""
        wanted = sorted(set(names))
        if not wanted:
            return ()
        from hatchlock.security.secrets.store import SecretStore  # noqa: PLC0415  only entries with secrets need it

        try:
            known = SecretStore(self._home.root).names().keys()
        except PermissionProblem:
            return tuple(wanted)
        return tuple(name for name in wanted if name not in known and f"{self._project}/{name}" not in known)

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

    def removal(self, file: Path, name: str) -> Removal:
        """Return what becomes of the entries that one of ours stands for, if it is taken out."""
        taken = self.originals(file).of(name)
        if not taken:
            return NO_REMOVAL
        details = {"puts back": ", ".join(sorted(item.name for item in taken))}
        losses, lacking = [], dict[str, None]()
        for item in taken:
            if missing := self.lacks(item.secrets):
                lacking |= dict.fromkeys(missing)
                losses.append(
                    f"the entry {item.name!r} that stood in {file}, since the store of secrets has no"
                    f" {' and no '.join(missing)} any more"
                )
        if lacking:
            ways = (f"`hatchlock secret set {secret} --project {self._project}`" for secret in lacking)
            details[TO_KEEP] = " and ".join(ways)
        return Removal(details=details, loss="; ".join(losses))


def how_put_back(how: How, file: Path) -> str:
    """Return what is to be told of an entry that was to be put back into a file, as a predicate; "" for nothing."""
    match how:
        case "exact":
            return ""
        case "value":
            return f"is back in {file}, written anew: the file has changed around it"
        case "later":
            return f"is put back into {file} when this project's entry of that name goes"
        case "taken":
            return f"was not put back into {file}: there is another one of that name by now"
        case "no-entry":
            return f"was not put back into {file}: the file has changed around it, and it was none that can be written anew"
        case "no-secret":
            return f"was not put back into {file}: the store of secrets does not have what was secret in it"
