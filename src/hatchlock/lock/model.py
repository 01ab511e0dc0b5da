"""The lock's values: frozen, sorted, comparable, without machine facts, times or secrets.

Lock ── packages      one per `kind:name@version`, with the hash of every file it may be fetched as
     ├─ archives      suites of Debian archives, as they were when they were asked
     ├─ images        container images: bases, servers that are images, and what Dockerfiles name
     ├─ builds        images that are built from the user's own Dockerfiles
     ├─ environments  which packages belong together, for each platform
     ├─ servers       how each is launched
     └─ surfaces      the tools of those that were pinned
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hatchlock.address import Kind
from hatchlock.launch import Isolation, Runtime, Sandbox, SecretReference
from hatchlock.lock.files import Archive, Build, File
from hatchlock.lock.images import Image, ImageOutput
from hatchlock.lock.surfaces import Surface

__all__ = [
    "ASSEMBLER",
    "BUILD",
    "LOCK_MINOR",
    "LOCK_VERSION",
    "Archive",
    "Build",
    "Environment",
    "File",
    "Lock",
    "Package",
    "Server",
]

LOCK_VERSION = 1
LOCK_MINOR = 5
"""What a newer one adds, an older hatchlock can pass over; see `newer`."""
ASSEMBLER = 1
"""The version of the rules that turn locked files into image bytes."""
BUILD = "/build/"
"""The environment that a package of `web` is built in is called `web/build/NAME`, as no declared one can be."""


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
        location: Git: the repository's URL. Path, Hatch packages in directories: relative to the manifest. A file of its own
            address: that address. Hatch packages of a registry: the address of the archive. Deb: the directory in the archive's
            pool. An image: its reference, as `Lock.images` has it.
        commit: Git: 40 (or 64) hex digits.
        tree_hash: Git: the id of the tree object (of the subdirectory, if there is one).
        subdirectory: Where in the repository it is; "" for its root.
        files: Sorted; every file that some declared platform uses. A project has one: its snapshot.
        dependencies: Its edges, sorted (but of an entry of the MCP registry, what it stands for comes first): `pypi:anyio>=4.5`, with extras and environment marker as the package declares
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
        provides: Names that it stands in for, of its kind or another: `pypi:numpy` of conda's, `deb:mail-transport-agent`.
        contributors: Of Hatch packages, those whom it names beside the authors.
        citations: Of Hatch packages, what to cite: `doi: 10.1000/182`.
        provenance: Of Hatch packages, what it says of its making: `git_sha: 1a2b3c4`.
        command: Of an entry of the MCP registry, what starts it, where that is not the package's own command.
        args: Of an entry of the MCP registry, the arguments that it fixes.
        env: Of an entry of the MCP registry, the variables that it sets, unless the manifest does.
        needs: Of an entry of the MCP registry, the variables that somebody has to set.
        transport: Of an entry of the MCP registry, how it says that its server is spoken to; "" for stdio.
        publisher: The account that published it, as the registry says; of git the host and owner; "" if nobody says.
        repository: Its source repository as declared; "" if it says nothing.
        source_class: "registry", "git", "local" or "url".
        signature: "unsigned"; "signed" or "attested" if the registry offers that with it: none was verified.
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
    provides: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    transport: str = ""
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
        builds: Id of each package that is built from source, where no wheel will do -> name of the environment that it is
            built in, which has the same runtime, Python and base.
        scripts: Ids of the npm packages whose install scripts run, sorted.
        makes: Of such an environment, the id of that package; "" for one that servers run in.
        keys: Container runtime: platform -> input key of the image (64 hex digits).
        outputs: Platform -> what the image of that key is, where it was recorded (`lock --images`).
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
    builds: Mapping[str, str] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    makes: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, ImageOutput] = field(default_factory=dict)

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
        source: As declared, `kind:spec`; "" for a program of this machine or a remote server. What an entry of the MCP
            registry (`mcp:…`) stands for is the first dependency of the package with this source.
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
        transport: "stdio", "http", "sse", or how an entry of the MCP registry says that it is spoken to.
        trust: Its label, or that of the environment that it shares; "" for none.
        url: Where it is, if somebody else runs it; "" otherwise.
        headers: What requests to it have, literally.
        header_secrets: Header -> reference.
        port: The port that it listens on, inside; 0 when not said.
        path: The path of its URL; "" when not said.
        host_port: The port of this machine that leads to it; 0: `apply` chooses one, and keeps it.
        serve: "http": it speaks stdio, and is served over streamable HTTP as well.
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
    transport: str = "stdio"
    trust: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    header_secrets: Mapping[str, SecretReference] = field(default_factory=dict)
    port: int = 0
    path: str = ""
    host_port: int = 0
    serve: str = ""

    @property
    def references(self) -> Mapping[str, SecretReference]:
        """Every secret that it is started with, by what it is for: a variable, or a header."""
        return {**self.secrets, **self.header_secrets}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A whole lock. All sequences are sorted by name or id.

    Attributes:
        project: The project's name.
        platforms: Declared or recorded, sorted.
        exclude_newer: Releases after this moment were ignored, RFC 3339; "" for none.
        packages: By id.
        archives: By name.
        images: By reference.
        builds: By server.
        environments: By name and runtime.
        servers: By name.
        surfaces: By server; of those that were pinned.
        by_id: The packages by their ids; looked up once for all who ask, as a lock may have thousands of environments.
    """

    project: str
    platforms: tuple[str, ...]
    exclude_newer: str = ""
    packages: tuple[Package, ...] = ()
    archives: tuple[Archive, ...] = ()
    images: tuple[Image, ...] = ()
    builds: tuple[Build, ...] = ()
    environments: tuple[Environment, ...] = ()
    servers: tuple[Server, ...] = ()
    surfaces: tuple[Surface, ...] = ()
    by_id: Mapping[str, Package] = field(init=False, repr=False, compare=False)
    _environments: Mapping[tuple[str, str], Environment] = field(init=False, repr=False, compare=False)
    _servers: Mapping[str, Server] = field(init=False, repr=False, compare=False)
    _surfaces: Mapping[str, Surface] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index what is looked up by name."""
        environments = {(item.name, item.runtime): item for item in self.environments}
        object.__setattr__(self, "by_id", {item.id: item for item in self.packages})
        object.__setattr__(self, "_environments", environments)
        object.__setattr__(self, "_servers", {item.name: item for item in self.servers})
        object.__setattr__(self, "_surfaces", {item.server: item for item in self.surfaces})

    def package(self, package_id: str) -> Package:
        """Return a package by its id.

        Raises:
            KeyError: There is none.
        """
        return self.by_id[package_id]

    def image(self, reference: str) -> Image:
        """Return an image by its reference.

        Raises:
            KeyError: There is none.
        """
        found = next((item for item in self.images if item.reference == reference), None)
        if found is None:
            raise KeyError(reference)
        return found

    def build(self, server: str) -> Build | None:
        """Return what a server's image is built from; None if it has another image, or none."""
        return next((item for item in self.builds if item.server == server), None)

    def environment(self, name: str, runtime: Runtime) -> Environment:
        """Return an environment by its name and runtime; servers of both runtimes may share a declared one.

        Raises:
            KeyError: There is none.
        """
        if found := self._environments.get((name, runtime)):
            return found
        raise KeyError(name)

    def server(self, name: str) -> Server:
        """Return a server by its name.

        Raises:
            KeyError: There is none.
        """
        return self._servers[name]

    def surface(self, server: str) -> Surface | None:
        """Return what was pinned of a server; None if nothing was."""
        return self._surfaces.get(server)

    def packages_of(self, environment: Environment, platform: str) -> Iterator[Package]:
        """Yield the packages of an environment on a platform, sorted by id.

        Raises:
            KeyError: The lock lacks one of them.
        """
        for package_id in environment.on(platform):
            yield self.by_id[package_id]
