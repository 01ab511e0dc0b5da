"""A project's state: which directory it is bound to, which launch records are active, what each finished apply left.

projects/NAME/
  binding.json            the manifest's directory
  active.json             server -> digest of its launch record: the one pointer that `run` follows
  launch/DIGEST.json      launch records, never changed
  volumes.json            the engine in which volumes were made, and those whose making was begun
  volumes                 link to what processes keep, `volumes/NAME/SERVER/PATH` of the store
  groups.json             group -> its servers (`groups`)
  tokens/NAME             what clients of a server that is served over HTTP have to bring (`tokens`)
  forgotten.json          what was given up, and is left as it is
  entries.json            client files in which entries of this project were written
  imported.json           entries of applications that `import` has read (`imported`)
  quarantine/SERVER/      it must not be started, and what was kept of it (`quarantine`)
  denials/SERVER.json     what a server's sandbox has stopped, of its active launch record
  builds/NAME.log         what the last build of something said
  applies/N.ndjson        what the last applies and rollbacks did, for people (`runlog`)
  journal.ndjson          what the apply that is running, or was killed, had begun and done
  generations/N/          what finished apply number N left (`generations`)
  serial.json             how many times steps were begun
  held.json               the generation that a rollback went to
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, clear_unfinished, private_directory, read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.state.documents import BadState, damage, put_aside, read_document, write_document
from hatchlock.state.generations import Generations
from hatchlock.state.originals import ORIGINALS, damaged_originals, put_original_aside
from hatchlock.state.serial import read_serial, write_serial

__all__ = ["BadState", "BoundElsewhere", "ProjectState"]

_WRITTEN_IN = ("launch", "probes", "denials", "sessions", "keepers", "stopped", "tokens")
"""Directories in which files are written one by one."""


@dataclass(kw_only=True, eq=False)
class BoundElsewhere(HatchlockError):
    """Another directory's manifest has the same project name."""

    code: ClassVar[str] = "bound-elsewhere"

    project: str
    here: str
    there: str
    is_gone: bool = False

    def __str__(self) -> str:
        there = f"{self.there}, where there is no manifest any more" if self.is_gone else self.there
        return f"the project {self.project!r} belongs to {there}, and this manifest is in {self.here}"

    def _hint(self) -> str:
        if self.is_gone:
            return (
                "if it has moved, run `hatchlock apply --takeover` to bind the project to this directory: what it has stays; "
                f"if it is given up, `hatchlock destroy --project {self.project}` takes away what is left of it"
            )
        return (
            "give one of them another [project] name, or run `hatchlock apply --takeover` to bind it to this directory"
        )


