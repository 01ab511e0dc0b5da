"""`secret`: what is kept and what is missing, never what it is; and what `lock`, `validate` and `status` say of secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError, PermissionProblem, UsageError

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord, SecretReference
    from hatchlock.manifest.model import Manifest, ServerSpec
    from hatchlock.manifest.problem import ManifestProblem
    from hatchlock.manifest.read import Toml
    from hatchlock.paths import Home
    from hatchlock.security.secrets.resolve import Places
    from hatchlock.security.secrets.store import Where
    from hatchlock.state.sessions import RunningSession
    from hatchlock.usecases.project import Project

__all__ = [
    "Checked",
    "NoSuchSecret",
    "SecretView",
    "asks_store",
    "changed_secrets",
    "check_secret_places",
    "check_secrets",
    "list_secrets",
    "missing_secret",
    "remove_secret",
    "set_secret",
    "store_problem",
]


@dataclass(kw_only=True, eq=False)
class NoSuchSecret(HatchlockError):
    """A secret is to be deleted that nobody keeps."""

    code: ClassVar[str] = "no-such-secret"

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"neither the keyring nor the store has {self.name}"

    def _hint(self) -> str:
        return f"there is {', '.join(self.known)}" if self.known else "see `hatchlock secret list`"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretView:
    """A secret, without anything of its value.

    Attributes:
        reference: As a manifest names it.
        project: Whose own it is; "" for everybody's.
        where: Where its value is: `keyring`, `store`, or the kind of the reference.
        present: Whether there is one; None for a command, which is not run for that.
        used_by: `SERVER.VARIABLE`, sorted.
    """

    reference: str
    project: str
    where: str
    present: bool | None
    used_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """Whether one secret of a server has a value.

    Attributes:
        server: The server's name.
        variable: The variable that needs it.
        reference: Where it is.
        present: Whether it has one.
        required: Whether the server is refused without it.
        error: Why it has none, or may not be used; None if it has one, or needs none.
    """

    server: str
    variable: str
    reference: str
    present: bool
    required: bool
    error: HatchlockError | None


def set_secret(home: Home, name: str, value: str, environ: Mapping[str, str], *, project: str = "") -> Where:
    """Keep a value for `keyring:NAME`, and return where: in the keyring of this system, else in the store.

    Raises:
        UsageError: It is no name, or no value.
        PermissionProblem: The store of secrets could be another user's, or be read by one.
        LeaseHeld: Another process is changing it.
        AuditNotWritten: It cannot be written down; nothing was kept.
    """
    from hatchlock.security.secrets.programs import Keyring
    from hatchlock.security.secrets.store import SecretStore
    from hatchlock.usecases.audit_trail import begin

    if not value or "\0" in value:
        raise UsageError(
            what="there is no value" if not value else "the value holds a NUL character",
            advice=f"type it when asked, or: hatchlock secret set {name} < FILE",
        )
    kept = _kept(name, project)
    begin(home.root, "secret.set", secret=kept)
    return SecretStore(home.root).set(kept, value, Keyring(environ))


def remove_secret(home: Home, name: str, environ: Mapping[str, str], *, project: str = "") -> None:
    """Delete what is kept for `keyring:NAME`.

    Raises:
        UsageError: It is no name.
        NoSuchSecret: It is not kept.
        PermissionProblem: The store of secrets could be another user's, or be read by one.
        LeaseHeld: Another process is changing it.
    """
    from hatchlock.security.secrets.programs import Keyring
    from hatchlock.security.secrets.store import SecretStore
    from hatchlock.usecases.audit_trail import begin

    store, kept = SecretStore(home.root), _kept(name, project)
    begin(home.root, "secret.rm", secret=kept)
    if not store.forget(kept, Keyring(environ)):
        raise NoSuchSecret(name=name, known=tuple(store.names()))


def _kept(name: str, project: str) -> str:
    from hatchlock.security.secrets.store import stored_name

    try:
        return stored_name(name, project)
    except ValueError as error:
        what = f"{error.args[0]!r} is no name: letters, digits, '.', '_' and '-'"
        raise UsageError(what=what, advice="choose one such as acme-token") from None


def list_secrets(project: Project, *, known: bool) -> tuple[SecretView, ...]:
    """Return every secret that the manifest refers to, and every one that is kept.

    Args:
        project: Whose manifest, overlay included.
        known: Whether there is a manifest; if not, only what is kept counts.

    Raises:
        ManyErrors: The manifest has mistakes.
        PermissionProblem: The store of secrets could be another user's, or be read by one.
    """
    from hatchlock.security.secrets.store import SecretStore

    manifest = _manifest(project) if known else None
    used = _used(manifest) if manifest else {}
    name = manifest.project.name if manifest else ""
    kept = SecretStore(project.home.root).names()
    places = _places(project, name)
    views = [
        SecretView(
            reference=text,
            project=name if f"{name}/{reference.spec}" in kept and reference.kind == "keyring" else "",
            where=_where(reference, name, kept),
            present=None if reference.kind == "command" else _has_value(reference, places),
            used_by=tuple(sorted(by)),
        )
        for text, (reference, by) in used.items()
    ]
    shown = {(view.reference, view.project) for view in views}
    for stored, where in kept.items():
        owner, _, own = stored.rpartition("/")
        if (f"keyring:{own}", owner) not in shown:
            views.append(
                SecretView(reference=f"keyring:{own}", project=owner, where=where or "store", present=True, used_by=())
            )
    return tuple(sorted(views, key=lambda view: (view.reference, view.project)))


def _where(reference: SecretReference, project: str, kept: Mapping[str, Where]) -> str:
    if reference.kind != "keyring":
        return reference.kind
    return kept.get(f"{project}/{reference.spec}") or kept.get(reference.spec) or "keyring"


def _used(manifest: Manifest) -> dict[str, tuple[SecretReference, list[str]]]:
    used: dict[str, tuple[SecretReference, list[str]]] = {}
    for server in manifest.servers.values():
        for variable, reference in server.references.items():
            used.setdefault(reference.secret, (reference, []))[1].append(f"{server.name}.{variable}")
    return used


def _has_value(reference: SecretReference, places: Places) -> bool:
    from hatchlock.security.secrets.resolve import resolve

    try:
        return bool(resolve({"_": reference}, places).bare)
    except HatchlockError:
        return False


def check_secrets(project: Project, server: str | None) -> tuple[Checked, ...]:
    """Look for the value of every secret of the manifest's servers, or of one.

    Commands are run, and the keyring is asked.

    Raises:
        ManyErrors: The manifest has mistakes.
        UnknownServer: It has no such server.
    """
    from hatchlock.manifest.edit import UnknownServer

    manifest = _manifest(project)
    if server is not None and server not in manifest.servers:
        raise UnknownServer(name=server, known=tuple(sorted(manifest.servers)))
    places = _places(project, manifest.project.name)
    chosen = [spec for name, spec in sorted(manifest.servers.items()) if server in {None, name}]
    return tuple(item for spec in chosen for item in _checked(spec, places))


def _checked(spec: ServerSpec, places: Places) -> Iterator[Checked]:
    from hatchlock.security.secrets.resolve import resolve

    for variable, reference in sorted(spec.references.items()):
        error: HatchlockError | None = None
        present = False
        try:
            present = bool(resolve({variable: reference}, places).bare)
        except HatchlockError as problem:
            error = problem
            error.address = error.address or f"server:{spec.name}"
        yield Checked(
            server=spec.name,
            variable=variable,
            reference=reference.secret,
            present=present,
            required=reference.required,
            error=error,
        )


def _manifest(project: Project) -> Manifest:
    from hatchlock.manifest.load import load_bytes

    return load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest


def _places(project: Project, name: str) -> Places:
    from hatchlock.security.secrets.resolve import Places

    return Places(environ=project.environ, directory=str(project.directory), project=name, store=project.home.root)


def check_secret_places(project: Project) -> None:
    """Refuse a manifest whose secrets are in files that git does not ignore, or that others can read.

    Nothing is read of them but their names and modes; those that are not there yet may be written by then.

    Raises:
        ManyErrors: There are such, as `ManifestProblem` with their places.
    """
    from hatchlock.errors import ManyErrors
    from hatchlock.manifest.read import parse
    from hatchlock.paths import MANIFEST_NAME, OVERLAY_NAME

    problems: list[ManifestProblem] = []
    for data, shown in (
        (project.manifest_bytes, project.manifest.name or MANIFEST_NAME),
        (project.overlay_bytes, OVERLAY_NAME),
    ):
        if b"file:" in data:  # else there is nothing to look for
            problems += _exposed(parse(data, shown=shown), project)
    if problems:
        raise ManyErrors(errors=tuple(problems))


def _exposed(document: Toml, project: Project) -> Iterator[ManifestProblem]:
    from hatchlock.launch import SecretReference
    from hatchlock.manifest.later import matches
    from hatchlock.manifest.problem import ManifestProblem, dotted
    from hatchlock.security.secrets.files import secret_path

    for pattern in ("servers.*.env.*.secret", "defaults.env.*.secret"):
        for key, text in matches(document.data, pattern):
            reference = SecretReference(secret=str(text))
            if reference.kind != "file":
                continue
            path = secret_path(reference.file[0], environ=project.environ, directory=str(project.directory))
            if found := _exposure(path, str(key[-2]), project):
                yield ManifestProblem(
                    place=document.place(key), key=dotted(key[:-1]), what=str(found), advice=found.hint
                )


def _exposure(path: Path, variable: str, project: Project) -> HatchlockError | None:
    import stat

    from hatchlock.security.secrets.files import InsecureSecret, open_to_others
    from hatchlock.security.secrets.tracked import CommittedSecret, not_ignored

    try:
        facts = path.stat()
    except OSError:
        facts = None
    if facts and (who := open_to_others(facts)):
        return InsecureSecret(variable=variable, path=str(path), mode=stat.S_IMODE(facts.st_mode), who=who)
    if not_ignored(path, project=project.directory, environ=project.environ):
        return CommittedSecret(variable=variable, path=str(path))
    return None


def changed_secrets(home: Home, project: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return server -> why its running sessions should be started again, where a secret is not what they were given.

    Values are looked up as for a start, and compared by their keyed hashes. A variable that is not set here says nothing of the
    application that started the server.

    Raises:
        PermissionProblem: The store's key could be another user's, or be read by one.
    """
    from hatchlock.state.sessions import running

    found: dict[str, set[str]] = {}
    for session in running(home.project(project)):
        found.setdefault(session.server, set()).update(_changed(home, project, session, environ))
    return {
        server: f"restart needed: {', '.join(sorted(names))} changed since it was started"
        for server, names in sorted(found.items())
        if names
    }


