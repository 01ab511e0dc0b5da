from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.lock.model import File, Lock, Package
from hatchlock.lock.store import MissingLock, dumps
from hatchlock.paths import Home
from hatchlock.store.blobs import Blobs, WrongHash
from hatchlock.usecases.bundle import BadBundle, Imported, OtherLock, import_bundle, write_bundle
from hatchlock.usecases.project import Project

MANIFEST = b'[project]\nname = "acme"\n'
LARGE = bytes(range(256)) * 8000
TARBALL = b"a tarball"
SHA512 = hashlib.sha512(TARBALL).hexdigest()


def locked(version: str = "1.0") -> bytes:
    wheel = File(name="thing-1.0-py3-none-any.whl", sha256=sha256_bytes(LARGE), size=len(LARGE))
    tarball = File(name="zod-4.0.0.tgz", sha512=SHA512)
    packages = (
        Package(kind=Kind.NPM, name="zod", version="4.0.0", index="npm", files=(tarball,)),
        Package(kind=Kind.PYPI, name="thing", version=version, index="pypi", files=(wheel,)),
    )
    return dumps(Lock(project="acme", platforms=("linux/amd64",), packages=packages)).encode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(
        manifest=tmp_path / "project" / "hatchlock.toml",
        home=Home(root=tmp_path / "store", is_default=False),
        environ={},
        manifest_bytes=MANIFEST,
        overlay_bytes=b"",
        lock_bytes=locked(),
    )


@pytest.fixture
def here(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "store" / "blobs")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    source = Blobs(tmp_path / "source")
    for digest, data in ((sha256_bytes(LARGE), LARGE), (SHA512, TARBALL)):
        with source.add(digest) as writer:
            writer.write(data)
    path = tmp_path / "bundle.tar"
    size = write(path, source)
    assert size == path.stat().st_size
    return path


def write(path: Path, blobs: Blobs, manifest: bytes = MANIFEST) -> int:
    digests = [SHA512, sha256_bytes(LARGE)]
    return write_bundle(
        path,
        name="acme",
        manifest=manifest,
        lock=locked(),
        platforms=["linux/amd64"],
        digests=digests,
        blobs=blobs,
    )


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


def rewritten(path: Path, **changed: bytes | tarfile.TarInfo | None) -> None:
    """Write the archive anew, with some members changed (None: left out), and new ones at its end."""
    content: dict[str, bytes | tarfile.TarInfo] = dict(members(path))
    for name, data in changed.items():
        if data is None:
            del content[name]
        else:
            content[name] = data
    with tarfile.open(path, "w") as archive:
        for name, data in content.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            plain = b"" if isinstance(data, tarfile.TarInfo) else data
            info.size = len(plain)
            archive.addfile(info, io.BytesIO(plain))


def test_what_was_written_comes_in(bundle: Path, project: Project, here: Blobs) -> None:
    size = len(LARGE) + len(TARBALL)
    assert import_bundle(bundle, project, here) == Imported(files=2, size=size, platforms=("linux/amd64",))
    assert here.path(SHA512).read_bytes() == TARBALL
    assert here.path(sha256_bytes(LARGE)).read_bytes() == LARGE
    assert import_bundle(bundle, project, here).files == 0


def test_any_tar_can_read_it_and_it_is_private(bundle: Path) -> None:
    assert bundle.stat().st_mode & 0o777 == 0o600
    content = members(bundle)
    assert list(content)[:3] == ["hatchlock-bundle.json", "hatchlock.toml", "hatch.lock"]
    assert content[f"blobs/sha512/{SHA512}"] == TARBALL
    with tarfile.open(bundle) as archive:
        assert {(info.mtime, info.uid, info.gid, info.mode) for info in archive} == {(0, 0, 0, 0o644)}


def test_a_damaged_blob_is_not_given_away(bundle: Path, tmp_path: Path) -> None:
    before = bundle.read_bytes()
    source = Blobs(tmp_path / "source")
    source.path(SHA512).write_bytes(b"A tarball")
    with pytest.raises(WrongHash):
        write(bundle, source)
    assert bundle.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_bundle_of_another_lock_is_refused_with_names(bundle: Path, project: Project, here: Blobs) -> None:
    with pytest.raises(OtherLock) as caught:
        import_bundle(bundle, replace(project, lock_bytes=locked("1.1")), here)
    assert "here, ~ pypi:thing 1.0 -> 1.1; nothing was taken" in str(caught.value)
    assert not here.root.exists()
    with pytest.raises(OtherLock, match="for another"):
        import_bundle(bundle, replace(project, lock_bytes=locked() + b"# a comment\n"), here)


def test_a_project_without_a_lock_has_no_use_for_it(bundle: Path, project: Project, here: Blobs) -> None:
    with pytest.raises(MissingLock):
        import_bundle(bundle, replace(project, lock_bytes=None), here)


