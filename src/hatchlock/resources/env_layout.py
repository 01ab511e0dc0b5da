"""What of an environment is laid out from verified files by ourselves, for processes and for images alike."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hatchlock.realise.builds.scripts import overlay
from hatchlock.realise.commands import CommandTaken, is_reserved, link_to
from hatchlock.realise.hatch import install_hatch_package
from hatchlock.realise.npm import NpmPlacement, link_commands, unpack_packages
from hatchlock.realise.programs import begins_as_program, install_program
from hatchlock.realise.projects import install_files, install_node_project, install_project
from hatchlock.realise.unpack import public_directory
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_parts import ModuleSpec, ProgramSpec, ProjectSpec, directory_name
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.blobs import Blobs

__all__ = ["checked", "lay_out_applications", "lay_out_modules", "minor_version", "placements_of"]


def lay_out_modules(spec: EnvSpec, tree: Path, blobs: Blobs) -> None:
    """Unpack the npm packages of an environment into a directory.

    Raises:
        BadArchive, BadCommand, BadPlace: A package cannot be used.
        WrongHash: A blob of the store is damaged; it is removed.
    """
    for module in spec.modules:
        blobs.verify(module.artefact.digest)
    if spec.modules:
        unpack_packages(placements_of(spec.modules, blobs), tree)
    for module in spec.modules:
        if module.changes:
            overlay(checked(module.changes, blobs), tree / module.path, name=module.changes.name)


def lay_out_applications(
    spec: EnvSpec, tree: Path, blobs: Blobs, *, at: str = "", conda: Path | None = None, system: str
) -> None:
    """Lay out projects and programs beside the packages that are there, and offer all commands in `bin`.

    Args:
        spec: The environment; what Python, npm and conda bring is in place.
        tree: Where it is.
        blobs: The store's.
        at: Where programs will find it, an absolute path; where it is, if nothing is said.
        conda: Where the packages of conda are, if not where the environment says.
        system: Where it runs: "linux" or "darwin".

    Raises:
        BadArchive, BadBundle, BadProject, BadCommand: Something cannot be laid out.
        CommandTaken: A program of an archive is called like a command of something else.
        WrongHash: A blob of the store is damaged; it is removed.
    """
    for project in spec.projects:
        _install_project(project, spec, tree, blobs, at)
    if spec.node:
        offered = [item for item in spec.modules if item.offered]
        link_commands(tree, placements_of(offered, blobs), node=Path(spec.node.path) if spec.node.path else None)
    for program in spec.programs:
        _install_program(program, spec, tree, blobs, system)
    if spec.conda:
        _link_conda(conda or Path(spec.conda.root), tree, shown=spec.conda.root)


def minor_version(spec: EnvSpec) -> str:
    """Return the version of an environment's Python without its last part: `3.11`."""
    return ".".join(spec.python_version.split(".")[:2])


def checked(artefact: Artefact, blobs: Blobs) -> Path:
    """Return where a blob is, after comparing its bytes with its name.

    Raises:
        WrongHash: It is damaged; it is removed.
    """
    blobs.verify(artefact.digest)
    return blobs.path(artefact.digest)


def _install_project(project: ProjectSpec, spec: EnvSpec, tree: Path, blobs: Blobs, at: str) -> None:
    snapshot = checked(project.artefact, blobs)
    directory = Path(project.path).name
    match project.ecosystem:
        case "python":
            install_project(
                tree,
                name=project.name,
                version=project.version,
                python=minor_version(spec),
                snapshot=snapshot,
                import_root=project.import_root,
                scripts=project.commands,
                requires=project.requires,
                directory=directory,
                at=at,
            )
        case "node":
            install_node_project(
                tree, name=project.name, snapshot=snapshot, commands=project.commands, directory=directory
            )
        case "hatch":
            install_hatch_package(
                tree, name=project.name, archive=snapshot, commands=project.commands, directory=directory, at=at
            )
        case _:
            install_files(tree, name=project.name, snapshot=snapshot, directory=directory)


def _install_program(program: ProgramSpec, spec: EnvSpec, tree: Path, blobs: Blobs, system: str) -> None:
    file = checked(program.artefact, blobs)
    name = directory_name(program.name)
    public_directory(tree / "bin")
    for found in install_program(tree, name=name, file=file, file_name=program.artefact.name, system=system):
        command = tree / "bin" / Path(found).name
        if is_reserved(command.name):
            continue
        if not os.path.lexists(command):
            link_to(tree / found, at=command)
            continue
        owner = os.path.relpath(command.resolve(), tree.resolve())
        # in many archives everything may be executed, and everybody has a README
        if not owner.startswith(f"{program.path}/") and begins_as_program(tree / found):
            raise CommandTaken(environment=spec.name, command=command.name, owners=(owner, found))


def _link_conda(root: Path, tree: Path, *, shown: str) -> None:
    """Offer conda's programs, unless something else has that name: packages of conda are there for others."""
    public_directory(tree / "bin")
    for program in sorted((root / "bin").iterdir()) if (root / "bin").is_dir() else ():
        command = tree / "bin" / program.name
        if not is_reserved(program.name) and not os.path.lexists(command) and os.access(program, os.X_OK):
            command.symlink_to(f"{shown}/bin/{program.name}")


def placements_of(modules: Iterable[ModuleSpec], blobs: Blobs) -> list[NpmPlacement]:
    """Return where the tarballs of npm packages are, and where they go."""
    return [
        NpmPlacement(
            path=item.path,
            blob=blobs.path(item.artefact.digest),
            name=item.artefact.package.partition(":")[2],
            commands=item.commands,
        )
        for item in modules
    ]
