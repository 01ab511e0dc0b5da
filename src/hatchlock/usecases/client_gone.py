"""What of what an entry of ours starts is gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.state.project import ProjectState

if TYPE_CHECKING:
    from hatchlock.clients.owners import Mark
    from hatchlock.paths import Home

__all__ = ["gone_of"]


def gone_of(mark: Mark, own: Home, *, in_project: bool) -> str:
    """Return what of what an entry starts is gone, as a clause; "" for nothing, or where nobody can say.

    Args:
        mark: The entry's.
        own: Our store.
        in_project: Whether there is a manifest here, beside which the files of a project lie.
    """
    launcher = Path(mark.launcher)
    if not mark.project:
        return "" if in_project else "there is no manifest where its file is"
    if launcher.is_absolute() and not launcher.exists():
        return f"{launcher}, which it starts, is gone"
    if not mark.home and not launcher.is_absolute() and not own.is_default:
        return ""  # whoever starts it has a PATH of their own, and a store that we do not know
    usual = launcher.parent.parent if launcher.is_absolute() else own.root
    return _gone_from(Path(mark.home) if mark.home else usual, mark)


def _gone_from(store: Path, mark: Mark) -> str:
    root = store / "projects" / mark.project
    if "/" in mark.project or not root.is_dir():
        return f"the store {store} has no project {mark.project!r}"
    state = ProjectState(root)
    try:
        bound, active = state.bound_to(), state.active()
    except HatchlockError:
        return ""  # damaged, or of a newer version: neither says that something is gone
    if mark.server not in active:
        return f"the project {mark.project!r} has no server {mark.server!r} any more"
    if bound and not Path(bound).exists():
        return f"the directory of the project {mark.project!r} is gone: {bound}"
    return ""
