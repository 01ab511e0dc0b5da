"""Locks without an index: a manifest, packages and images in memory, and the lock that comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from packaging.requirements import Requirement

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.launch import Runtime
from hatchlock.lock.images import Image, ImagePlatform, Layer
from hatchlock.lock.model import Archive, File, Lock, Package
from hatchlock.manifest.load import loads
from hatchlock.manifest.model import BuildSpec, Manifest
from hatchlock.net.registry import UnknownImage
from hatchlock.resolve.basis import Upgrade
from hatchlock.resolve.build import build_lock
from hatchlock.resolve.direct import Direct
from hatchlock.resolve.request import EnvironmentRequest, EnvironmentResult, Resolution
from hatchlock.resources.image_target import with_image_keys
from hatchlock.sources.dockerfile.context import ReadContext

__all__ = ["EVERYTHING", "NOW", "World", "image", "manifest_of", "package", "world"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

EVERYTHING = """\
[project]
name = "acme"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
isolation = "best-effort"

[environments.shared]
python = "3.11"
dependencies = ["pypi:demo-server>=1", "pypi:demo-lib<3"]
constraints = ["pypi:demo-core<9"]
overrides = ["pypi:demo-core==1.5"]

[servers.demo]
source = "pypi:demo-server>=1"
args = ["--zone", "UTC"]
runtime = "process"
python = "3.11"
cwd = "/tmp"
clients = ["claude-code", "cursor"]
startup-timeout = 12.5

[servers.demo.env]
GREETING = 'say "hello"'
EMPTY = ""
TOKEN = { secret = "env:DEMO_TOKEN", format = "Bearer {}" }
EXTRA = { secret = "file:~/extra", required = false }

[servers.demo.sandbox]
memory = "1g"
cpus = 0.5
mounts = [{ source = "./data", target = "/data", mode = "rw" }]
reason = "it keeps its notes"

[servers.boxed]
source = "pypi:demo-server>=1"
runtime = "container"
python = "3.11"
base = "oci:base.example.com/python:3.11"

[servers.shop]
source = "oci:shop.example.com/shop:1"
runtime = "container"

[servers.host]
command = ["/bin/cat", "-u"]
runtime = "process"

[servers.member]
source = "pypi:demo-server"
environment = "shared"
runtime = "process"
"""
"""A manifest that fills every table of a lock."""


def manifest_of(text: str) -> Manifest:
    """Return the values of a manifest's text."""
    return loads(text, shown="hatchlock.toml").manifest


def package(name: str, version: str = "1.0", **fields: object) -> Package:
    """Return a package with one wheel that runs everywhere."""
    file = File(
        name=f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        sha256=sha256_bytes(f"{name}{version}".encode()),
        size=1000,
    )
    plain = Package(kind=Kind.PYPI, name=name, version=version, index="pypi", files=(file,))
    return replace(plain, **fields)  # type: ignore[arg-type]  # fields of a package


def image(reference: str, *platforms: str, python: str = "3.11.2") -> Image:
    """Return an image; its digests are functions of reference and platform."""

    def digest(*words: str) -> str:
        return "sha256:" + sha256_bytes(" ".join([reference, *words]).encode())

    def on(platform: str) -> ImagePlatform:
        return ImagePlatform(
            digest=digest(platform),
            config=digest(platform, "config"),
            config_size=2000,
            layers=(Layer(digest=digest(platform, "layer"), size=30_000, diff_id=digest(platform, "tar")),),
            entrypoint=("/shop",),
            command=("serve",),
            env=("PATH=/usr/bin:/bin",),
            python=python,
            python_path=f"/usr/bin/python{python.rpartition('.')[0]}" if python else "",
            libc="glibc 2.36",
            symlinks={"bin": "usr/bin"},
            packages=("deb:libc6@2.36-9",),
        )

    return Image(reference=reference, digest=digest(), platforms={platform: on(platform) for platform in platforms})


