"""What an image was made from, as others read it: an in-toto statement 1 with SLSA's provenance 1. Pure.

The specifications: in-toto attestation, "Statement" and "ResourceDescriptor" 1; SLSA, "Provenance" 1. It holds no times and no
name of a machine: the same image of the same lock by the same hatchlock gives the same bytes. Nobody signed it; what it says
can be checked by making the image again (`verify`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.digest import algorithm_of, canonical_json

__all__ = ["BUILD_TYPE", "Material", "image_statement"]

BUILD_TYPE = "https://hatchlock.dev/assembly/v1"
"""What `docs/reference/provenance.md` describes."""
_BUILDER = "https://hatchlock.dev/hatchlock"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/provenance/v1"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Material:
    """Something that an image is made from.

    Attributes:
        uri: Its package URL.
        name: Its file name; of an image its reference.
        digest: SHA-256 (64 hex digits) or SHA-512 (128) of its bytes; of an image that of its manifest.
    """

    uri: str
    name: str
    digest: str


def image_statement(
    *,
    name: str,
    config: str,
    external: Mapping[str, Any],
    internal: Mapping[str, Any],
    base: Material,
    materials: Iterable[Material],
    version: str,
) -> bytes:
    """Return the statement about an image, canonical JSON.

    Args:
        name: What the image is called in it.
        config: SHA-256 of its config, which names all of its content; a manifest names the statement, so that the statement
            cannot name a manifest.
        external: What decided on it from outside: project, environment, platform, lock.
        internal: What we added to that: rule and input key.
        base: The image below it.
        materials: Every file that goes in, in any order.
        version: Of hatchlock.
    """
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": config}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(external),
                "internalParameters": dict(internal),
                "resolvedDependencies": [_descriptor(base), *map(_descriptor, sorted(set(materials)))],
            },
            "runDetails": {"builder": {"id": _BUILDER, "version": {"hatchlock": version}}},
        },
    }
    return canonical_json(statement)


def _descriptor(material: Material) -> dict[str, Any]:
    return {"uri": material.uri, "name": material.name, "digest": {algorithm_of(material.digest): material.digest}}