@pytest.mark.parametrize("digest", [SHA512, sha256_bytes(LARGE)])
def test_a_changed_blob_is_not_taken(bundle: Path, project: Project, here: Blobs, digest: str) -> None:
    name = f"blobs/sha{'512' if digest == SHA512 else '256'}/{digest}"
    data = members(bundle)[name]
    for changed in (data[:-1], data[:-1] + b"!", data + b"!", b""):
        rewritten(bundle, **{name: changed})
        with pytest.raises(WrongHash, match="the lock"):
            import_bundle(bundle, project, here)
        assert not here.has(digest)
    assert not list(here.leftovers())


@pytest.mark.parametrize(
    "name",
    ["blobs/sha256/../../evil", "/evil", f"blobs/sha256/{'0' * 64}", f"blobs/sha256/{SHA512}", "README", "a" * 300],
)
def test_what_the_lock_does_not_name_is_refused(bundle: Path, project: Project, here: Blobs, name: str) -> None:
    rewritten(bundle, **{name: b"evil"})
    with pytest.raises(BadBundle, match="which the lock does not name"):
        import_bundle(bundle, project, here)
    assert sorted(here.each()) == sorted([SHA512, sha256_bytes(LARGE)])


def test_what_the_index_names_and_the_lock_does_not_is_refused(bundle: Path, project: Project, here: Blobs) -> None:
    index = json.loads(members(bundle)["hatchlock-bundle.json"])
    evil = sha256_bytes(b"evil")
    index["blobs"].append({"digest": evil, "size": 4})
    rewritten(bundle, **{"hatchlock-bundle.json": json.dumps(index).encode(), f"blobs/sha256/{evil}": b"evil"})
    with pytest.raises(BadBundle, match="which the lock does not name"):
        import_bundle(bundle, project, here)
    assert not here.has(evil)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_only_plain_files_may_be_in_it(bundle: Path, project: Project, here: Blobs, kind: bytes) -> None:
    info = tarfile.TarInfo(f"blobs/sha512/{SHA512}")
    info.type, info.linkname = kind, "/etc/passwd"
    rewritten(bundle, **{info.name: info})
    with pytest.raises(BadBundle, match="which is no plain file"):
        import_bundle(bundle, project, here)


@pytest.mark.parametrize("name", ["hatchlock-bundle.json", "hatchlock.toml", "hatch.lock"])
def test_each_of_its_files_is_needed(bundle: Path, project: Project, here: Blobs, name: str) -> None:
    rewritten(bundle, **{name: None})
    with pytest.raises(BadBundle, match=f"{name} is not where it should be"):
        import_bundle(bundle, project, here)


def test_a_blob_that_is_missing_is_noticed(bundle: Path, project: Project, here: Blobs) -> None:
    rewritten(bundle, **{f"blobs/sha512/{SHA512}": None})
    with pytest.raises(BadBundle, match="it ends too early: 1 of its files are missing"):
        import_bundle(bundle, project, here)


def test_it_may_end_nowhere_else_than_at_its_end(bundle: Path, project: Project, tmp_path: Path) -> None:
    whole = bundle.read_bytes()
    for number, cut in enumerate([0, 100, 512, 700, 1024, 1600, 2600, 4000, 100_000, len(whole) - 1600]):
        bundle.write_bytes(whole[:cut])
        fresh = Blobs(tmp_path / f"fresh-{number}")
        with pytest.raises((BadBundle, WrongHash)):
            import_bundle(bundle, project, fresh)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format_version": 1}',
        b'{"format_version": 1, "project": 1, "platforms": [], "files": {}, "blobs": []}',
        b'{"format_version": 1, "project": "", "platforms": [], "files": {}, "blobs": [{"digest": 1, "size": 1}]}',
        b'{"format_version": 1, "project": "", "platforms": [], "files": {}, "blobs": [1]}',
        b'{"format_version": 1, "project": "", "platforms": [], "files": [], "blobs": []}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_an_index_that_is_none_is_refused(bundle: Path, project: Project, here: Blobs, index: bytes) -> None:
    rewritten(bundle, **{"hatchlock-bundle.json": index})
    with pytest.raises(BadBundle):
        import_bundle(bundle, project, here)


def test_a_newer_format_is_refused_by_its_number(bundle: Path, project: Project, here: Blobs) -> None:
    rewritten(bundle, **{"hatchlock-bundle.json": b'{"format_version": 3}'})
    with pytest.raises(BadBundle, match="its format 3 is not known") as caught:
        import_bundle(bundle, project, here)
    assert "fetch --to" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"no archive" * 200, bytes(2048)])
def test_what_is_no_bundle_is_said(tmp_path: Path, project: Project, here: Blobs, content: bytes) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(BadBundle, match="no bundle that can be used"):
        import_bundle(path, project, here)
    path.unlink()
    with pytest.raises(BadBundle, match="there is no such file"):
        import_bundle(path, project, here)
    path.mkdir()
    with pytest.raises(BadBundle, match="it is a directory"):
        import_bundle(path, project, here)