@dataclass(kw_only=True)
class World:
    """What there is to lock, and what was asked of it.

    `closure` says which packages environments get that are not of Python alone, by name.
    """

    packages: dict[str, Package]
    images: dict[str, Image]
    entries: dict[str, Package] = field(default_factory=dict)
    dockerfiles: dict[str, str] = field(default_factory=dict)
    archives: list[Archive] = field(default_factory=list)
    closure: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    preferred: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    limits: list[datetime | None] = field(default_factory=list)

    def lock(self, text: str, previous: Lock | None = None, *, upgrade: Upgrade = frozenset()) -> Lock:
        """Lock a manifest against this world."""
        manifest = manifest_of(text)
        lock = build_lock(
            manifest,
            previous,
            now=NOW,
            host_platform="linux/amd64",
            upgrade=upgrade,
            answers=self,
        )
        return with_image_keys(manifest, lock)

    def load(self, text: str, pinned: Package | None) -> Direct:
        del pinned
        raise AssertionError(text)

    def entry(self, text: str, runtime: Runtime, platforms: Sequence[str], pinned: Package | None) -> Package:
        """Return the entry that has this text as its source, and remember what it was to be chosen for."""
        del platforms
        self.asked.append(f"{text} for {runtime}" + (f", {pinned.version} is pinned" if pinned else ""))
        return self.entries[text]

    def interpreters(self, python: str, platforms: Sequence[str]) -> Mapping[str, File]:
        del platforms
        raise AssertionError(python)

    def read_context(self, server: str, build: BuildSpec) -> ReadContext:
        """Return a directory with nothing but the server's Dockerfile."""
        text = self.dockerfiles[server]
        file = File(name=f"{server}-context.tar", sha256=sha256_bytes(text.encode()), size=len(text))
        return ReadContext(file=file, text=text, shown=f"{build.context}/{build.dockerfile}")

    def host_node(self) -> str:
        return "22"

    def look_up_image(self, reference: str, platforms: Sequence[str], *, facts: bool) -> Image:
        self.asked.append(f"oci:{reference}" + (" with facts" if facts else ""))
        name, _, digest = reference.partition("@")
        found = self.images[name]
        if digest not in {"", found.digest}:
            raise UnknownImage(image=reference, registry="127.0.0.1")
        return replace(found, platforms={platform: found.platforms[platform] for platform in platforms})

    def resolve(self, requests: Sequence[EnvironmentRequest], *, exclude_newer: datetime | None) -> Resolution:
        """Take the one version that there is of each package."""
        self.limits.append(exclude_newer)
        for request in requests:
            self.asked.append(f"env:{request.name}")
            self.preferred[request.name] = request.preferred
        results = [
            EnvironmentResult(name=request.name, packages=dict.fromkeys(request.platforms, self._closure(request)))
            for request in requests
        ]
        packages = tuple(self.packages.values())
        return Resolution(environments=tuple(results), packages=packages, archives=tuple(self.archives))

    def _closure(self, request: EnvironmentRequest) -> tuple[str, ...]:
        if request.name in self.closure:
            return self.closure[request.name]
        waiting = [text.removeprefix("pypi:") for text in request.requirements]
        found: dict[str, str] = {}
        while waiting:
            known = self.packages[Requirement(waiting.pop()).name]
            if known.name not in found:
                found[known.name] = known.id
                waiting += [text.removeprefix("pypi:") for text in known.dependencies]
        return tuple(sorted(found.values()))


def world() -> World:
    """Return what the manifest `EVERYTHING` needs."""
    packages = [
        package(
            "demo-server",
            "1.2",
            dependencies=("pypi:demo-lib>=1",),
            scripts={"demo-server": "demo_server:main"},
            requires_python=">=3.10",
            licence="MIT",
            publisher="Zoë <zoe@example.com>",
            repository="https://example.com/demo",
        ),
        package("demo-lib", "2.0", dependencies=("pypi:demo-core>=1",)),
        package("demo-core", "1.5"),
    ]
    images = [
        image("base.example.com/python:3.11", "linux/amd64", "linux/arm64"),
        image("shop.example.com/shop:1", "linux/amd64", "linux/arm64", python=""),
    ]
    return World(packages={item.name: item for item in packages}, images={item.reference: item for item in images})
