"""What install scripts changed: as they say it, as it is kept, and put over a package."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from hatchlock.realise.builds.order import BadBuildResult
from hatchlock.realise.builds.scripts import ScriptInput, overlay, taken_changes, write_script_order
from hatchlock.realise.npm import BadPlace, NpmPlacement
from hatchlock.realise.unpack import BadArchive
from support.archives import Item, make_tar
from support.npm_registry import make_tarball


def said(*files: dict[str, Any], content: bytes = b"") -> io.BytesIO:
    head = json.dumps({"files": files}).encode()
    return io.BytesIO(str(len(head)).zfill(16).encode() + head + content)


def changes(tmp_path: Path, *files: dict[str, Any], content: bytes = b"") -> Path:
    out = tmp_path / "changes"
    taken_changes(said(*files, content=content), out, package="npm:a@1", scratch=tmp_path)
    return out


def test_what_goes_in_is_the_whole_tree_as_it_is_installed(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(make_tarball({"name": "a"}, {"index.js": "hello"}))
    placed = NpmPlacement(path="node_modules/a", blob=blob, name="a@1", commands={"a": "index.js"})
    out = io.BytesIO()
    write_script_order(ScriptInput(package="npm:@s/a@1", path="node_modules/a", tree=[placed]), out, scratch=tmp_path)
    data = out.getvalue()
    size = int(data[:16])
    head = json.loads(data[16 : 16 + size])
    assert (head["name"], head["version"], head["path"]) == ("@s/a", "1", "node_modules/a")
    assert [(file["path"], file.get("link", file.get("mode"))) for file in head["files"]] == [
        ("node_modules/.bin/a", "../a/index.js"),
        ("node_modules/a/index.js", 0o755),
        ("node_modules/a/package.json", 0o644),
    ]
    assert data[16 + size :].startswith(b"hello")


def test_a_project_goes_in_with_its_siblings_and_without_packages_of_its_own(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(make_tarball({"name": "a"}, {"index.js": "hello"}))
    placed = NpmPlacement(path="node_modules/a", blob=blob, name="a@1", commands={})
    own = make_tar(tmp_path / "own", [Item("package.json", b"{}"), Item("node_modules/b/old.js", b"")])
    core = make_tar(tmp_path / "core", [Item("package.json", b"[]")])
    wanted = ScriptInput(package="path:@s/b@1", path="", tree=[placed], projects={"": own, "node_modules/core": core})
    out = io.BytesIO()
    write_script_order(wanted, out, scratch=tmp_path)
    data = out.getvalue()
    head = json.loads(data[16 : 16 + int(data[:16])])
    assert (head["path"], head["builders"][:2]) == ("", ["build", "prepare"])
    assert [file["path"] for file in head["files"]] == [
        "node_modules/a/index.js",
        "node_modules/a/package.json",
        "node_modules/core/package.json",
        "package.json",
    ]


def test_a_sibling_s_place_is_inside_whatever_a_lock_says(tmp_path: Path) -> None:
    core = make_tar(tmp_path / "core", [Item("package.json", b"[]")])
    wanted = ScriptInput(package="path:b@1", path="", tree=[], projects={"node_modules/../../core": core})
    with pytest.raises(BadPlace):
        write_script_order(wanted, io.BytesIO(), scratch=tmp_path)


def test_a_build_that_does_not_make_what_it_is_for_is_refused(tmp_path: Path) -> None:
    files = ({"path": "dist/index.js", "size": 3, "mode": 0o644},)
    out = tmp_path / "out"
    taken_changes(said(*files, content=b"xyz"), out, package="path:a@1", scratch=tmp_path, entries=["dist/index.js"])
    with pytest.raises(BadBuildResult, match=r"dist/cli\.js, by which it is started, is not in it") as caught:
        taken_changes(said(*files, content=b"xyz"), out, package="path:a@1", scratch=tmp_path, entries=["dist/cli.js"])
    assert "mend the project" in caught.value.hint


def test_what_was_changed_is_kept_in_one_form(tmp_path: Path) -> None:
    files: list[dict[str, Any]] = [
        {"path": "b", "size": 3, "mode": 0o700},
        {"path": "a/c", "size": 0, "mode": 0o600},
        {"path": "a/link", "link": "../b"},
    ]
    one = changes(tmp_path, *files, content=b"xyz").read_bytes()
    assert one == changes(tmp_path, *reversed(files), content=b"xyz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        members = {member.name: (member.mode, member.mtime, member.linkname) for member in archive}
    assert members == {
        "a": (0o755, 0, ""),
        "a/c": (0o644, 0, ""),
        "a/link": (0o777, 0, "../b"),
        "b": (0o755, 0, ""),
    }


@pytest.mark.parametrize(
    "stream",
    [
        io.BytesIO(b""),
        io.BytesIO(b"not a number at all"),
        io.BytesIO(b"0000000000000002[]"),
        io.BytesIO(b"9999999999999999{}"),
        said({"path": "../a", "size": 0, "mode": 0o644}),
        said({"path": "/a", "size": 0, "mode": 0o644}),
        said({"path": "node_modules/b/index.js", "size": 0, "mode": 0o644}),
        said({"path": "a//b", "size": 0, "mode": 0o644}),
        said({"path": 7, "size": 0, "mode": 0o644}),
        said({"path": "a", "size": 4, "mode": 0o644}, content=b"abc"),
        said({"path": "a", "size": 2, "mode": 0o644}, content=b"abc"),
        said({"path": "a", "size": -1, "mode": 0o644}),
        said({"path": "a", "size": float("inf"), "mode": 0o644}),
        said({"path": ".wh.b", "size": 0, "mode": 0o644}),
        said({"path": "\ud800", "size": 0, "mode": 0o644}),
        io.BytesIO(b"0000000000100000" + b"[" * 100_000),
    ],
)
def test_whatever_is_no_set_of_files_is_refused(tmp_path: Path, stream: io.BytesIO) -> None:
    with pytest.raises(BadBuildResult, match="npm:a@1 cannot be used"):
        taken_changes(stream, tmp_path / "changes", package="npm:a@1", scratch=tmp_path)


def test_changes_take_the_place_of_what_is_there(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for path in ("kept", "file", "directory/old", "deep/file"):
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text("as it came")
    found = changes(
        tmp_path,
        {"path": "file/inside", "size": 1, "mode": 0o644},
        {"path": "directory", "size": 1, "mode": 0o755},
        {"path": "deep/file", "size": 1, "mode": 0o644},
        {"path": "link", "link": "kept"},
        content=b"123",
    )
    overlay(found, package, name="changes")
    texts = {str(path.relative_to(package)): path.read_text() for path in package.rglob("*") if path.is_file()}
    assert texts == {
        "kept": "as it came",
        "link": "as it came",
        "file/inside": "1",
        "directory": "2",
        "deep/file": "3",
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_link_out_of_the_package_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    with pytest.raises(BadArchive, match="leads out"):
        overlay(changes(tmp_path, {"path": "link", "link": "../../etc/passwd"}), tmp_path / "package", name="changes")
    assert list((tmp_path / "package").iterdir()) == []
