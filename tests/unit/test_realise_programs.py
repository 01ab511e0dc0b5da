"""Archives and programs from an address of their own."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from hatchlock.realise.programs import install_program
from hatchlock.realise.unpack import BadArchive
from support.archives import Item, make_tar, make_zip, tree_of

SCRIPT = b"#!/bin/sh\necho it runs\n"


@pytest.mark.parametrize(
    ("file_name", "compression"),
    [
        ("tool-1.0.tar.gz", "gz"),
        ("tool.tgz", "gz"),
        ("tool.tar.xz", "xz"),
        ("tool.tar.bz2", "bz2"),
        ("TOOL.TAR.GZ", "gz"),
    ],
)
def test_a_tar_is_unpacked_without_its_only_directory(tmp_path: Path, file_name: str, compression: str) -> None:
    items = [
        Item("tool-1.0/lib/tool", SCRIPT, mode=0o755),
        Item("tool-1.0/bin/tool", kind="symlink", target="../lib/tool"),
        Item("tool-1.0/README", b"#! about"),
    ]
    blob = make_tar(tmp_path / "0123abcd", items, compression=compression)
    found = install_program(tmp_path / "env", name="tool", file=blob, file_name=file_name, system="linux")
    assert found == ("programs/tool/bin/tool", "programs/tool/lib/tool")
    assert set(tree_of(tmp_path / "env/programs/tool")) == {"README", "bin", "bin/tool", "lib", "lib/tool"}
    assert subprocess.run([tmp_path / "env" / found[0]], capture_output=True, check=True).stdout == b"it runs\n"


def test_an_archive_with_several_things_at_its_top_is_kept_as_it_is(tmp_path: Path) -> None:
    blob = make_zip(tmp_path / "blob", [Item("bin/tool", SCRIPT, mode=0o755), Item("LICENSE", b"x")])
    assert install_program(tmp_path / "env", name="tool", file=blob, file_name="tool.zip", system="linux") == (
        "programs/tool/bin/tool",
    )


def test_an_archive_without_modes_has_programs_all_the_same(tmp_path: Path) -> None:
    blob = make_zip(tmp_path / "blob", [Item("tool", SCRIPT), Item("elf", b"\x7fELF\x02"), Item("README", b"text")])
    found = install_program(tmp_path / "env", name="tool", file=blob, file_name="tool.zip", system="linux")
    assert found == ("programs/tool/elf", "programs/tool/tool")
    assert stat.S_IMODE((tmp_path / "env/programs/tool/README").stat().st_mode) == 0o644


def test_anything_else_is_one_program(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(SCRIPT)
    (tmp_path / "blob").chmod(0o600)
    found = install_program(
        tmp_path / "env", name="tool", file=tmp_path / "blob", file_name="tool-linux-amd64", system="linux"
    )
    assert found == ("programs/tool/tool",)
    program = tmp_path / "env" / found[0]
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"it runs\n"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert stat.S_IMODE(program.parent.stat().st_mode) == 0o755
    assert (tmp_path / "blob").stat().st_nlink == 1, "the store's own file is not shared"


@pytest.mark.parametrize(
    ("file_name", "problem"), [("tool.tar.gz", "damaged"), ("tool.zip", "damaged"), ("tool.tar.zst", "damaged")]
)
def test_what_only_has_the_name_of_an_archive_is_refused(tmp_path: Path, file_name: str, problem: str) -> None:
    (tmp_path / "blob").write_bytes(b"\x28\xb5\x2f\xfd" if "zst" in file_name else b"<html>not found</html>")
    with pytest.raises(BadArchive, match=f"{file_name} cannot be unpacked: .*{problem}"):
        install_program(tmp_path / "env", name="tool", file=tmp_path / "blob", file_name=file_name, system="linux")


@pytest.mark.parametrize("name", ["..", "a/b", "", "/tmp"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "blob").write_bytes(SCRIPT)
    with pytest.raises(BadArchive, match="name of a directory"):
        install_program(tmp_path / "env", name=name, file=tmp_path / "blob", file_name="tool", system="linux")
    assert not (tmp_path / "env").exists()
