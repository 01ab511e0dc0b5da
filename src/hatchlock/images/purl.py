"""Package URLs (the purl specification, ECMA-427) of what images are made from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from hatchlock.address import ImageReference, Kind, Transport

__all__ = ["image_url", "package_url"]

_GENERIC = "generic"


def package_url(package: str, *, file: str = "") -> str:
    """Return the package URL of a package of the lock, without the place that it is fetched from.

    What no type of the specification stands for (projects of directories and repositories, Hatch packages, programs by
    their address, MCP bundles) is `generic`.

    Args:
        package: Its id, `kind:name@version`.
        file: The name of one of its files, which tells for which processor a Debian package or a package of conda is.
    """
    kind, _, rest = package.partition(":")
    name, _, version = rest.rpartition("@")
    match kind:
        case Kind.PYPI:
            return _url(kind, name.lower().replace("_", "-"), version)
        case Kind.NPM:
            scope, _, bare = name.rpartition("/")
            return _url(kind, bare, version, namespace=scope)
        case Kind.DEB:
            architecture = file.removesuffix(".deb").rpartition("_")[2]
            return _url(kind, name, version, namespace="debian", qualifiers={"arch": architecture})
        case Kind.CONDA:
            number, _, build = version.partition("=")
            form = "conda" if file.endswith(".conda") else "tar.bz2"
            return _url(kind, name, number, qualifiers={"build": build, "type": form if file else ""})
        case _:
            return _url(_GENERIC, name, version)


def image_url(reference: str, *, digest: str, platform: str) -> str:
    """Return the package URL of an image for one platform.

    Args:
        reference: As the lock has it; of one that no registry has, only its name is told.
        digest: `sha256:…` of its manifest.
        platform: `linux/amd64`.
    """
    found = ImageReference.parse(reference)
    repository = f"{found.registry}/{found.repository}" if found.registry else found.repository
    qualifiers = {
        "arch": platform.partition("/")[2],
        "repository_url": repository if found.transport is Transport.REGISTRY else "",
        "tag": found.tag,
    }
    name = found.repository.strip("./").rpartition("/")[2] or "image"
    return _url(Kind.OCI, name.lower(), digest, qualifiers=qualifiers)


def _url(
    kind: str, name: str, version: str, *, namespace: str = "", qualifiers: Mapping[str, str] | None = None
) -> str:
    words = [quote(word, safe="") for word in (namespace, name) if word]
    told = "&".join(f"{key}={_quoted(value)}" for key, value in sorted((qualifiers or {}).items()) if value)
    return f"pkg:{kind}/{'/'.join(words)}@{_quoted(version)}{'?' if told else ''}{told}"


def _quoted(text: str) -> str:
    return quote(text, safe=":")
