"""`report`: what a bug report needs of a machine and a project, without secrets and without whose machine it is."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import platform
import pwd
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock import __version__
from hatchlock.errors import HatchlockError, ManyErrors, SystemProblem
from hatchlock.files import read_optional
from hatchlock.usecases.report_addresses import ReportAddress, addresses_of, own_address

if TYPE_CHECKING:
    from hatchlock.launch import SecretReference
    from hatchlock.lock.model import Lock
    from hatchlock.paths import Home
    from hatchlock.security.secrets.anonymous import Anonymous, Identity
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.project import Project

__all__ = ["Part", "Report", "bundle_bytes", "make_report"]

_LONGEST = 256 << 10
_ENTRIES = 500
_PROGRAMS = ("bwrap", "node", "uv", "git", "docker", "podman")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A file of a report.

    Attributes:
        name: Its path there.
        text: What it says.
    """

    name: str
    text: str

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.text.encode(errors="replace"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a bug report needs.

    Attributes:
        project: The project's name; "" outside of one.
        parts: Its files, by name; the first is what people read first.
        addresses: Where to tell of mistakes in what the lock has.
        own: Where to tell of mistakes in hatchlock; "" where its package does not say.
        unknown: References to secrets whose values this machine does not know, and which nobody could look for.
    """

    project: str
    parts: tuple[Part, ...]
    addresses: tuple[ReportAddress, ...]
    own: str
    unknown: tuple[str, ...]


def make_report(project: Project | None, home: Home, environ: Mapping[str, str]) -> Report:
    """Gather what a bug report needs. Reads only; what cannot be said says why.

    Nothing in it holds the value of a secret that this machine knows, a token of a known form, or what stands behind a name
    like `password`; the user's home, the user's and the machine's name are `~`, USER and HOST.

    Args:
        project: Whose; None outside of any.
        home: The store.
        environ: This command's environment.
    """
    from hatchlock.security.secrets.anonymous import Anonymous

    lock, state = _lock(project), _state(project, home)
    secrets, unknown = _secrets(project, home, environ, lock, state)
    anonymous = Anonymous([*secrets, *_suspicious(environ)], _identity(environ))
    addresses = addresses_of(lock) if lock else ()
    parts = [
        Part(name=anonymous.text(name), text=_cut(anonymous.text(text)))
        for name, text in _texts(project, home, environ, state, addresses)
        if text
    ]
    return Report(
        project=anonymous.text(state.root.name) if state else "",
        parts=tuple(parts),
        addresses=tuple(_anonymous(item, anonymous) for item in addresses),
        own=own_address(),
        unknown=unknown,
    )


def bundle_bytes(report: Report) -> bytes:
    """Return a report as a tar.gz, whose members belong to nobody."""
    now, stream = int(time.time()), io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for part in report.parts:
            data = part.text.encode(errors="replace")
            member = tarfile.TarInfo(f"hatchlock-report/{part.name}")
            member.size, member.mtime, member.mode = len(data), now, 0o600
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=now)


def _texts(
    project: Project | None,
    home: Home,
    environ: Mapping[str, str],
    state: ProjectState | None,
    addresses: tuple[ReportAddress, ...],
) -> Iterator[tuple[str, str]]:
    from hatchlock.state.runlog import run_path, runs

    yield "report.txt", _versions(home, environ)
    yield "doctor.txt", _said(lambda: _doctor(home, environ))
    if project is None:
        return
    yield "hatchlock.toml", project.manifest_bytes.decode(errors="replace")
    yield "hatchlock.local.toml", project.overlay_bytes.decode(errors="replace")
    yield "hatch.lock", (project.lock_bytes or b"").decode(errors="replace")
    yield "plan.txt", _said(lambda: _plan(project))
    yield "status.json", _said(lambda: _status(project))
    yield "where-to-report.txt", "".join(f"{item.what}  {item.address or 'nobody says'}\n" for item in addresses)
    if state is None:
        return
    yield "audit.ndjson", _said(lambda: _audit(home, state.root.name))
    for server, digest in state.active().items():
        yield f"launch/{server}.json", _file(state.record_path(digest))
    for directory, pattern in (("logs", "*"), ("counts", "*.json"), ("denials", "*.json"), ("probes", "*.json")):
        for path in sorted((state.root / directory).glob(pattern)):
            yield f"{directory}/{path.name}", _file(path)
    for number in runs(state.root)[-1:]:
        yield "last-apply.ndjson", _file(run_path(state.root, number))


def _versions(home: Home, environ: Mapping[str, str]) -> str:
    from hatchlock.engines.process import find_program

    lines = [
        f"hatchlock {__version__}",
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        f"{platform.system()} {platform.release()} {platform.machine()}",
        *_distribution(),
        f"store {home.root}{'' if home.is_default else ' (not the usual place)'}",
        "programs: " + ", ".join(name for name in _PROGRAMS if find_program(name, environ.get("PATH", ""))),
    ]
    return "\n".join(lines) + "\n"


def _distribution() -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield platform.freedesktop_os_release().get("PRETTY_NAME", "")


def _doctor(home: Home, environ: Mapping[str, str]) -> str:
    from hatchlock.usecases.doctor import diagnose

    return "".join(f"{item.state:<8}{item.name}: {item.found}\n" for item in diagnose(home, environ, pythons=()))


def _plan(project: Project) -> str:
    from hatchlock.usecases.plan import make_plan

    planned = make_plan(project)
    notes = "".join(f"! {note.address}  {note.what}\n" for note in planned.notes)
    return f"{planned.plan}\n{notes}"


def _status(project: Project) -> str:
    from hatchlock.usecases.status import project_status

    return json.dumps(asdict(project_status(project, offline=True)), default=str, indent=1)


def _audit(home: Home, project: str) -> str:
    from hatchlock.usecases.audit_log import audit_log

    return "".join(f"{json.dumps(entry)}\n" for entry in audit_log(home.root, project=project).entries[-_ENTRIES:])


def _said(say: Callable[[], str]) -> str:
    try:
        return say()
    except (HatchlockError, OSError) as error:
        known = SystemProblem.known(error)
        each = known.errors if isinstance(known, ManyErrors) else (known,)
        return "".join(f"it cannot be said: {item.place or item.address or item.code}: {item}\n" for item in each)


def _file(path: Path) -> str:
    return _said(lambda: (read_optional(path) or b"").decode(errors="replace"))


def _cut(text: str) -> str:
    """The end of what is long is what matters, but for a document, of which a part is better than nothing."""
    if len(text) <= _LONGEST:
        return text
    return f"(the first {len(text) - _LONGEST} characters are left out)\n{text[-_LONGEST:]}"


def _lock(project: Project | None) -> Lock | None:
    from hatchlock.lock.store import loads

    if project is None or project.lock_bytes is None:
        return None
    try:
        return loads(project.lock_bytes)
    except HatchlockError:
        return None  # it is in the report as it is


def _state(project: Project | None, home: Home) -> ProjectState | None:
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.run import project_name

    if project is None:
        return None
    try:
        name = project_name(project.manifest)
    except HatchlockError:
        return None
    return ProjectState(home.project(name), forgiving=True)


def _secrets(
    project: Project | None, home: Home, environ: Mapping[str, str], lock: Lock | None, state: ProjectState | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the values that this machine knows, and the references whose values it does not."""
    from hatchlock.security.secrets.resolve import Places, resolve

    values, unknown = list(_kept(home, environ)), []
    for reference in dict.fromkeys(_references(lock, state)):
        directory, name = (str(project.directory), state.root.name) if project and state else ("/", "")
        places = Places(environ=environ, directory=directory, project=name, store=home.root)
        try:
            values += resolve({"value": reference}, places).bare.values()
        except HatchlockError:
            unknown.append(reference.secret)
    return tuple(values), tuple(sorted(set(unknown)))


def _references(lock: Lock | None, state: ProjectState | None) -> Iterator[SecretReference]:
    from dataclasses import replace

    for server in lock.servers if lock else ():
        for reference in (*server.secrets.values(), *server.header_secrets.values()):
            yield replace(reference, format="{}", as_="variable", required=True)
    for digest in state.active().values() if state else ():
        record = state.record(digest) if state else None
        for reference in record.references.values() if record else ():
            yield replace(reference, format="{}", as_="variable", required=True)


def _kept(home: Home, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield all that `secret set` and `login` keep."""
    from hatchlock.security.secrets.logins import Login
    from hatchlock.security.secrets.programs import Keyring
    from hatchlock.security.secrets.store import SecretStore

    store, keyring = SecretStore(home.root), Keyring(environ)
    with contextlib.suppress(HatchlockError):
        for name in store.names():
            if value := store.get(name, "", keyring):
                login = Login.from_json(value) if value.startswith("{") else None
                yield from login.hidden if login else (value,)


def _suspicious(environ: Mapping[str, str]) -> Iterable[str]:
    from hatchlock.manifest.suspicion import looks_secret

    return [value for name, value in environ.items() if looks_secret(name, value)]


def _identity(environ: Mapping[str, str]) -> Identity:
    from hatchlock.security.secrets.anonymous import Identity

    homes, users = [environ.get("HOME", "")], [environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")]
    with contextlib.suppress(KeyError):
        entry = pwd.getpwuid(os.getuid())
        homes.append(entry.pw_dir)
        users.append(entry.pw_name)
    return Identity(homes=tuple(homes), users=tuple(users), host=os.uname().nodename)


def _anonymous(item: ReportAddress, anonymous: Anonymous) -> ReportAddress:
    return ReportAddress(what=anonymous.text(item.what), address=anonymous.text(item.address), servers=item.servers)