class ProjectState:
    """The files below `projects/NAME`. Reading never creates anything.

    Threads may change it at once; processes exclude each other by the project's lease.

    Args:
        root: Where they are.
        forgiving: Whether a damaged one counts as one that is not there, for whoever looks at the world besides and makes
            them again. Without it, whoever needs to know what they say gets `BadState`.
    """

    def __init__(self, root: Path, *, forgiving: bool = False) -> None:
        self.root = root
        self._forgiving = forgiving
        self._changing = threading.Lock()

    @property
    def store(self) -> Path:
        """The root of the store that it is in."""
        return self.root.parents[1]

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
            is_gone = not any(Path(bound).glob("*.toml"))  # a manifest may have any name
            raise BoundElsewhere(project=project, here=str(directory), there=bound, is_gone=is_gone)

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

    def activate(self, server: str, record: LaunchRecord | None, *, instead_of: str = "") -> None:
        """Make a launch record the active one of its server, or (None) none, in one atomic change.

        Args:
            server: The server's name.
            record: Its launch record.
            instead_of: The name that the server had until now; nothing is active under it any more.
        """
        if record is not None:
            path = self.record_path(record.digest)
            private_directory(path.parent)
            atomic_write(path, record.to_json())
        with self._changing:
            servers = {name: digest for name, digest in self.active().items() if name not in {server, instead_of}}
            if record is not None:
                servers[server] = record.digest
            for name in (server, instead_of):
                if servers.get(name) != self.active().get(name):
                    # it was another profile that stopped things
                    (self.root / "denials" / f"{name}.json").unlink(missing_ok=True)
            self._write("active.json", {"servers": servers})

    def clear_unfinished(self) -> None:
        """Delete the temporary files that killed commands have left, beside applications' files too, where they may be whole copies.

        The caller holds the project's lease.
        """
        for directory in (self.root, *(self.root / name for name in _WRITTEN_IN), self.store / ORIGINALS):
            clear_unfinished(directory)
        for path in {Path(os.path.realpath(path)) for path in self._entry_paths()}:
            clear_unfinished(path.parent, path.name)

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
        return str((self._read("volumes.json") or {}).get("engine", ""))

    def begun_volumes(self) -> tuple[str, ...]:
        """Return the engine's names of the volumes whose making was begun and did not finish, sorted."""
        return tuple((self._read("volumes.json") or {}).get("begun", ()))

    def superseded_volumes(self) -> tuple[str, ...]:
        """Return the engine's names of the volumes whose data is in others by now, and that go, sorted."""
        return tuple((self._read("volumes.json") or {}).get("superseded", ()))

    def volume_engine_id(self) -> str:
        """Return the id of that engine; "" where it has none, or nobody asked."""
        return str((self._read("volumes.json") or {}).get("id", ""))

    def know_volume_engine(self, engine: str, identity: str) -> None:
        """Remember in which engine the volumes are that were found there: an engine's address, and its id."""
        with self._changing:
            self._write_volumes(engine, self.begun_volumes(), self.superseded_volumes(), identity=identity)

    def begin_volume(self, name: str, engine: str, identity: str = "") -> None:
        """Remember a volume before it is made, and where: an engine's address, and its id."""
        with self._changing:
            begun = {*self.begun_volumes(), name}
            self._write_volumes(engine, begun, self.superseded_volumes(), identity=identity)

    def supersede_volume(self, name: str, by: str) -> None:
        """Remember, in one atomic change, that a volume is what it should be, and that another one is of no use any more."""
        with self._changing:
            begun = set(self.begun_volumes()) - {by}
            self._write_volumes(self.volume_engine(), begun, {*self.superseded_volumes(), name})

    def finish_volume(self, name: str) -> None:
        """Remember that a volume is what it should be, or gone."""
        with self._changing:
            begun, superseded = self.begun_volumes(), self.superseded_volumes()
            if name in begun or name in superseded:
                self._write_volumes(self.volume_engine(), set(begun) - {name}, set(superseded) - {name})

    def _write_volumes(
        self, engine: str, begun: Iterable[str], superseded: Iterable[str], *, identity: str | None = None
    ) -> None:
        more = {"superseded": sorted(superseded), "id": self.volume_engine_id() if identity is None else identity}
        # what does not use it is written as it was before there was such a thing
        used = {name: value for name, value in more.items() if value}
        self._write("volumes.json", {"engine": engine, "begun": sorted(begun), **used})

    def last_probe(self, server: str) -> Mapping[str, Any] | None:
        """Return what `remember_probe` was told last, or None: the next probe writes it anew whatever is there."""
        with contextlib.suppress(BadState):
            return read_document(self.root / "probes" / f"{server}.json")
        return None

    def remember_probe(self, server: str, facts: Mapping[str, Any]) -> None:
        """Remember what a probe of a server gave; JSON values, no secrets."""
        private_directory(self.root / "probes")
        self._write(f"probes/{server}.json", facts)

    def serial(self) -> int:
        """Return how many times steps were begun; 0 before the first."""
        return read_serial(self.root) or self.generation()

    def raise_serial(self) -> None:
        """Count one more, before steps are begun."""
        write_serial(self.root, self.serial() + 1)

    @property
    def generations(self) -> Generations:
        """What each finished apply left."""
        return Generations(self.root, forgiving=self._forgiving)

    def generation(self) -> int:
        """Return the number of the newest generation; 0 before the first."""
        return self.generations.newest()

    def current(self) -> int:
        """Return the generation that the project is at: where a rollback went, else the newest; 0 before the first."""
        return self.generations.current()

    def records(self) -> tuple[str, ...]:
        """Return the digests of all launch records that are there, active or not, sorted."""
        return tuple(sorted(path.stem for path in self.root.glob("launch/*.json") if not path.name.startswith(".")))

    def forget_record(self, digest: str) -> None:
        """Delete a launch record; neither `active` nor a generation names it any more."""
        self.record_path(digest).unlink(missing_ok=True)

    def damage(self) -> tuple[BadState, ...]:
        """Return which files are damaged, as far as an `apply` puts them aside."""
        return (*damage(self.root), *damaged_originals(self.store, self._entry_paths()))

    def put_aside_damaged(self) -> tuple[BadState, ...]:
        """Put those files aside, and return what was wrong with them; the caller holds the project's lease."""
        files = self._entry_paths()
        lost = damaged_originals(self.store, files)
        for error in lost:
            put_original_aside(Path(error.path))
        return (*put_aside(self.root), *lost)

    def _entry_paths(self) -> list[Path]:
        try:
            return [Path(text.split("/", 2)[2]) for text in self.entry_files()]
        except (BadState, IndexError):
            return []

    def _read(self, name: str) -> Mapping[str, Any] | None:
        try:
            return read_document(self.root / name)
        except BadState:
            if self._forgiving:
                return None
            raise

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        write_document(self.root / name, document)
