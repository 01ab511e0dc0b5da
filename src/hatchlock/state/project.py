"""A project's state: which directory it is bound to, which launch records are active, what each finished apply left.

projects/NAME/
  binding.json            the manifest's directory
  active.json             server -> digest of its launch record: the one pointer that `run` follows
  launch/DIGEST.json      launch records, never changed
  volumes.json            the engine in which volumes were made, and those whose making was begun
  volumes/SERVER/PATH/    what processes keep
  entries.json            client files in which entries of this project were written
  denials/SERVER.json     what a server's sandbox has stopped, of its active launch record
  builds/NAME.log         what the last build of something said
  journal.ndjson          what the apply that is running, or was killed, had begun and done
  generations/N/          generation.json, hatch.lock, hatchlock.toml
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, private_directory, read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.paths import LOCK_NAME, MANIFEST_NAME

__all__ = ["BadState", "BoundElsewhere", "ProjectState"]

_FORMAT = 1
_GENERATION = re.compile(r"\d+")


@dataclass(kw_only=True, eq=False)
class BoundElsewhere(HatchlockError):
    """Another directory's manifest has the same project name."""

    code: ClassVar[str] = "bound-elsewhere"

    project: str
    here: str
    there: str

    def __str__(self) -> str:
        return f"the project {self.project!r} belongs to {self.there}, and this manifest is in {self.here}"

    def _hint(self) -> str:
        return (
            "give one of them another [project] name, or run `hatchlock apply --takeover` to bind it to this directory"
        )


@dataclass(kw_only=True, eq=False)
class BadState(HatchlockError):
    """A state file is not what we wrote."""

    code: ClassVar[str] = "bad-state"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.why}"

    def _hint(self) -> str:
        return "delete it; the next `hatchlock apply` makes it again from what it finds"


