"""Where things are: the store, the user's manifest, the project's files."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hatchlock.digest import sha256_bytes

__all__ = [
    "LOCK_NAME",
    "MANIFEST_NAME",
    "OVERLAY_NAME",
    "Home",
    "find_manifest",
    "global_manifest",
    "joined_path",
    "normal_path",
    "placed",
    "store_mark",
    "user_home",
]

MANIFEST_NAME = "hatchlock.toml"
OVERLAY_NAME = "hatchlock.local.toml"
LOCK_NAME = "hatch.lock"
_STATEMENT = ".provenance.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """The store, `$HATCHLOCK_HOME`, and what is where inside it. Nothing is created by asking.

    Attributes:
        root: Absolute, without links and `..`: it stands in client entries, which are ours only under this one name.
        is_default: Whether this is where a bare `hatchlock run` looks.
    """

    root: Path
    is_default: bool

    @classmethod
    def locate(cls, *, explicit: str | None, environ: Mapping[str, str]) -> Home:
        """Return the store: `--home`, else `$HATCHLOCK_HOME`, else `$XDG_DATA_HOME/hatchlock`."""
        data = Path(environ.get("XDG_DATA_HOME") or user_home(environ) / ".local" / "share")
        default = data / "hatchlock"
        named = explicit or environ.get("HATCHLOCK_HOME") or default
        chosen = os.path.realpath(os.path.expanduser(named))  # noqa: PTH111  a path object raises for unknown users
        usual = user_home(environ) / ".local" / "share" / "hatchlock"
        return cls(root=Path(chosen), is_default=chosen == os.path.realpath(usual))

    @property
    def blobs(self) -> Path:
        """Verified bytes, named by their digest."""
        return self.root / "blobs"

    @property
    def envs(self) -> Path:
        """Environments of the process runtime, named by the digest of what went in."""
        return self.root / "envs"

    @property
    def images(self) -> Path:
        """Statements about images that were assembled, named by their input keys."""
        return self.root / "images"

    def statement(self, key: str) -> Path:
        """What is said of the making of the image with an input key (an in-toto statement)."""
        return self.images / f"{key}{_STATEMENT}"

    def statements(self) -> dict[str, Path]:
        """Return the statements that there are, by input key."""
        return {path.name.removesuffix(_STATEMENT): path for path in sorted(self.images.glob(f"*{_STATEMENT}"))}

    @property
    def bin(self) -> Path:
        """The launcher that client files name."""
        return self.root / "bin"

    @property
    def cache(self) -> Path:
        """What may be deleted at any time."""
        return self.root / "cache"

    def project(self, name: str) -> Path:
        """State of one project."""
        return self.root / "projects" / name


def store_mark(root: Path) -> str:
    """Return what marks a store's own things in an engine, which other stores may use as well (12 hex digits)."""
    return sha256_bytes(bytes(root))[:12]


def find_manifest(start: Path) -> Path | None:
    """Look for the manifest in `start` and upwards, as far as the root of the repository (the directory with `.git`).

    Outside a repository only `start` itself is looked at and its parents up to the file system's root.
    """
    for directory in (start, *start.parents):
        candidate = directory / MANIFEST_NAME
        if candidate.is_file():
            return candidate
        if (directory / ".git").exists():
            return None
    return None


def user_home(environ: Mapping[str, str]) -> Path:
    """Return the user's home directory, as the environment says it or else the system."""
    return Path(environ.get("HOME") or Path.home())


def placed(written: str, *, directory: Path, home: Path) -> Path:
    """Return where a path of a manifest or lock is on this machine: below the user's home (`~/`), else from a directory."""
    if written == "~" or written.startswith("~/"):
        return home / written[2:]
    return directory / written


def normal_path(written: str) -> str:
    """Return a path in the one spelling that all have who mean the same: it begins with `/`, `~/` (or is `~`), or a dot."""
    if written == "~" or written.startswith("~/"):
        inside = posixpath.normpath(written[2:] or ".")
        return "~" if inside == "." else f"~/{inside}"
    normal = posixpath.normpath(written)
    return normal if normal.startswith(("/", ".")) else f"./{normal}"


def joined_path(directory: str, written: str) -> str:
    """Return a path that was written in a directory, as it is written where that directory's own path was; normal.

    A `~` in what was written is a name: whose home a project's files mean nobody knows.
    """
    return normal_path(posixpath.join(directory or ".", written))


def global_manifest(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's own manifest (`-g`), which may not exist."""
    config = environ.get("XDG_CONFIG_HOME") or user_home(environ) / ".config"
    return Path(config) / "hatchlock" / MANIFEST_NAME
