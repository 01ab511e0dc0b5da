"""`export`: locked servers in the files of other tools: of those that start them, and of those that say which may be started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError, RefusedError, UsageError
from hatchlock.files import atomic_write, read_optional
from hatchlock.paths import user_home
from hatchlock.usecases.inspect import NotInLock

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Scope
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.migrate.outgoing.leaving import Leaving
    from hatchlock.migrate.outgoing.model import Rendered, Withheld
    from hatchlock.usecases.project import Project

__all__ = ["CannotExport", "NothingLeaves", "ServerRequest", "export_servers", "server_formats", "write_servers"]


@dataclass(kw_only=True, eq=False)
class CannotExport(HatchlockError):
    """A server that was named cannot be in a file of that form."""

    code: ClassVar[str] = "cannot-export"

    form: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.form} cannot have it: {self.why}"

    def _hint(self) -> str:
        return self.advice


@dataclass(kw_only=True, eq=False)
class NothingLeaves(HatchlockError):
    """No server of the lock can be in a file of that form."""

    code: ClassVar[str] = "nothing-leaves"

    form: str
    withheld: tuple[Withheld, ...]

    def __str__(self) -> str:
        if not self.withheld:
            return f"the lock has no servers, and {self.form} holds nothing else"
        from hatchlock.migrate.outgoing.model import by_reason

        reasons: dict[str, list[str]] = {}
        for (why, _), names in by_reason(self.withheld).items():
            reasons.setdefault(why, []).extend(names)
        said = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
        return f"{self.form} can have none of the servers: {said}"

    def _hint(self) -> str:
        return next((item.hint for item in self.withheld if item.hint), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerRequest:
    """What is to be exported.

    Attributes:
        form: One of `server_formats`, with an application's name in the place of NAME.
        names: The servers; all of the lock if empty.
        scope: Of entries that start through hatchlock: as an application's user's file has it, or a project's; None for what the manifest says.
        without_hatchlock: Whether entries start what is locked by other means than hatchlock.
        images: Server or environment -> where its image was pushed to, by digest.
        beside: The directory that the file will be in; None for the project's.
    """

    form: str
    names: tuple[str, ...] = ()
    scope: Scope | None = None
    without_hatchlock: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    beside: Path | None = None


def server_formats() -> tuple[str, ...]:
    """Return what `--format` takes for servers."""
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.migrate.outgoing.forms import CLIENT, FORMS

    return (*(f"{CLIENT}{name}" for name in CLIENTS), *(form for form in FORMS if not form.startswith(CLIENT)))


def export_servers(project: Project, request: ServerRequest) -> Rendered:
    """Return servers of the lock in the files of another tool; no secret is in any of them.

    What no file of the form can hold is left out and said, but for servers that are named: these are an error.

    Raises:
        ManyErrors: The manifest has mistakes.
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies it.
        NotInLock: It has no such server.
        CannotExport, NothingLeaves: A server that is named, or none at all, can be in such a file.
        NoProjectFile: The application reads no file of a project.
        UsageError: Two of the options do not go together.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.migrate.outgoing.forms import Forms
    from hatchlock.usecases.locked import satisfied_lock

    _check(request)
    manifest, lock = satisfied_lock(project)
    known = tuple(server.name for server in lock.servers)
    for name in request.names:
        if name not in known:
            raise NotInLock(what="server", name=name, known=known)
    for name in request.images:
        if name not in (together := (*known, *(item.name for item in lock.environments))):
            raise NotInLock(what="server or environment", name=name, known=together)
    forms = Forms(
        form=request.form,
        leaving=_leaving(project, request, manifest, lock),
        home=project.home,
        here=load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest,
        scope=request.scope,
        without_hatchlock=request.without_hatchlock,
    )
    made = forms.made(tuple(dict.fromkeys(request.names)) or known)
    for item in made.withheld:
        if item.server in request.names:
            raise CannotExport(address=f"server:{item.server}", form=request.form, why=item.why, advice=item.hint)
    if not made.servers:
        raise NothingLeaves(form=request.form, withheld=made.withheld)
    return _with_launcher(made, project)


