"""From the forms of a package's metadata to the one value that everybody else reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hatchlock.manifest.problem import KeyPath
from hatchlock.sources.hatch.facts import HatchFacts
from hatchlock.sources.hatch.schema import (
    Citation,
    EntryPoint,
    FlatPython,
    Hatch2,
    HatchDependency,
    Image2,
    ImageDependency,
    Metadata,
    Metadata2,
    Metadata11,
    MetadataOne,
    Person,
    Provenance,
    Python2,
    PythonDependency,
    System2,
    SystemDependency,
)
from hatchlock.sources.hatch.texts import hatch_text, image_text, local_text, python_text, system_text

__all__ = ["facts_of", "written_dependencies"]


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
        dependencies=_dependencies(found),
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
        dependencies=_dependencies(found),
        notes=notes,
    )


def _dependencies(found: Metadata) -> tuple[str, ...]:
    return tuple(sorted({text for _, text in written_dependencies(found)}))


def _files(entry: str | EntryPoint) -> tuple[str, str]:
    return (entry, "") if isinstance(entry, str) else (entry.mcp_server, entry.hatch_mcp_server)


def _person(person: Person) -> str:
    return f"{person.name} <{person.email}>" if person.email else person.name


def _citation(citation: Citation) -> str:
    return f"{citation.format}: {citation.value}" + (f" ({citation.note})" if citation.note else "")


def _provenance(found: Provenance | None) -> tuple[str, ...]:
    said = {"git_sha": found.git_sha, "build_env": found.build_env} if found else {}
    return tuple(f"{key}: {text}" for key, text in said.items() if text)


def written_dependencies(found: Metadata) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key path and the requirement of each dependency, in the order of the file, by kind."""
    if isinstance(found, Metadata11):
        yield from _flat(found)
        return
    yield from _numbered("hatch", map(_hatch, found.dependencies.hatch))
    yield from _numbered("python", map(_python, found.dependencies.python))
    yield from _numbered("system", map(_system, found.dependencies.system))
    yield from _numbered("docker", map(_image, found.dependencies.docker))


def _numbered(kind: str, texts: Iterable[str]) -> Iterator[tuple[KeyPath, str]]:
    for number, text in enumerate(texts):
        yield ("dependencies", kind, number), text


def _flat(found: Metadata11) -> Iterator[tuple[KeyPath, str]]:
    for number, item in enumerate(found.hatch_dependencies):
        constraint = item.version_constraint or ""
        is_local = item.type.type == "local"
        text = (
            local_text(item.type.path or ".", constraint)
            if is_local
            else hatch_text(item.name, constraint, qualified=False)
        )
        yield ("hatch_dependencies", number), text
    for number, python in enumerate(found.python_dependencies):
        yield ("python_dependencies", number), _python(python)


def _hatch(item: HatchDependency | Hatch2) -> str:
    return hatch_text(item.name, item.version_constraint or "", qualified=isinstance(item, Hatch2))


def _system(item: SystemDependency | System2) -> str:
    return system_text(item.name, item.version_constraint or "")


def _image(item: ImageDependency | Image2) -> str:
    if isinstance(item, Image2):
        return image_text(item.name, tag=item.tag or "", digest=item.digest)
    return image_text(item.name, item.version_constraint)


def _python(item: PythonDependency | FlatPython | Python2) -> str:
    return python_text(
        item.name,
        item.version_constraint or "",
        manager=item.package_manager,
        channel=item.channel or "",
        extras=() if isinstance(item, Python2) else item.extras or (),
    )
