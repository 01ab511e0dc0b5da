from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.engines.bytecode_kept import KeptLayers
from hatchlock.errors import PermissionProblem
from hatchlock.realise.tree import Entry

KEY = "ab" * 32
OTHER = "cd" * 32
NAME = "opt/hatchlock/lib/__pycache__/a.cpython-311.pyc"


def kept(directory: Path, *names: str) -> tuple[KeptLayers, Path]:
    """Return what keeps layers, with one of some files, and that one."""
    layers = KeptLayers(directory / "bytecode")
    with layers.scratch([KEY]) as scratch:
        entries = [Entry(path=name, content=b"code") for name in names or (NAME,)]
        layer = layers.keep(KEY, entries, scratch=scratch)
    assert layer.path
    return layers, layer.path


def test_a_layer_is_found_by_its_key_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    layers, path = kept(tmp_path)
    found = layers.find(KEY)
    assert found
    assert (found.path, found.diff_id) == (path, f"sha256:{sha256_bytes(path.read_bytes())}")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert layers.find(OTHER) is None
    assert list(path.parent.iterdir()) == [path]
    with tarfile.open(path) as archive:
        assert archive.getnames()[-1] == NAME


@pytest.mark.parametrize("damage", [b"", b"other bytes", None])
def test_a_layer_that_is_no_longer_itself_is_deleted(tmp_path: Path, damage: bytes | None) -> None:
    layers, path = kept(tmp_path)
    path.write_bytes(path.read_bytes()[:-512] if damage is None else damage)
    assert layers.find(KEY) is None
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("opt/hatchlock/lib/a.py", tarfile.REGTYPE),
        ("etc/passwd", tarfile.REGTYPE),
        ("opt/__pycache__/.wh.a.pyc", tarfile.REGTYPE),
        ("../opt/__pycache__/a.pyc", tarfile.REGTYPE),
        (NAME, tarfile.SYMTYPE),
        (NAME, tarfile.LNKTYPE),
        (NAME, tarfile.CHRTYPE),
    ],
)
def test_a_layer_with_anything_but_bytecode_is_deleted_though_its_name_fits(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    layers, path = kept(tmp_path)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "a"
        archive.addfile(info)
    path.unlink()
    path.with_name(f"{KEY}.{sha256_bytes(out.getvalue())}.tar").write_bytes(out.getvalue())
    assert layers.find(KEY) is None
    assert list(path.parent.iterdir()) == []


def test_of_two_layers_with_one_key_a_sound_one_is_found(tmp_path: Path) -> None:
    layers, path = kept(tmp_path)
    path.with_name(f"{KEY}.{'0' * 64}.tar").write_bytes(b"damaged")
    found = layers.find(KEY)
    assert found
    assert found.path == path


def test_what_is_used_looks_new_to_the_garbage_collector(tmp_path: Path) -> None:
    layers, path = kept(tmp_path)
    os.utime(path, (0, 0))
    assert layers.find(KEY)
    assert path.stat().st_mtime > 0


def test_what_a_killed_maker_left_is_cleared_by_the_next_one_of_any_of_its_layers(tmp_path: Path) -> None:
    layers = KeptLayers(tmp_path)
    for key in (KEY, OTHER):
        (tmp_path / f".{key}").mkdir()
        (tmp_path / f".{key}" / "said").write_bytes(b"half")
    with layers.scratch([OTHER, KEY]) as scratch:
        assert list(tmp_path.iterdir()) == [scratch]
        assert list(scratch.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionProblem, match="others could write to it"):
        KeptLayers(tmp_path)
