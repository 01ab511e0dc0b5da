"""Whether git would let a secret's file be committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.process import ProcessFailed, on_path, run

__all__ = ["CommittedSecret", "not_ignored"]

_SECONDS = 10.0
_NOT_IGNORED = 1
_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "safe.directory=*")
"""Nothing that the repository brings is run, and whose it is does not matter."""


@dataclass(kw_only=True, eq=False)
class CommittedSecret(HatchlockError):
    """A secret's file is in the project's repository, and git does not ignore it."""

    code: ClassVar[str] = "committed-secret"

    variable: str
    path: str

    def __str__(self) -> str:
        return f"the secret file {self.path} for {self.variable} is in the project's repository, and git does not ignore it"

    def _hint(self) -> str:
        return (
            "name it in .gitignore, or move it out; if it was committed (`git rm --cached` it then), change the secret"
        )


def not_ignored(path: Path, *, project: Path, environ: Mapping[str, str]) -> bool:
    """Whether a file lies in the repository of the project, and is in its index or could be added to it.

    Asks git, which only looks at names: a few milliseconds, and none outside of a repository. The file need not exist.

    Args:
        path: The secret's file, absolute.
        project: The project's directory.
        environ: Names git (`PATH`) and the user's own rules (`HOME`); without git nothing is known.
    """
    place = path.resolve()
    tree = _work_tree(project.resolve())
    if tree is None or tree not in place.parents:
        return False
    git = on_path("git", environ.get("PATH", ""))
    if git is None:
        return False
    kept = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")
    env = {name: environ[name] for name in kept if name in environ}
    # from its own repository, which may be one within the project's
    where = next((item for item in place.parents if item.is_dir()), tree)
    try:
        run([git, *_SETTINGS, "check-ignore", "-q", "--", str(place)], env=env, cwd=where, timeout=_SECONDS)
    except ProcessFailed as error:
        return error.status == _NOT_IGNORED
    return False


def _work_tree(directory: Path) -> Path | None:
    return next((item for item in (directory, *directory.parents) if (item / ".git").exists()), None)
