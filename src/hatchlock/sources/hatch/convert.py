"""From the forms of a package's metadata to the one value that everybody else reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.schema import (
    Citation,
    Dependencies,
    Dependencies2,
    EntryPoint,
    FlatPython,
    Metadata,
    Metadata2,
    Metadata11,
    MetadataOne,
    Person,
    Provenance,
    Python2,
    PythonDependency,
)
from hatchlock.sources.hatch.texts import hatch_text, image_text, local_text, python_text, system_text

__all__ = ["facts_of"]


def facts_of(found: Metadata, version: str, notes: Iterable[str]) -> HatchFacts:
    """Return what valid metadata says.

    Args:
        found: The metadata.
        version: Its schema's version.
        notes: Sentences that people should see.
    """
    if isinstance(found, Metadata2):
        return _second(found, version, tuple(notes))
    return _first(found, version, tuple(notes))


def _first(found: MetadataOne, version: str, notes: tuple[str, ...]) -> HatchFacts:
    server, wrapper = _files(found.entry_point)
    dependencies = _flat(found) if isinstance(found, Metadata11) else _of_four_kinds(found.dependencies)
    works = {"origin": found.citations.origin, "mcp": found.citations.mcp}
    return HatchFacts(
        schema_version=version,
        name=found.name,
        version=found.version,
        description=found.description,
        licence=found.licence.name,
        licence_uri=found.licence.uri or "",
        authors=(_person(found.author),),
        contributors=tuple(map(_person, found.contributors)),
        repository=found.repository or "",
        documentation=found.documentation or "",
        tags=tuple(found.tags),
        citations=tuple(f"{key}: {text}" for key, text in works.items() if text),
        server_file=server,
        wrapper_file=wrapper,
        tools=tuple((tool.name, tool.description) for tool in found.tools),
        requires_python=found.compatibility.python or "",
        requires_hatchling=found.compatibility.hatchling or "",
        dependencies=tuple(sorted(set(dependencies))),
        notes=notes,
    )


def _second(found: Metadata2, version: str, notes: tuple[str, ...]) -> HatchFacts:
    server, wrapper = _files(found.entry_point)
    return HatchFacts(
        schema_version=version,
        name=found.name or "",
        version=found.version or "",
        description=found.description or "",
        licence=found.licence.name if found.licence else "",
        licence_uri=(found.licence.uri or "") if found.licence else "",
        authors=tuple(map(_person, found.authors)),
        documentation=found.documentation or "",
        tags=tuple(found.tags),
        citations=tuple(map(_citation, found.citations)),
        provenance=_provenance(found.provenance),
        server_file=server,
        wrapper_file=wrapper,
        tools=tuple((tool.name, tool.desc) for tool in found.tools),
        dependencies=tuple(sorted(set(_of_second(found.dependencies)))),
        notes=notes,
    )


def _files(entry: str | EntryPoint) -> tuple[str, str]:
    return (entry, "") if isinstance(entry, str) else (entry.mcp_server, entry.hatch_mcp_server)


def _person(person: Person) -> str:
    return f"{person.name} <{person.email}>" if person.email else person.name


def _citation(citation: Citation) -> str:
    return f"{citation.format}: {citation.value}" + (f" ({citation.note})" if citation.note else "")


def _provenance(found: Provenance | None) -> tuple[str, ...]:
    said = {"git_sha": found.git_sha, "build_env": found.build_env} if found else {}
    return tuple(f"{key}: {text}" for key, text in said.items() if text)


def _flat(found: Metadata11) -> Iterator[str]:
    for item in found.hatch_dependencies:
        constraint = item.version_constraint or ""
        if item.type.type == "local":
            yield local_text(item.type.path or ".", constraint)
        else:
            yield hatch_text(item.name, constraint, qualified=False)
    for python in found.python_dependencies:
        yield _python(python)


def _of_four_kinds(found: Dependencies) -> Iterator[str]:
    for hatch in found.hatch:
        yield hatch_text(hatch.name, hatch.version_constraint, qualified=False)
    for python in found.python:
        yield _python(python)
    for system in found.system:
        yield system_text(system.name, system.version_constraint)
    for image in found.docker:
        yield image_text(image.name, image.version_constraint)


def _of_second(found: Dependencies2) -> Iterator[str]:
    for hatch in found.hatch:
        yield hatch_text(hatch.name, hatch.version_constraint or "", qualified=True)
    for python in found.python:
        yield _python(python)
    for system in found.system:
        yield system_text(system.name, system.version_constraint or "")
    for image in found.docker:
        yield image_text(image.name, tag=image.tag or "", digest=image.digest)


def _python(item: PythonDependency | FlatPython | Python2) -> str:
    return python_text(
        item.name,
        item.version_constraint or "",
        manager=item.package_manager,
        channel=item.channel or "",
        extras=() if isinstance(item, Python2) else item.extras or (),
    )
