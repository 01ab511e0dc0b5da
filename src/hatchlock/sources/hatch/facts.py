"""What a Hatch package says about itself, whatever version its metadata has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HatchFacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HatchFacts:
    """A package's metadata; "" or () where it says nothing.

    Attributes:
        schema_version: "1", "1.1.0", "1.2.0", "1.2.1", "1.2.2" or "2.0.0".
        name: `weather_kit`; with metadata 2.0.0 `io.github.user/weather`, or "".
        version: Numbers with dots; with metadata 2.0.0 a semantic version, or "".
        description: For people.
        licence: Its name, mostly an SPDX identifier.
        licence_uri: Where its text is.
        authors: `Name <mail>`, in the order of the file.
        contributors: Likewise.
        repository: Address of the source.
        documentation: Its address.
        tags: In the order of the file.
        citations: `origin: …`, `mcp: …`, `doi: 10.…`, in the order of the file.
        provenance: `git_sha: …`, `build_env: …`.
        server_file: The Python file that is the server, below the package.
        wrapper_file: The file that wraps it for Hatch; "" before metadata 1.2.1.
        tools: Name and description of each tool that it declares.
        requires_python: A PEP 440 specifier.
        requires_hatchling: Likewise, for Hatch's own chat client.
        dependencies: Requirements of all four kinds as the lock writes them, sorted: `hatch:base_pkg>=1.0.0`,
            `hatch:repository:name==1.2`, `hatch:../base_pkg>=1.0.0` (relative to the package), `pypi:requests[socks]>=2`,
            `path:./lib` (a Python project below the package), `conda:colomoto::maboss>=2.5.0`, `deb:curl>=7.0.0`,
            `oci:nginx>=1.25.0`, `oci:registry.example.com/x/y:1.2@sha256:…`.
        notes: Sentences that people should see.
    """

    schema_version: str
    name: str
    version: str
    description: str = ""
    licence: str = ""
    licence_uri: str = ""
    authors: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    repository: str = ""
    documentation: str = ""
    tags: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()
    server_file: str = ""
    wrapper_file: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    requires_python: str = ""
    requires_hatchling: str = ""
    dependencies: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
