"""What can be known of a project without running anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Ecosystem", "ProjectFacts", "Snapshot", "TreeFile"]

Ecosystem = Literal["python", "node", ""]
"""What a project is written in; "" for plain files that nothing installs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectFacts:
    """A project, read from its static metadata.

    Attributes:
        ecosystem: What it is.
        layout: What was recognised, for people: `pyproject.toml (hatchling), uv.lock`.
        name: Normalised by the rule of its ecosystem; of the directory when the project does not say.
        version: As it says, normalised; "0" when that cannot be read.
        requirements: What it needs to run, sorted, as the lock writes edges: `pypi:mcp>=1 ; python_version < "3.12"`,
            `npm:zod@^4`, and siblings `path:../core` (relative to the project's directory).
        optional: Requirements that it can do without, in the same form: npm's `optionalDependencies` on registries.
        extras: Extra -> requirements, in the same form.
        requires_python: A PEP 440 specifier, or "".
        requires_node: npm's `engines.node`, or "".
        scripts: Python: console script -> `module:function`. Node: command -> file below the project.
        import_root: Python: the directory that goes on the import path, below the project: "src", "."; "" otherwise.
        pins: `pypi:NAME` or `npm:NAME` -> versions that its own lock file holds, in the order of preference.
        needs_build: Why it cannot be used as it lies there, as the end of a sentence ("its entry dist/index.js is made by
            `npm run build`"); "" if it can.
        build_requirements: Node: what the script needs that makes what is missing, in the same form; None if nothing is, or
            no script makes it.
        install_script: Whether it wants to run a script when it is installed.
        licence: SPDX expression, or its own words.
        authors: As declared.
        repository: As declared.
        notes: Sentences that people should see: a Dockerfile that is not used, a lock file that was not understood.
    """

    ecosystem: Ecosystem
    layout: str
    name: str
    version: str = "0"
    requirements: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires_python: str = ""
    requires_node: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    import_root: str = ""
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs_build: str = ""
    build_requirements: tuple[str, ...] | None = None
    install_script: bool = False
    licence: str = ""
    authors: str = ""
    repository: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class TreeFile:
    """A file of a snapshot.

    Attributes:
        path: Relative, with `/`.
        mode: 0o644, 0o755, or 0o777 for a symlink.
        target: Of a symlink; "" for a file.
    """

    path: str
    mode: int
    target: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A project's content as one file: a deterministic tar.

    Attributes:
        sha256: Of the tar.
        size: Its bytes.
        files: What is in it, sorted.
    """

    sha256: str
    size: int
    files: tuple[TreeFile, ...]