def _check(request: ServerRequest) -> None:
    from hatchlock.migrate.outgoing.forms import CLIENT, CONTAINER_FORMS, SCOPED_FORMS

    is_scoped = request.form.startswith(CLIENT) or request.form in SCOPED_FORMS
    if request.scope and (not is_scoped or request.without_hatchlock):
        raise UsageError(
            what="--scope says whose entries start servers through hatchlock, and here are none of an application",
            advice=f"use it with --format {CLIENT}NAME or {' or '.join(SCOPED_FORMS)}, and without --without-hatchlock",
        )
    if request.without_hatchlock and request.form in CONTAINER_FORMS:
        raise UsageError(
            what=f"--format {request.form} needs no hatchlock anyway", advice="leave out --without-hatchlock"
        )


def _leaving(project: Project, request: ServerRequest, manifest: Manifest, lock: Lock) -> Leaving:
    from hatchlock.migrate.outgoing.leaving import Leaving
    from hatchlock.migrate.outgoing.setting import Setting
    from hatchlock.resolve.declared_by_lock import declared_by
    from hatchlock.resources.placing import Placing
    from hatchlock.usecases.assume import assumed_machine
    from hatchlock.usecases.inspect import image_platforms

    platform = image_platforms(lock, ())[0]
    declared = declared_by(lock, manifest)
    machine = assumed_machine(project, platform, lock)
    return Leaving(
        manifest=manifest,
        lock=lock,
        images=request.images,
        setting=Setting(
            project=manifest.project.name,
            directory=project.directory,
            user_home=user_home(project.environ),
            beside=request.beside or project.directory,
        ),
        platform=platform,
        placed=Placing(manifest=declared, lock=lock, machine=machine).server,
    )


def _with_launcher(made: Rendered, project: Project) -> Rendered:
    """Say of entries that start this store's launcher that there is none yet."""
    from hatchlock.migrate.outgoing.model import Note

    launcher = project.home.bin / "hatchlock"
    if launcher.exists() or not any(str(launcher) in text for text in made.files.values()):
        return made
    note = Note(server="", what=f"nothing starts before `hatchlock apply`: there is no {launcher}")
    return replace(made, notes=(*made.notes, note))


def write_servers(made: Rendered, output: Path, *, form: str) -> list[Path]:
    """Write an export to a file, or several into a directory, and return what was written.

    A form that makes a file for each server is written into a directory even for one server, but where `output` is named
    like such a file.

    A file that is there and holds something else is left alone: it may list other people's servers.

    Raises:
        UsageError: `output` cannot be that.
        RefusedError: There is such a file.
        PermissionProblem: It cannot be written to.
    """
    from hatchlock.migrate.outgoing.forms import FORMS_FOR_EACH

    is_for_each = form in FORMS_FOR_EACH and output.suffix != ".json" and not output.exists()
    into_directory = len(made.files) > 1 or output.is_dir() or is_for_each
    if into_directory and output.exists() and not output.is_dir():
        raise UsageError(
            what=f"--output {output}: {len(made.files)} files need a directory",
            advice="name a directory; it is made if there is none",
        )
    if not (output if into_directory else output.absolute()).parent.is_dir():
        raise UsageError(what=f"--output {output}: there is no such directory", advice="make it first")
    paths = {output / name if into_directory else output: text.encode() for name, text in made.files.items()}
    for path, data in paths.items():
        if read_optional(path) not in {None, data}:
            raise RefusedError(
                what=f"{path} is there, and holds something else",
                needs="name another file, or take that one away first",
            )
    if into_directory:
        output.mkdir(exist_ok=True)
    for path, data in paths.items():
        atomic_write(path, data, mode=0o644)
    return list(paths)
