"""What a lock has of container images: what registries have of them, and what ours must become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Image", "ImageOutput", "ImagePlatform", "Layer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """A layer of an image, as the registry stores it.

    Attributes:
        digest: `sha256:…` of the stored (usually compressed) bytes.
        size: Their number.
        diff_id: `sha256:…` of the uncompressed tar, from the image's config.
    """

    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePlatform:
    """An image for one platform, with the facts that were read once from its config and layers.

    Attributes:
        digest: `sha256:…` of the platform's manifest.
        config: `sha256:…` of its config.
        config_size: Bytes of the config.
        layers: In order, lowest first.
        entrypoint: From the config; with `command` this is what a server image runs.
        command: From the config.
        user: From the config; "" means root.
        working_directory: From the config.
        env: From the config, `NAME=value`, in order.
        ports: Those that it declares to listen on, sorted: `8080/tcp`.
        volumes: The directories that it declares to keep data in, sorted.
        stop_signal: What asks it to end, as its config says; "" if it says nothing.
        version: By its label `org.opencontainers.image.version`; "" without one.
        licence: By its label `org.opencontainers.image.licenses`; "" without one.
        repository: By its label `org.opencontainers.image.source`; "" without one.
        mcp_name: The entry of the MCP registry that it says it belongs to (`io.modelcontextprotocol.server.name`), or "".
        key: The input key (64 hex digits) that it says it was made for (`dev.hatchlock.key`), or "".
        python: Full version of the interpreter found in the layers ("3.11.2"), or "".
        python_path: Its path inside the image ("/usr/bin/python3.11"), after symlinks, or "".
        node: Full version of the Node found in the layers ("22.11.0"), or "".
        libc: "glibc 2.36" or "musl 1.2", or "".
        symlinks: Top-level symlinks, name -> target ("bin" -> "usr/bin").
        packages: What its package database lists, sorted: `deb:libc6@2.36-9+deb12u10`.
    """

    digest: str
    config: str
    config_size: int
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    working_directory: str = ""
    env: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    version: str = ""
    licence: str = ""
    repository: str = ""
    mcp_name: str = ""
    key: str = ""
    python: str = ""
    python_path: str = ""
    node: str = ""
    libc: str = ""
    symlinks: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A container image, as the manifest names it and as it was found.

    Attributes:
        reference: As written in the manifest, without `oci:`.
        digest: `sha256:…` of the index, or of the manifest where there is no index.
        platforms: Declared platform -> image.
    """

    reference: str
    digest: str
    platforms: Mapping[str, ImagePlatform]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOutput:
    """What the image of an environment must be, whoever assembles it. Never a digest of compressed bytes.

    Attributes:
        config: `sha256:…` of its config.
        layers: `sha256:…` of each uncompressed layer that is added to the base, lowest first.
    """

    config: str
    layers: tuple[str, ...]
