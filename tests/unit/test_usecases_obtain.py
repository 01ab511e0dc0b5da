"""Files that a lock names come from where they are, and only checked into the store: every kind, over loopback."""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.digest import hex_of, sha256_bytes
from hatchlock.engines.process import host_platform
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, discard
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.lock.store import dumps
from hatchlock.manifest.load import loads
from hatchlock.net.http import Http, Refused
from hatchlock.net.patience import Patience
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact
from hatchlock.sources.base import FileGone
from hatchlock.sources.oci_documents import BadImage
from hatchlock.sources.projects.git_errors import CommitGone
from hatchlock.store.blobs import Blobs, WrongHash
from hatchlock.usecases.fetch import fetch
from hatchlock.usecases.obtain import Obtain
from hatchlock.usecases.project import Project
from hatchlock.usecases.sources import Sources
from support.debian_archive import Deb, DebianArchive, serving_debian, status_of
from support.debs import locked_deb
from support.fake_registry import fake_registry
from support.git_server import Repository
from support.index import Release, serving
from support.layers import make_layer
from support.npm_registry import NpmRelease, serving_npm
from support.static_files import serving_files
from support.trees import plant

HEAD = '[project]\nname = "p"\n'
SECRET = "geheim-4711"


def parts_of(reference: str, platform: ImagePlatform) -> list[Artefact]:
    names = (platform.config, *(layer.digest for layer in platform.layers))
    return [Artefact(package=f"oci:{reference}", name=name, digest=hex_of(name)) for name in names]


