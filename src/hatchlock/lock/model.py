"""The lock's values: frozen, sorted, comparable, without machine facts, times or secrets.

Lock ── packages      one per `kind:name@version`, with the hash of every file it may be fetched as
     ├─ images        container images: bases, and servers that are images
     ├─ environments  which packages belong together, for each platform
     └─ servers       how each is launched
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from hatchlock.address import Kind
from hatchlock.launch import Isolation, Runtime, Sandbox, SecretReference

__all__ = [
    "ASSEMBLER",
    "LOCK_MINOR",
    "LOCK_VERSION",
    "Environment",
    "File",
    "Image",
    "ImagePlatform",
    "Layer",
    "Lock",
    "Package",
    "Server",
]

LOCK_VERSION = 1
LOCK_MINOR = 0
"""What a newer one adds, an older hatchlock can pass over; see `newer`."""
ASSEMBLER = 1
"""The version of the rules that turn locked files into image bytes."""

_T = TypeVar("_T")


def _only(found: list[_T], wanted: str) -> _T:
    if not found:
        raise KeyError(wanted)
    return found[0]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class File:
    """A file that a package may be fetched as.

    Attributes:
        name: Its file name in the index (a wheel's name carries its tags).
        sha256: 64 hex digits; "" where the registry gives a stronger hash.
        sha512: 128 hex digits, where the registry gives that (npm); "" otherwise.
        size: Bytes; 0 where the index does not say.
        platform: The one platform that it is for, where the name does not tell (`url:`); "" otherwise.
    """

    name: str
    sha256: str = ""
    sha512: str = ""
    size: int = 0
    platform: str = ""

    @property
    def digest(self) -> str:
        """The stronger of its hashes, by which the store names it."""
        return self.sha512 or self.sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One resolved thing.

    Attributes:
        kind: Where it comes from.
        name: Normalised by the rule of its ecosystem (PEP 503).
        version: As the index writes it, normalised by the rule of its ecosystem (PEP 440); of a project in git or a
            directory what it says itself, "0" if it says nothing that can be read without running it, and a mark of its
            commit or content (`0.3+g1a2b3c4d5e6f`).
        ecosystem: What a project from git, a directory or an archive is: "python", "node", or "" for plain files.
        source: Of what a requirement names itself, that requirement: `path:./server`, `git:https://…@main`; "" otherwise.
        index: The declared index it comes from; a kind's default index has the kind's name.
        location: Git: the repository's URL. Path: relative to the manifest. A file of its own address: that address.
        commit: Git: 40 (or 64) hex digits.
        tree_hash: Git: the id of the tree object (of the subdirectory, if there is one).
        subdirectory: Where in the repository it is; "" for its root.
        files: Sorted; every file that some declared platform uses. A project has one: its snapshot.
        dependencies: Its edges, sorted: `pypi:anyio>=4.5`, with extras and environment marker as the package declares
            them (`pypi:tzdata ; sys_platform == "win32"`), `npm:zod@^4`. Only those that hold on a declared platform with
            the extras in use.
        scripts: What it can be started by: console script -> `module:function`; npm: command -> file in the package.
        import_root: A Python project's directory that goes on the import path ("src", "."); "" otherwise.
        requires_python: A PEP 440 specifier, or "".
        requires_node: npm's `engines.node`, or "".
        systems: npm's `os`: where it runs (`linux`, `!win32`); empty: anywhere.
        processors: npm's `cpu`, likewise.
        libc: npm's `libc`, likewise (`glibc`, `musl`).
        install_script: Whether it wants to run a script when it is installed.
        licence: SPDX expression or the package's own words; "" if it says nothing.
        authors: Authors or maintainers as declared; "" if it says nothing.
        publisher: The account that published it, as the registry says; of git the host and owner; "" if nobody says.
        repository: Its source repository as declared; "" if it says nothing.
        source_class: "registry", "git", "local" or "url".
        signature: "unsigned"; "signed" or "attested" when the registry offers a signature or an attestation with it. None
            was verified.
    """

    kind: Kind
    name: str
    version: str
    ecosystem: str = ""
    source: str = ""
    index: str = ""
    location: str = ""
    commit: str = ""
    tree_hash: str = ""
    subdirectory: str = ""
    files: tuple[File, ...] = ()
    dependencies: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    import_root: str = ""
    requires_python: str = ""
    requires_node: str = ""
    systems: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()
    libc: tuple[str, ...] = ()
    install_script: bool = False
    licence: str = ""
    authors: str = ""
    publisher: str = ""
    repository: str = ""
    source_class: str = "registry"
    signature: str = "unsigned"

    @property
    def id(self) -> str:
        """`kind:name@version`, by which the lock refers to it."""
        return f"{self.kind}:{self.name}@{self.version}"

    @property
    def namespace(self) -> Kind:
        """Among whose names its own is: `pypi` for everything Python, `npm` for everything Node, else its kind."""
        return {"python": Kind.PYPI, "node": Kind.NPM}.get(self.ecosystem, self.kind)


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
        python: Full version of the interpreter found in the layers ("3.11.2"), or "".
        python_path: Its path inside the image ("/usr/bin/python3.11"), after symlinks, or "".
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
    python: str = ""
    python_path: str = ""
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
class Environment:
    """A set of packages that live together.

    Attributes:
        name: As declared; a server's private environment has the server's name.
        private: Whether it is a server's private one.
        runtime: Which wheels it takes: the platform's, or its base's.
        python: "3.11", or "" when it has no Python.
        managed: Platform -> archive of the interpreter, where uv's own builds are used ("managed:3.11").
        node: "22", or "" when it has no Node.
        base: Reference of the base image, container runtime only; "" otherwise.
        trust: Its label, as declared; "" for none.
        requirements: What was asked for, as in the manifest, sorted: `pypi:mcp-server-time>=2026.1`.
        constraints: Sorted.
        overrides: Sorted.
        packages: Ids of the packages on every declared platform, sorted.
        platform_packages: Platform -> ids that only that platform has in addition, sorted.
        tree: Where each npm package is: path below the environment (`node_modules/zod`) -> id.
        keys: Container runtime: platform -> input key of the image (64 hex digits).
    """

    name: str
    private: bool
    runtime: Runtime
    python: str = ""
    managed: Mapping[str, File] = field(default_factory=dict)
    node: str = ""
    base: str = ""
    trust: str = ""
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    platform_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tree: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def everywhere(self) -> frozenset[str]:
        """The ids of the packages on any platform."""
        return frozenset(self.packages).union(*self.platform_packages.values())

    def on(self, platform: str) -> tuple[str, ...]:
        """Return the ids of the packages on one platform, sorted."""
        return tuple(sorted({*self.packages, *self.platform_packages.get(platform, ())}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """How a server is launched, apart from this machine's facts.

    Attributes:
        name: As declared.
        source: As declared, `kind:spec`; "" for a program of this machine or a remote server.
        runtime: As declared.
        isolation: As declared.
        environment: Name of its environment; "" when it has none (an image, a program of this machine).
        image: Reference of its image when the source is `oci:`; "" otherwise.
        command: The resolved command: one word for a script of its environment, or a declared argument list. Empty:
            there is no single choice, and `plan` refuses it naming `choices`.
        choices: The scripts to choose from, when `command` is empty.
        args: Literal arguments.
        cwd: As declared.
        env: Literal variables.
        secrets: Variable name -> reference.
        sandbox: The profile, mount sources as declared.
        startup_timeout: Seconds.
        trust: Its label, or that of the environment that it shares; "" for none.
    """

    name: str
    source: str
    runtime: Runtime
    isolation: Isolation = "required"
    environment: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    sandbox: Sandbox = field(default_factory=Sandbox)
    startup_timeout: float = 30.0
    trust: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A whole lock. All sequences are sorted by name or id.

    Attributes:
        project: The project's name.
        platforms: Declared or recorded, sorted.
        exclude_newer: Releases after this moment were ignored, RFC 3339; "" for none.
        packages: By id.
        images: By reference.
        environments: By name and runtime.
        servers: By name.
    """

    project: str
    platforms: tuple[str, ...]
    exclude_newer: str = ""
    packages: tuple[Package, ...] = ()
    images: tuple[Image, ...] = ()
    environments: tuple[Environment, ...] = ()
    servers: tuple[Server, ...] = ()

    def package(self, package_id: str) -> Package:
        """Return a package by its id.

        Raises:
            KeyError: There is none.
        """
        return _only([item for item in self.packages if item.id == package_id], package_id)

    def image(self, reference: str) -> Image:
        """Return an image by its reference.

        Raises:
            KeyError: There is none.
        """
        return _only([item for item in self.images if item.reference == reference], reference)

    def environment(self, name: str, runtime: Runtime) -> Environment:
        """Return an environment by its name and runtime; servers of both runtimes may share a declared one.

        Raises:
            KeyError: There is none.
        """
        return _only([item for item in self.environments if (item.name, item.runtime) == (name, runtime)], name)

    def server(self, name: str) -> Server:
        """Return a server by its name.

        Raises:
            KeyError: There is none.
        """
        return _only([item for item in self.servers if item.name == name], name)

    def packages_of(self, environment: Environment, platform: str) -> Iterator[Package]:
        """Yield the packages of an environment on a platform, sorted by id.

        Raises:
            KeyError: The lock lacks one of them.
        """
        by_id = {package.id: package for package in self.packages}
        for package_id in environment.on(platform):
            yield by_id[package_id]
