"""`logs --build`: what builds of a project said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.paths import Home

__all__ = ["NoBuildLog", "build_log"]


@dataclass(kw_only=True, eq=False)
class NoBuildLog(HatchlockError):
    """Nothing of that name was built for a project on this machine."""

    code: ClassVar[str] = "no-build-log"

    project: str
    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"there is no log of a build called {self.name!r} of the project {self.project!r}"

    def _hint(self) -> str:
        if not self.known:
            return "`hatchlock apply` builds what has to be built, and keeps what that says"
        return f"there are {', '.join(self.known)}"


def build_log(home: Home, project: str, name: str) -> Path:
    """Return the log of the last build of that name.

    Args:
        home: The store.
        project: The project's name.
        name: `ENVIRONMENT.PACKAGE`, or a server that is built.

    Raises:
        NoBuildLog: There is none.
    """
    from hatchlock.state.project import ProjectState

    found = {path.stem: path for path in sorted(ProjectState(home.project(project)).builds.glob("*.log"))}
    if name not in found:
        raise NoBuildLog(project=project, name=name, known=tuple(found))
    return found[name]