class Desk:
    """A store, and what brings files of packages into it."""

    def __init__(self, root: Path, tables: str = "", **environ: str) -> None:
        self.root = root
        self.blobs = Blobs(root / "store" / "blobs")
        self._text = HEAD + tables
        self._project = Project(
            manifest=root / "hatchlock.toml",
            home=Home(root=root / "store", is_default=False),
            environ={"HOME": str(root), "PATH": "/usr/bin:/bin", **environ},
            manifest_bytes=self._text.encode(),
            overlay_bytes=b"",
            lock_bytes=None,
        )

    @contextlib.contextmanager
    def sources(self) -> Iterator[Sources]:
        with Http(environ=self._project.environ, patience=Patience(repeats=0)) as http:
            manifest = loads(self._text, shown="").manifest
            with Sources(self._project, manifest, http=http, offline=False, refresh=False, emit=discard) as sources:
                yield sources

    def obtain(self, package: Package, file: File | None = None, **lock: Any) -> bytes:
        """Bring a package's file into the store, and return it from there."""
        wanted = file or package.files[0]
        artefact = Artefact(package=package.id, name=wanted.name, digest=wanted.digest, size=wanted.size)
        self.bring(artefact, package, **lock)
        return self.blobs.path(wanted.digest).read_bytes()

    def bring(
        self,
        artefact: Artefact,
        *packages: Package,
        images: Sequence[Image] = (),
        environments: Sequence[Environment] = (),
        platforms: tuple[str, ...] = (host_platform(),),
    ) -> None:
        lock = Lock(
            project="p",
            platforms=platforms,
            packages=packages,
            images=tuple(images),
            environments=tuple(environments),
        )
        with self.sources() as sources:
            Obtain(self._project, lock, sources, self.blobs)(artefact)

    def check(self, reference: str, platform: ImagePlatform, image: Image) -> list[str]:
        """Check an image of which everything is here, and return what was told."""
        told: list[Event] = []
        lock = Lock(project="p", platforms=(host_platform(),), images=(image,))
        with self.sources() as sources:
            obtain = Obtain(self._project, lock, sources, self.blobs)
            obtain.check_images(parts_of(reference, platform), emit=told.append)
        return [event.name for event in told]

    def fetch(self, reference: str, platform: ImagePlatform, image: Image, *, offline: bool = False) -> None:
        """Fetch an image as `apply` does it."""
        lock = Lock(project="p", platforms=(host_platform(),), images=(image,))
        self._project.manifest.write_text(self._text)
        project = replace(self._project, lock_bytes=dumps(lock).encode())
        fetch(project, parts_of(reference, platform), offline=offline, emit=discard)

    def locked(self, text: str) -> Package:
        """Return what the lock would have for a requirement that names itself what it means."""
        with self.sources() as sources:
            return sources.load(text, None).package

    def kept(self) -> list[str]:
        """Return every file of the store but its caches'."""
        return [path.name for path in (self.root / "store" / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def refused(error: type[HatchlockError], desk: Desk, package: Package, **lock: Any) -> str:
    with pytest.raises(error) as caught:
        desk.obtain(package, **lock)
    assert caught.value.hint
    assert desk.kept() == []
    return str(caught.value)


# directories and repositories


def members(data: bytes, path: Path) -> list[str]:
    path.write_bytes(data)
    with tarfile.open(path) as archive:
        return archive.getnames()


FILES: dict[str, Any] = {"pyproject.toml": '[project]\nname = "core"\nversion = "1"\n', "core.py": "VALUE = 1\n"}


def test_a_directory_is_packed_as_it_was_locked(desk: Desk) -> None:
    plant(desk.root / "core", {**FILES, ".gitignore": "*.log\n", "x.log": ""})
    package = desk.locked("path:./core")
    data = desk.obtain(package)
    assert sha256_bytes(data) == package.files[0].sha256
    assert members(data, desk.root / "x.tar") == [".gitignore", "core.py", "pyproject.toml"]


def test_a_directory_that_was_changed_is_named_and_not_kept(desk: Desk) -> None:
    plant(desk.root / "core", FILES)
    package = desk.locked("path:./core")
    (desk.root / "core" / "core.py").write_text("VALUE = 2\n")
    assert f"{desk.root}/core" in refused(HatchlockError, desk, package)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repository")
    made.commit({f"libs/core/{name}": str(text) for name, text in FILES.items()})
    return made


def test_a_repository_gives_the_locked_commit_wherever_its_branch_is(desk: Desk, repository: Repository) -> None:
    package = desk.locked(f"git:{repository.url}@main#subdirectory=libs/core")
    repository.commit({"libs/core/core.py": "VALUE = 2\n", "libs/core/other.py": ""})
    data = desk.obtain(package)
    assert members(data, desk.root / "x.tar") == ["core.py", "pyproject.toml"]
    assert b"VALUE = 1" in data
    assert not list((desk.root / "store" / "cache").glob("work-*")), "nothing is left of the checkout"


def test_a_commit_that_is_gone_is_named(desk: Desk, repository: Repository) -> None:
    package = desk.locked(f"git:{repository.url}@main#subdirectory=libs/core")
    repository.git("commit", "--quiet", "--amend", "--message", "rewritten")
    repository.prune()
    other = Desk(desk.root / "other")
    assert package.commit in refused(CommitGone, other, package)


# addresses


def test_a_program_is_fetched_by_the_address_of_its_platform(desk: Desk) -> None:
    served = plant(desk.root / "served", {"tool-here": "here", "tool-there": "there"})
    with serving_files(served) as address:
        parts = {
            platform: f"{address}/tool-{where}#sha256={sha256_bytes(where.encode())}&name=tool"
            for platform, where in (("darwin/arm64", "there"), ("linux/amd64", "here"))
        }
        package = desk.locked("url:" + " ".join(f"{platform}={url}" for platform, url in parts.items()))
        found = {file.platform: desk.obtain(package, file) for file in package.files}
        assert found == {"darwin/arm64": b"there", "linux/amd64": b"here"}
        (served / "tool-here").write_text("else")
        other = Desk(desk.root / "other")
        said = refused(
            WrongHash,
            other,
            Package(kind=Kind.URL, name="tool", version="1", source=package.source, files=package.files[:1]),
        )
    assert f"tool-here from {address}/tool-here has sha256 {sha256_bytes(b'else')}" in said


# indexes


def wheel(name: str = "thing", version: str = "1.0") -> tuple[Release, Package]:
    release = Release(name=name, version=version)
    file = File(name=release.file_name, sha256=sha256_bytes(release.data), size=len(release.data))
    return release, Package(kind=Kind.PYPI, name=name, version=version, index="pypi", files=(file,))


def test_a_wheel_that_its_index_took_away_is_told_apart_from_one_with_other_bytes(tmp_path: Path) -> None:
    release, package = wheel()
    with serving(release) as index:
        desk = Desk(tmp_path, f'[indexes.pypi]\nurl = "{index.url}"\nttl = "0s"\n')
        assert desk.obtain(package) == release.data
        other = Desk(tmp_path / "other", f'[indexes.pypi]\nurl = "{index.url}"\nttl = "0s"\n')
        index.raw_pages["thing"] = json.dumps(index.page("thing")).encode()
        release.padding = 7
        assert "thing-1.0-py3-none-any.whl" in refused(WrongHash, other, package)
        del index.raw_pages["thing"]
        assert "no longer offers thing-1.0-py3-none-any.whl" in refused(FileGone, other, package)


def test_the_login_of_an_index_is_used_and_never_said(tmp_path: Path) -> None:
    release, package = wheel()
    with serving(release, login=("ada", SECRET)) as index:
        address = index.url.replace("://", f"://ada:{SECRET}@")
        desk = Desk(tmp_path, PIP_INDEX_URL=address)
        assert desk.obtain(package) == release.data
        other = Desk(tmp_path / "other", PIP_INDEX_URL=address)
        index.raw_pages["thing"] = json.dumps(index.page("thing")).encode()
        release.padding = 7
        said = refused(WrongHash, other, package)
        assert SECRET not in said
        assert index.url.removesuffix("simple/") in said
        stranger = Desk(tmp_path / "stranger", PIP_INDEX_URL=index.url)
        refused(HatchlockError, stranger, package)


def test_a_tarball_is_fetched_with_the_token_of_npmrc(tmp_path: Path) -> None:
    release = NpmRelease(name="@acme/thing")
    file = File(name=release.file_name, sha512=release.sha512)
    package = Package(kind=Kind.NPM, name=release.name, version=release.version, index="npm", files=(file,))
    with serving_npm(release, token=SECRET) as registry:
        desk = Desk(tmp_path, f'[indexes.npm]\nurl = "{registry.url}"\n')
        assert SECRET not in refused(Refused, desk, package)
        (tmp_path / ".npmrc").write_text(f"{registry.url.removeprefix('http:')}:_authToken={SECRET}\n")
        assert desk.obtain(package) == release.data
        assert desk.kept() == [release.sha512]


# Debian archives

DEBIAN_TABLES = """
[indexes.debian]
url = "{url}"
suite = "bookworm"
keyring = "archive.gpg"
"""


def debian_desk(root: Path, archive: DebianArchive) -> Desk:
    root.mkdir(exist_ok=True)
    (root / "archive.gpg").write_bytes(archive.keyring)
    return Desk(root, DEBIAN_TABLES.format(url=archive.url))


def test_a_debian_package_comes_from_the_archive_that_the_manifest_declares(tmp_path: Path) -> None:
    hello = Deb(name="hello", version="1:2.0-1")
    package = locked_deb(hello)
    environment = Environment(name="e", private=False, runtime="container", packages=(package.id,))
    with serving_debian(hello) as archive:
        desk = debian_desk(tmp_path / "one", archive)
        assert desk.obtain(package, environments=[environment]) == hello.data
        archive.raw[hello.path] = b"other bytes"
        other = debian_desk(tmp_path / "two", archive)
        assert f"{archive.url}/{hello.path}" in refused(WrongHash, other, package, environments=[environment])
        # most archives keep one version of each package
        archive.debs = []
        del archive.raw[hello.path]
        assert "no longer offers hello_2.0-1_amd64.deb" in refused(FileGone, other, package, environments=[environment])


def test_a_debian_package_comes_from_where_the_base_of_its_platform_has_it(tmp_path: Path) -> None:
    """Ubuntu's archive for arm64 has another address than that for amd64, and both have the same suites."""
    hello = [Deb(name="hello"), Deb(name="hello", architecture="arm64")]
    one, two = map(locked_deb, hello)
    package = replace(one, files=tuple(sorted((*one.files, *two.files))))
    with serving_debian(hello[0]) as here, serving_debian(hello[1]) as ports, fake_registry() as server:
        architectures = (("amd64", here), ("arm64", ports))
        digests = {
            f"linux/{name}": server.image(
                "team/base", name, layers=[debian_layer(archive, name)], platform=f"linux/{name}"
            )
            for name, archive in architectures
        }
        server.index("team/base", "1", digests)
        reference = f"{server.address}/team/base:1"
        desk = Desk(tmp_path)
        with desk.sources() as sources:
            image = sources.look_up_image(reference, sorted(digests), facts=True)
        environment = Environment(name="e", private=False, runtime="container", base=reference, packages=(package.id,))
        found = [
            desk.obtain(
                package, file, images=[image], environments=[environment], platforms=("linux/amd64", "linux/arm64")
            )
            for file in package.files
        ]
        assert found == [item.data for item in sorted(hello, key=lambda item: item.file_name)]


def debian_layer(archive: DebianArchive, architecture: str) -> bytes:
    return make_layer(
        {
            "etc/os-release": b"ID=debian\n",
            "var/lib/dpkg/status": status_of(Deb(name="libc6", architecture=architecture)),
            "etc/apt/sources.list.d/debian.sources": archive.sources,
            "usr/share/keyrings/archive.gpg": archive.keyring,
        }
    )


# interpreters


def test_an_interpreters_archive_comes_from_where_uv_has_it(tmp_path: Path) -> None:
    data = b"an archive"
    name = "cpython-3.11.9+20260101-x86_64-unknown-linux-gnu-install_only.tar.gz"
    plant(tmp_path / "mirror" / "20260101", {name: data.decode()})
    artefact = Artefact(package="python@3.11.9", name=name, digest=sha256_bytes(data))
    with serving_files(tmp_path / "mirror") as address:
        entry = {
            "name": "cpython",
            "arch": {"family": "x86_64", "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": 3,
            "minor": 11,
            "patch": 9,
            "prerelease": "",
            "url": f"{address}/20260101/{name}",
            "sha256": artefact.digest,
            "variant": None,
            "build": "20260101",
        }
        document = plant(tmp_path, {"downloads.json": {"cpython-3.11.9": entry}}) / "downloads.json"
        desk = Desk(tmp_path, UV_PYTHON_DOWNLOADS_JSON_URL=str(document))
        desk.bring(artefact)
        assert desk.blobs.path(artefact.digest).read_bytes() == data
        (tmp_path / "mirror" / "20260101" / name).write_bytes(b"another one")
        other = Desk(tmp_path / "other", UV_PYTHON_DOWNLOADS_JSON_URL=str(document))
        with pytest.raises(WrongHash, match="cpython-3"):
            other.bring(artefact)
        assert other.kept() == []


# images


def test_a_layer_that_a_lock_puts_below_an_unchanged_digest_is_not_fetched(tmp_path: Path) -> None:
    with fake_registry() as server:
        reference = f"{server.address}/team/app:1"
        server.image("team/app", "1", layers=[b"ours"])
        server.image("team/app", "2", layers=[b"theirs"])
        desk = Desk(tmp_path)
        with desk.sources() as sources:
            image, other = (
                sources.look_up_image(item, ["linux/amd64"], facts=False)
                for item in (reference, f"{server.address}/team/app:2")
            )
        good, foreign = image.platforms["linux/amd64"], other.platforms["linux/amd64"]
        edited = replace(image, platforms={"linux/amd64": replace(good, layers=foreign.layers)})
        layers = [
            Artefact(package=f"oci:{reference}", name=layer.digest, digest=layer.digest.removeprefix("sha256:"))
            for layer in (*good.layers, *foreign.layers)
        ]
        with pytest.raises(BadImage, match="as the lock says"):
            desk.bring(layers[1], images=[edited])
        assert not desk.blobs.has(layers[1].digest)
        assert not any(layers[1].name in str(request) for request in server.asked)
        desk.bring(layers[0], images=[image])
        assert desk.blobs.has(layers[0].digest)


def test_an_image_of_which_everything_is_here_is_compared_too(tmp_path: Path) -> None:
    """It may be here because another image of the same lock has it; then nobody asks for it below this one's digest."""
    with fake_registry() as server:
        reference, other = f"{server.address}/team/app:1", f"{server.address}/stranger/app:1"
        server.image("team/app", "1", layers=[b"ours"])
        server.image("stranger/app", "1", layers=[b"theirs"])
        desk = Desk(tmp_path)
        with desk.sources() as sources:
            images = {item: sources.look_up_image(item, ["linux/amd64"], facts=False) for item in (reference, other)}
        good, foreign = (images[item].platforms["linux/amd64"] for item in (reference, other))
        for item, platform in ((reference, good), (other, foreign)):
            for layer in platform.layers:
                digest = layer.digest.removeprefix("sha256:")
                desk.bring(Artefact(package=f"oci:{item}", name=layer.digest, digest=digest), images=[images[item]])
        asked = len(server.asked)
        desk.check(reference, good, images[reference])
        assert len(server.asked) == asked, "what was locked here is known to be right"

        taken = replace(foreign, digest=good.digest)
        edited = replace(images[reference], platforms={"linux/amd64": taken})
        with pytest.raises(BadImage, match="as the lock says"):
            desk.check(reference, taken, edited)
        with pytest.raises(BadImage, match="as the lock says"):
            desk.fetch(reference, taken, edited)
        desk.fetch(reference, taken, edited, offline=True)
    assert desk.check(reference, taken, edited) == ["image.unchecked"] * 2, "without its registry it cannot be compared"