def missing_secret(home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> str:
    """Return which secret a server that was applied lacks, and why, as a sentence; "" for none. No command is run for that."""
    from hatchlock.security.secrets.resolve import MissingSecret, Places, resolve

    places = Places(environ=environ, directory=record.directory, project=record.project, store=home.root)
    references = {name: item for name, item in record.references.items() if item.kind != "command"}
    try:
        resolve(references, places)
    except MissingSecret as error:
        return str(error)
    except HatchlockError:  # `secret check` says what is wrong with it
        return ""
    return ""


def asks_store(record: LaunchRecord) -> bool:
    """Return whether a server asks the store of secrets for something."""
    return any(item.kind == "keyring" for item in record.references.values())


def store_problem(home: Home, records: Iterable[LaunchRecord]) -> str:
    """Return why servers that ask the store of secrets get nothing from it, as a sentence; "" where none asks, or it is whole."""
    if not any(map(asks_store, records)):
        return ""
    from hatchlock.security.secrets.store import SecretStore

    try:
        SecretStore(home.root).names()
    except PermissionProblem as error:
        return str(error)
    return ""


def _changed(home: Home, project: str, session: RunningSession, environ: Mapping[str, str]) -> Iterator[str]:
    from hatchlock.files import read_optional
    from hatchlock.launch import LaunchRecord
    from hatchlock.security.secrets.resolve import Places, resolve
    from hatchlock.security.secrets.store import fingerprint
    from hatchlock.state.project import ProjectState

    data = read_optional(ProjectState(home.project(project)).record_path(session.launch))
    if data is None:
        return
    record = LaunchRecord.from_json(data)
    places = Places(environ=environ, directory=record.directory, project=project, store=home.root)
    for name, reference in sorted(record.references.items()):
        if reference.kind == "env" and reference.spec not in environ:
            continue
        try:
            now = fingerprint(home.root, resolve({name: reference}, places).bare, create=False)
        except HatchlockError:
            now = {}
        if now.get(name) != session.secrets.get(name):
            yield name
