"""What kind of project a directory holds, and everything about it that can be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hatchlock.address import BadSource
from hatchlock.sources.projects.model import ProjectFacts
from hatchlock.sources.projects.node_project import read_node
from hatchlock.sources.projects.pins import Pins, node_pins, python_pins
from hatchlock.sources.projects.problems import UnknownProject
from hatchlock.sources.projects.python_project import python_files, read_python
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.projects.workspaces import node_workspace, uv_workspace

__all__ = ["read_project"]

_IMAGES = ("Dockerfile", "Containerfile")
_OTHERS = {
    "Cargo.toml": "Rust",
    "go.mod": "Go",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Kotlin",
    "Gemfile": "Ruby",
    "composer.json": "PHP",
    "deno.json": "Deno",
    "deno.jsonc": "Deno",
    "Package.swift": "Swift",
    "mix.exs": "Elixir",
    "CMakeLists.txt": "C or C++",
}


def read_project(
    root: Path, *, workspace_root: Path | None = None, as_: str = "", committed: bool = False
) -> ProjectFacts:
    """Learn what a project is without running anything of it.

    Python comes before Node, unless only the Node project has something to start; a note says which one was not taken.
    The versions of its own lock file are in `pins`; a member of a workspace has those of its workspace.

    Args:
        root: The project's directory.
        workspace_root: The directory above which nothing is looked at, such as the root of a checkout; None: that with
            `.git`, else `root` itself.
        as_: "python", "node" or "files" where the user has decided; "" otherwise.
        committed: It is a checkout of git: everything in it belongs to it. See `ignore.walk`.

    Raises:
        MissingProject: `root` is no directory.
        UnknownProject: Nothing says what it is.
        BadProjectFile: A file that describes it cannot be used.
        LeadsOut, BadEntry, PermissionProblem: As for `list_files`.
        BadSource: `as_` is something else.
    """
    tree = ProjectTree.open(root, workspace_root=workspace_root, committed=committed)
    match as_:
        case "files":
            return ProjectFacts(ecosystem="", layout="files", name=_plain_name(tree), notes=_image_notes(tree))
        case "python":
            return _finished(tree, read_python(tree))
        case "node":
            node = read_node(tree)
            if node is None:
                raise _unknown(tree, wanted="package.json")
            return _finished(tree, node)
        case "":
            return _finished(tree, _chosen(tree))
    raise BadSource(text=f"as={as_}", why="there is no such kind of project", advice="write as=python, node or files")


def _chosen(tree: ProjectTree) -> ProjectFacts:
    python = read_python(tree) if python_files(tree) else None
    node = read_node(tree)
    if python is None:
        if node is None:
            raise _unknown(tree)
        return node
    if node is None:
        return python
    if node.scripts and not python.scripts:
        note = f"it is also a Python project ({python.layout}), which has no command; `#as=python` takes that"
        return replace(node, notes=(*node.notes, note))
    note = f"it is also a Node project ({node.layout}), which is not taken; `#as=node` takes that"
    return replace(python, notes=(*python.notes, note))


def _finished(tree: ProjectTree, facts: ProjectFacts) -> ProjectFacts:
    pins = _pins(tree, facts)
    return replace(
        facts,
        layout=f"{facts.layout}, {pins.file}" if pins.file else facts.layout,
        pins=pins.versions or facts.pins,
        notes=(*facts.notes, *pins.notes, *_image_notes(tree)),
    )


def _pins(tree: ProjectTree, facts: ProjectFacts) -> Pins:
    if facts.ecosystem == "node":
        workspace = node_workspace(tree)
        return node_pins(tree, workspace_root=workspace.root if workspace else None)
    workspace = uv_workspace(tree)
    return python_pins(tree, workspace_root=workspace.root if workspace else None)


def _plain_name(tree: ProjectTree) -> str:
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in tree.root.name.lower())
    return kept.strip("-") or "files"


def _image_notes(tree: ProjectTree) -> tuple[str, ...]:
    found = next((name for name in _IMAGES if name in tree.files), "")
    if not found:
        return ()
    return (f"it has a {found}, which is not run; an image that was built from it can be used with oci:",)


def _unknown(tree: ProjectTree, *, wanted: str = "") -> UnknownProject:
    found = sorted(name for name in (*_OTHERS, *_IMAGES) if name in tree.files)
    scripts = sorted(path for path in tree.files if "/" not in path and path.endswith(".py"))
    language = next((_OTHERS[name] for name in found if name in _OTHERS), "")
    if wanted:
        advice = f"there is no {wanted}: leave `as` out, or write as=python or as=files"
    elif language:
        advice = f"{language} is not built: name a released program with url:, or an image with oci:"
    elif found:
        advice = f"the {found[0]} is not run: build an image from it, push it, and name it with oci:"
    elif scripts:
        advice = "add a requirements.txt or pyproject.toml; `#as=python` takes it as Python without requirements"
    else:
        advice = "name the directory that has the pyproject.toml or package.json; `#as=files` takes it as plain files"
    return UnknownProject(root=str(tree.root), found=tuple(found + scripts[:3]), advice=advice)
