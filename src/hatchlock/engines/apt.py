"""The host's apt-get: what it would do, and doing it. It alone changes the host; it is run as root, and never by a shell."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.engines.process import find_program
from hatchlock.errors import HatchlockError
from hatchlock.process import ProcessFailed, run

__all__ = ["Apt", "AptBusy", "AptChange", "NotOffered", "install_words", "read_simulation"]

_NO_REMOVE = "--no-remove"
_OPTIONS = (
    *("--yes", "--no-install-recommends", _NO_REMOVE),
    *("-o", "APT::Install-Suggests=false", "-o", "Dpkg::Options::=--force-confold"),
)
_SIMULATION_SECONDS = 120.0
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
_LINE = re.compile(r"(Inst|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+) [^)]*\))?.*")
_HELD = re.compile(r"(?:Could not get lock|Unable to acquire) .*")
_NOT_FOUND = re.compile(r"^E: (Version '[^']*' for '[^']*' was not found|Unable to locate package \S+)$", re.MULTILINE)


@dataclass(kw_only=True, eq=False)
class AptBusy(HatchlockError):
    """Another program has the lock of the host's package database, and did not give it up in time."""

    code: ClassVar[str] = "apt-busy"

    said: str
    waited: float

    def __str__(self) -> str:
        return f"the host's packages are locked by another program; waited {self.waited:g} s:\n  {self.said}"

    def _hint(self) -> str:
        return "wait until it has ended, then run `hatchlock apply` again, or give it more time with --lock-timeout SECONDS"


@dataclass(kw_only=True, eq=False)
class NotOffered(HatchlockError):
    """The archives that the host's apt knows do not have a locked version."""

    code: ClassVar[str] = "version-not-offered"

    said: tuple[str, ...]

    def __str__(self) -> str:
        return "the host's apt does not offer what is locked:\n  " + "\n  ".join(self.said)

    def _hint(self) -> str:
        return "run `apt-get update` as root; if the archive has a newer version by now, run `hatchlock lock --upgrade`"


@dataclass(frozen=True, kw_only=True, slots=True)
class AptChange:
    """What apt does with one package.

    Attributes:
        name: The package; with `:ARCHITECTURE` if that is not the native one.
        before: The installed version; "" for none.
        after: The version that will be; "" if it is removed.
    """

    name: str
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        if not self.after:
            return f"removes {self.name} {self.before}"
        if not self.before:
            return f"installs {self.name} {self.after}"
        return f"changes {self.name} {self.before} -> {self.after}"


def install_words(packages: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the command that brings packages to exactly these versions, and removes nothing.

    Args:
        packages: Names and versions, in any order.

    Returns:
        The words from `apt-get` on, packages sorted.
    """
    return ("apt-get", "install", *_OPTIONS, *(f"{name}={version}" for name, version in sorted(packages)))


def read_simulation(output: str) -> tuple[AptChange, ...]:
    """Return what `apt-get --simulate` says that it would do, sorted by name. `Conf` lines repeat what `Inst` says."""
    changes = []
    for line in output.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            action, name, before, after = match.groups()
            changes.append(AptChange(name=name, before=before or "", after=(after or "") if action == "Inst" else ""))
    return tuple(sorted(changes, key=lambda change: (change.name, change.after)))


class Apt:
    """The apt of this machine, as `PATH` finds it.

    Args:
        environ: Our environment: PATH and proxies are all that apt gets of it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = environ.get("PATH", "")
        self._env = {
            **{name: environ[name] for name in _KEPT_VARIABLES if name in environ},
            "PATH": f"{self._path}:{_SYSTEM_PATH}" if self._path else _SYSTEM_PATH,
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
            "DEBCONF_NONINTERACTIVE_SEEN": "true",
            "APT_LISTCHANGES_FRONTEND": "none",
            "NEEDRESTART_SUSPEND": "1",
        }

    def simulate(self, packages: Sequence[tuple[str, str]]) -> tuple[AptChange, ...]:
        """Return what `install` would do now. Changes nothing, and takes no lock.

        Raises:
            NotOffered: No archive that apt knows has one of the versions.
            ProcessFailed: apt finds no way.
        """
        program, *words = install_words(packages)
        # with it apt would only say that something is to be removed, and not what
        argv = [self._find(program), *(word for word in words if word != _NO_REMOVE), "--simulate"]
        try:
            output = run(argv, env=self._env, cwd=Path("/"), timeout=_SIMULATION_SECONDS, new_session=True)
        except ProcessFailed as error:
            if unknown := _NOT_FOUND.findall(error.output):
                raise NotOffered(said=tuple(dict.fromkeys(unknown))) from error
            raise
        return read_simulation(output.decode(errors="replace"))

    def digests(self, packages: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
        """Return the SHA-256 that apt's verified indexes give for each package's file; apt checks what it fetches by them.

        A version that no index has is missing; the same version of two archives may have two.

        Raises:
            ProcessFailed: apt-cache knows none of the packages.
        """
        names = [f"{name}={version}" for name, version in sorted(packages)]
        argv = [self._find("apt-cache"), "show", "--no-all-versions", *names]
        output = run(argv, env=self._env, cwd=Path("/"), timeout=_SIMULATION_SECONDS).decode(errors="replace")
        found: dict[tuple[str, str], frozenset[str]] = {}
        for stanza in output.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|SHA256): (\S+)$", stanza, re.MULTILINE))
            if len(fields) == len(("Package", "Version", "SHA256")):
                key = (fields["Package"], fields["Version"])
                found[key] = found.get(key, frozenset()) | {fields["SHA256"]}
        return found

    def install(
        self,
        packages: Sequence[tuple[str, str]],
        *,
        lock_timeout: float,
        download: bool = True,
        held: int | None = None,
    ) -> None:
        """Bring packages to exactly these versions.

        apt has no terminal and is in a session of its own, and its output goes to a file: if we are killed it goes on to
        its end. It is never killed for taking long, since that leaves the host half-way.

        Args:
            packages: Names and versions.
            lock_timeout: Seconds to wait for another program that has dpkg's lock.
            download: Whether files may be fetched; else they are in apt's own cache already.
            held: A descriptor that apt inherits: a kernel lock on it is held until apt, too, has ended.

        Raises:
            AptBusy: dpkg's lock was held all the time; nothing was done.
            ProcessFailed: apt failed, with the end of its output.
        """
        program, *words = install_words(packages)
        options = ["-o", f"DPkg::Lock::Timeout={max(int(lock_timeout), 0)}", *([] if download else ["--no-download"])]
        argv = (self._find(program), *words, *options)
        with tempfile.TemporaryFile() as output:
            try:
                status = subprocess.run(
                    argv,
                    env=self._env,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    umask=0o022,
                    pass_fds=() if held is None else (held,),
                    start_new_session=True,
                    check=False,
                ).returncode
            except OSError as error:
                raise ProcessFailed(argv=argv, status=None, output=str(error)) from error
            output.seek(0)
            said = output.read().decode(errors="replace")
        if status == 0:
            return
        if busy := _HELD.search(said):
            raise AptBusy(said=busy[0], waited=lock_timeout)
        raise ProcessFailed(argv=argv, status=status, output=said)

    def _find(self, program: str) -> str:
        return find_program(program, self._path) or program
