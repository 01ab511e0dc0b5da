"""uv's `[tool.uv.sources]`: where requirements come from when not from an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from hatchlock.sources.projects.loose import Document, rows, string, table
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.requirements import Requirement, both, git_location, path_location, without_credentials
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.projects.workspaces import Workspace, uv_workspace

__all__ = ["relocated"]

_FILE = "pyproject.toml"


def relocated(
    tree: ProjectTree,
    document: Document,
    requirements: list[Requirement],
    extras: dict[str, list[Requirement]],
    notes: list[str],
) -> None:
    """Give the requirements that `[tool.uv.sources]` speaks of the places that it names, in place.

    The sources of the workspace's root hold for its members, too, as far as they have none of their own for a name.

    Raises:
        BadProjectFile: A source has no meaning, or names a project that its workspace does not have.
    """
    if not (own := table(document, "tool", "uv", "sources")) and not tree.above:
        return
    workspace = uv_workspace(tree)
    outer = table(workspace.settings, "tool", "uv", "sources") if workspace and workspace.root != tree.root else {}
    base = workspace.root if workspace else tree.root
    sources: dict[str, tuple[object, Path]] = {canonicalize_name(name): (value, base) for name, value in outer.items()}
    sources |= {canonicalize_name(name): (value, tree.root) for name, value in own.items()}
    for wanted in (requirements, *extras.values()):
        wanted[:] = [place for one in wanted for place in _places(tree, one, sources, workspace, notes)]


def _places(
    tree: ProjectTree,
    wanted: Requirement,
    sources: Mapping[str, tuple[object, Path]],
    workspace: Workspace | None,
    notes: list[str],
) -> list[Requirement]:
    value, base = sources.get(wanted.name, (None, tree.root))
    listed = rows(value) if isinstance(value, list) else rows([value])
    if not listed:
        return [wanted]
    found: list[Requirement] = []
    for source in listed:
        if index := string(source.get("index")):
            notes.append(
                f"it takes {wanted.name} from its index {index!r}: declare that in [indexes.pypi] if it is private"
            )
        location = _location(tree, wanted.name, source, base, workspace)
        found.append(replace(wanted, location=location or wanted.location, marker=both(wanted.marker, _marker(source))))
    return found


def _marker(source: Document) -> str:
    text = string(source.get("marker"))
    try:
        return str(Marker(text)) if text else ""
    except InvalidMarker as error:
        raise BadProjectFile(file=_FILE, why=f"the marker {text!r} has no meaning") from error


def _location(tree: ProjectTree, name: str, source: Document, base: Path, workspace: Workspace | None) -> str:
    if source.get("workspace") is True:
        member = workspace.members.get(name) if workspace else None
        if member is None:
            raise BadProjectFile(
                file=_FILE,
                why=f"{name} is of its workspace, which does not hold it",
                advice="use it where its workspace is: a git: source with #subdirectory=, or the repository's own directory",
            )
        return f"path:{tree.relative(member.directory)}"
    if url := string(source.get("git")):
        reference = string(source.get("rev")) or string(source.get("tag")) or string(source.get("branch"))
        return git_location(url, reference=reference, subdirectory=string(source.get("subdirectory")))
    if path := string(source.get("path")):
        return path_location(path, tree=tree, file=_FILE, base=base)
    return without_credentials(string(source.get("url")))
