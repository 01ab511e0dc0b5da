"""The secrets that `secret set` keeps: in the keyring of this system, else in one file of the store.

STORE/secrets.json holds which names there are, and where: `{"keyring": true}`, or the value itself where this system has no
keyring. Only its owner can read it; anything else is refused. STORE/secrets.key keys `fingerprint`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hatchlock.errors import PermissionProblem
from hatchlock.files import atomic_write, private_directory, reporting_permission

if TYPE_CHECKING:
    from hatchlock.security.secrets.programs import Keyring

__all__ = ["SecretStore", "Where", "fingerprint", "stored_name"]

_FORMAT = 1
_KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Where = Literal["keyring", "store", ""]


def stored_name(name: str, project: str = "") -> str:
    """Return what a name is kept under: `PROJECT/NAME` where it is one project's own.

    Raises:
        ValueError: It is no name: letters, digits, `.`, `_` and `-`.
    """
    for word in (name, project):
        if word and _NAME.fullmatch(word) is None:
            raise ValueError(word)
    if not name:
        raise ValueError(name)
    return f"{project}/{name}" if project else name


class SecretStore:
    """What is kept for `keyring:NAME`. Reading never creates anything, and looks at the files only when asked for something.

    Args:
        root: The store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def path(self) -> Path:
        """The file."""
        return self._root / "secrets.json"

    def names(self) -> Mapping[str, Where]:
        """Return each name that is kept, and where its value is; sorted.

        Raises:
            PermissionProblem: The file could be another user's, or be read by one, or is damaged.
        """
        return {name: "store" if "value" in entry else "keyring" for name, entry in sorted(self._entries().items())}

    def get(self, name: str, project: str, keyring: Keyring) -> str | None:
        """Return a secret's value: the project's own, else the one for all; None if there is none.

        What `secret set` never saw is looked for in the keyring, since others may have put it there.

        Raises:
            PermissionProblem: As `names`.
        """
        entries = self._entries()
        for kept in (f"{project}/{name}", name):
            if kept in entries:
                return str(entries[kept]["value"]) if "value" in entries[kept] else keyring.get(kept)
        return keyring.get(name)

    def set(self, name: str, value: str, keyring: Keyring) -> Where:
        """Keep a value, and return where.

        Raises:
            PermissionProblem: As `names`, or the store cannot be written.
            LeaseHeld: Another process is changing it.
        """
        with self._changing():
            entries = dict(self._entries())
            in_keyring = keyring.set(name, value)
            entries[name] = {"keyring": True} if in_keyring else {"value": value}
            self._write(entries)
        return "keyring" if in_keyring else "store"

    def forget(self, name: str, keyring: Keyring) -> bool:
        """Delete a name wherever it is, and return whether it was anywhere.

        Raises:
            PermissionProblem: As `names`, or the store cannot be written.
            LeaseHeld: Another process is changing it.
        """
        with self._changing():
            entries = dict(self._entries())
            known = entries.pop(name, None) is not None
            gone = keyring.forget(name)
            if known:
                self._write(entries)
        return known or gone

    def _changing(self) -> Any:
        from hatchlock.state.lease import lease  # noqa: PLC0415  reading commands never get here

        private_directory(self._root)
        return lease(self._root / "secrets.lock", what="the store of secrets", purpose="secret", timeout=10)

    def _entries(self) -> Mapping[str, Mapping[str, Any]]:
        data = _read_own(self.path)
        if data is None:
            return {}
        try:
            document = json.loads(data)
            entries = document["secrets"] if document["format_version"] == _FORMAT else None
        except (ValueError, KeyError, TypeError):
            entries = None
        if not isinstance(entries, dict) or not all(isinstance(item, dict) for item in entries.values()):
            raise PermissionProblem(
                path=str(self.path),
                problem="it is damaged, or of another version",
                advice=f"move it away, and set the secrets again with `hatchlock secret set`: {self.path}",
            )
        return entries

    def _write(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        document = {"format_version": _FORMAT, "secrets": dict(sorted(entries.items()))}
        atomic_write(self.path, json.dumps(document, indent=1).encode())


def fingerprint(root: Path, values: Mapping[str, str], *, create: bool) -> dict[str, str]:
    """Return a keyed hash of each value, by which a change can be noticed and nothing else can be learnt.

    HMAC-SHA256 with a random key that never leaves the store; the name goes in, so equal values do not show.

    Args:
        root: The store.
        values: Variable -> value.
        create: Make the key if there is none yet; else, without a key, nothing is returned.

    Raises:
        PermissionProblem: The key could be another user's, or be read by one.
    """
    key = _key(root, create=create)
    if key is None:
        return {}
    import hmac  # noqa: PLC0415  few servers have secrets

    return {name: hmac.digest(key, f"{name}\0{value}".encode(), "sha256").hex() for name, value in values.items()}


def _key(root: Path, *, create: bool) -> bytes | None:
    path = root / "secrets.key"
    key = _read_own(path)
    if key is not None or not create:
        return key
    private_directory(root)
    part = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    atomic_write(part, os.urandom(_KEY_BYTES), durable=False)
    try:
        # of two that make one at once the first wins, for both
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()
    return _read_own(path)


def _read_own(path: Path) -> bytes | None:
    """Return the bytes of a file that is ours alone, or None when there is none."""
    with reporting_permission(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(descriptor)
        mode = stat.S_IMODE(facts.st_mode)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or mode & 0o077:
            problem = "it holds secrets, and another user owns it or can read it"
            advice = f"if nobody has read it: chown it to yourself, and chmod 600 {path}"
            raise PermissionProblem(path=str(path), problem=problem, mode=mode, advice=advice)
        return stream.read()