class ProjectState:
    """The files below `projects/NAME`. Reading never creates anything.

    Threads may change it at once; processes exclude each other by the project's lease.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._changing = threading.Lock()

    @property
    def lease_path(self) -> Path:
        """The file of the project's lease."""
        return self.root / "lease.lock"

    @property
    def journal_path(self) -> Path:
        """The journal of the apply that is running, or was killed."""
        return self.root / "journal.ndjson"

    @property
    def builds(self) -> Path:
        """What builds said, `NAME.log` each."""
        return self.root / "builds"

    def bound_to(self) -> str | None:
        """Return the directory of the project's manifest, or None before the first apply."""
        binding = self._read("binding.json")
        return str(binding["directory"]) if binding else None

    def bind(self, directory: Path) -> None:
        """Bind the project to its manifest's directory."""
        self._write("binding.json", {"directory": str(directory)})

    def check_binding(self, project: str, directory: Path) -> None:
        """Refuse a manifest that is not the project's.

        Raises:
            BoundElsewhere: The project is bound to another directory.
        """
        bound = self.bound_to()
        if bound is not None and bound != str(directory):
            raise BoundElsewhere(project=project, here=str(directory), there=bound)

    def active(self) -> Mapping[str, str]:
        """Return server -> digest of its active launch record."""
        document = self._read("active.json")
        return dict(sorted(document["servers"].items())) if document else {}

    def record(self, digest: str) -> LaunchRecord | None:
        """Return a launch record; None if it is not there, damaged, or of another version."""
        data = read_optional(self.record_path(digest))
        if data is None or sha256_bytes(data) != digest:
            return None
        try:
            return LaunchRecord.from_json(data)
        except (ValueError, KeyError, TypeError):
            return None

    def activate(self, server: str, record: LaunchRecord | None) -> None:
        """Make a launch record the active one of its server, or (None) none, in one atomic change."""
        if record is not None:
            path = self.record_path(record.digest)
            private_directory(path.parent)
            atomic_write(path, record.to_json())
        with self._changing:
            servers = {name: digest for name, digest in self.active().items() if name != server}
            if record is not None:
                servers[server] = record.digest
            if servers.get(server) != self.active().get(server):
                # it was another profile that stopped things
                (self.root / "denials" / f"{server}.json").unlink(missing_ok=True)
            self._write("active.json", {"servers": servers})

    def record_path(self, digest: str) -> Path:
        """Return where the launch record of this digest is, or would be."""
        return self.root / "launch" / f"{digest}.json"

    def entry_files(self) -> tuple[str, ...]:
        """Return `CLIENT/SCOPE/PATH` of the client files in which entries of this project were written, sorted."""
        document = self._read("entries.json")
        return tuple(document["files"]) if document else ()

    def remember_entry_file(self, entry_file: str) -> None:
        """Add one to `entry_files`, before the file itself is written."""
        with self._changing:
            files = sorted({*self.entry_files(), entry_file})
            if tuple(files) != self.entry_files():
                self._write("entries.json", {"files": files})

    def volume_engine(self) -> str:
        """Return the address of the engine in which a volume of this project was made last; "" before the first."""
        document = self._read("volumes.json")
        return str(document["engine"]) if document else ""

    def begun_volumes(self) -> tuple[str, ...]:
        """Return the engine's names of the volumes whose making was begun and did not finish, sorted."""
        document = self._read("volumes.json")
        return tuple(document["begun"]) if document else ()

    def begin_volume(self, name: str, engine: str) -> None:
        """Remember a volume before it is made, and where."""
        with self._changing:
            self._write("volumes.json", {"engine": engine, "begun": sorted({*self.begun_volumes(), name})})

    def finish_volume(self, name: str) -> None:
        """Remember that a volume is what it should be, or gone."""
        with self._changing:
            begun = [item for item in self.begun_volumes() if item != name]
            if len(begun) != len(self.begun_volumes()):
                self._write("volumes.json", {"engine": self.volume_engine(), "begun": begun})

    def last_probe(self, server: str) -> Mapping[str, Any] | None:
        """Return what `remember_probe` was told last, or None."""
        return self._read(f"probes/{server}.json")

    def remember_probe(self, server: str, facts: Mapping[str, Any]) -> None:
        """Remember what a probe of a server gave; JSON values, no secrets."""
        private_directory(self.root / "probes")
        self._write(f"probes/{server}.json", facts)

    def generation(self) -> int:
        """Return the number of the newest generation; 0 before the first."""
        return max(self.generations(), default=0)

    def generations(self) -> tuple[int, ...]:
        """Return the numbers of the generations that are there, the oldest first."""
        directory = self.root / "generations"
        names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
        return tuple(sorted(int(name) for name in names if _GENERATION.fullmatch(name)))

    def generation_lock(self, number: int) -> bytes | None:
        """Return the bytes of the lock that a generation was applied from, or None when there is no such generation."""
        return read_optional(self.root / "generations" / str(number) / LOCK_NAME)

    def forget_generation(self, number: int) -> None:
        """Delete a generation, in one atomic change; what a kill leaves of it is one of the `unfinished`."""
        import shutil  # noqa: PLC0415  only `gc` gets here

        directory = self.root / "generations" / str(number)
        part = directory.with_name(f".{number}.part")
        shutil.rmtree(part, ignore_errors=True)
        directory.rename(part)
        shutil.rmtree(part)

    def unfinished(self) -> tuple[Path, ...]:
        """Return generations that were being written or deleted when the process was killed, sorted."""
        return tuple(sorted(self.root.glob("generations/.*.part")))

    def records(self) -> tuple[str, ...]:
        """Return the digests of all launch records that are there, active or not, sorted."""
        return tuple(sorted(path.stem for path in self.root.glob("launch/*.json") if not path.name.startswith(".")))

    def forget_record(self, digest: str) -> None:
        """Delete a launch record; neither `active` nor a generation names it any more."""
        self.record_path(digest).unlink(missing_ok=True)

    def record_generation(self, *, lock: bytes, manifest: bytes, facts: Mapping[str, Any]) -> int:
        """Write what a finished apply left, as a new generation, and return its number.

        Args:
            lock: The bytes of the lock that was applied.
            manifest: The bytes of the manifest.
            facts: What else belongs to it, JSON values, no secrets.
        """
        number = self.generation() + 1
        directory = private_directory(self.root / "generations" / f".{number}.part")
        atomic_write(directory / LOCK_NAME, lock)
        atomic_write(directory / MANIFEST_NAME, manifest)
        document = {"format_version": _FORMAT, "number": number, "servers": dict(self.active()), **facts}
        atomic_write(directory / "generation.json", canonical_json(document))
        directory.rename(directory.with_name(str(number)))
        return number

    def generation_facts(self, number: int) -> Mapping[str, Any] | None:
        """Return what `record_generation` wrote, or None when there is no such generation."""
        return self._read(f"generations/{number}/generation.json")

    def _read(self, name: str) -> Mapping[str, Any] | None:
        data = read_optional(self.root / name)
        if data is None:
            return None
        try:
            document = json.loads(data)
        except ValueError as error:
            raise BadState(path=str(self.root / name), why=str(error)) from error
        if not isinstance(document, dict) or document.get("format_version") != _FORMAT:
            raise BadState(path=str(self.root / name), why="it is not of this version's format")
        return document

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        private_directory(self.root)
        atomic_write(self.root / name, canonical_json({"format_version": _FORMAT, **document}))
