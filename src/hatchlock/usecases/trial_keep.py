"""`try --keep`: what was tried becomes a server of a manifest and its lock, in the same versions or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.files import atomic_write

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.usecases.trial import Trial

__all__ = ["NotAsTried", "keep_trial"]

_SHOWN = 5


@dataclass(kw_only=True, eq=False)
class NotAsTried(HatchlockError):
    """In the project, the server would be something else than what was tried; nothing was written.

    Attributes:
        differences: A clause each.
    """

    code: ClassVar[str] = "not-as-tried"

    differences: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.differences) - _SHOWN
        listed = "; ".join((*self.differences[:_SHOWN], *([f"and {more} more"] if more > 0 else [])))
        return f"with this manifest and lock it would be something else than what was tried: {listed}"

    def _hint(self) -> str:
        return "add it with `hatchlock add`, look at it with `hatchlock diff`, and probe it after `hatchlock apply`"


def keep_trial(trial: Trial, *, environ: Mapping[str, str], emit: Sink = discard) -> str:
    """Add the server of a trial to the manifest that it is to be kept in, and lock that.

    Args:
        trial: Which; it is to be kept.
        environ: This command's environment.
        emit: Told about progress.

    Returns:
        The manifest's name.

    Raises:
        NotAsTried: Other versions would be locked.
        ServerExists: The manifest has got one of this name meanwhile.
        LeaseHeld: Another command changes the manifest, and did not end in time.
        HatchlockError: What locking raises. In all these cases nothing was written.
    """
    from hatchlock.engines.process import host_platform
    from hatchlock.usecases import manifest
    from hatchlock.usecases.leases import manifest_lease
    from hatchlock.usecases.lock import lock_project
    from hatchlock.usecases.locked import read_project_lock
    from hatchlock.usecases.project import open_project

    if trial.keep is None:
        raise ValueError("it is not to be kept")
    tried, keep, path = read_project_lock(trial.opened(environ)), trial.keep, Path(trial.keep.manifest)

    def agree(lock: Lock) -> None:
        if found := tuple(_differences(tried, lock, trial.server, host_platform())):
            raise NotAsTried(address=f"server:{trial.server}", differences=found)

    with manifest_lease(trial.home, path, purpose="try --keep", timeout=keep.lock_timeout, emit=emit):
        project = open_project(directory=path.parent, manifest=path, use_global=False, home=trial.home, environ=environ)
        edited = manifest.add(project.manifest_text, trial.server, keep.fields).encode()
        mode = path.stat().st_mode & 0o7777
        # the lock first, as `add` does it: what cannot be locked changes nothing
        after = replace(project, manifest_bytes=edited)
        lock_project(after, offline=keep.offline, prefer=(tried,), agree=agree, emit=emit)
        atomic_write(path.resolve(), edited, mode=mode)
    return path.name


def _differences(tried: Lock, kept: Lock, name: str, platform: str) -> Iterator[str]:
    before, after = tried.server(name), kept.server(name)
    if before.image or after.image:
        images = [
            next((item.digest for item in lock.images if item.reference == server.image), "")
            for lock, server in ((tried, before), (kept, after))
        ]
        if before.image != after.image or images[0] != images[1]:
            yield f"the image {after.image} {images[1]} in the place of {before.image} {images[0]}"
    if (before.runtime, before.command) != (after.runtime, after.command):
        yield f"{' '.join(after.command)} in a {after.runtime}, not {' '.join(before.command)} in a {before.runtime}"
    if not before.environment or not after.environment:
        return
    old = tried.environment(before.environment, before.runtime)
    new = kept.environment(after.environment, after.runtime)
    for what in ("python", "node", "base"):
        if getattr(old, what) != getattr(new, what):
            yield f"{what} {getattr(new, what) or 'none'} in the place of {getattr(old, what) or 'none'}"
    gone, more = set(old.on(platform)) - set(new.on(platform)), set(new.on(platform)) - set(old.on(platform))
    yield from (f"without {item}" for item in sorted(gone))
    yield from (f"with {item}" for item in sorted(more))
