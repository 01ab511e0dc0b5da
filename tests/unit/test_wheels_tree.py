"""Wheels become a virtual environment, the same one everywhere."""

from __future__ import annotations

import base64
import csv
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.realise import wheels as wheels_module
from hatchlock.realise.tree import Entry, ZipMember, chunks, complete, through_symlinks
from hatchlock.realise.wheels import BadWheel, wheel_tree
from support.wheels import make_wheel

PACKAGES = "opt/hatchlock/lib/python3.11/site-packages"


def tree(*wheels: Path, symlinks: dict[str, str] | None = None) -> dict[str, Entry]:
    entries = wheel_tree(
        [(wheel.name, wheel) for wheel in wheels],
        python="3.11",
        python_path="/usr/bin/python3.11",
        symlinks=symlinks or {},
    )
    return {entry.path: entry for entry in entries}


def content(entry: Entry) -> bytes:
    return b"".join(chunks(entry))


def lay_out(entries: dict[str, Entry], root: Path, *, python: str) -> Path:
    """Write entries to a disk, with the fixed path and the interpreter of this machine put in."""
    for path, entry in entries.items():
        target = root / path
        if entry.kind == "directory":
            target.mkdir()
        elif entry.kind == "symlink":
            target.symlink_to(entry.target.replace("/usr/bin/python3.11", python))
        else:
            data = content(entry).replace(b"/opt/hatchlock", str(root / "opt/hatchlock").encode())
            target.write_bytes(data.replace(b"home = /usr/bin", f"home = {Path(python).parent}".encode()))
            target.chmod(entry.mode)
    return root / "opt/hatchlock"


def test_a_wheel_without_scripts_becomes_files_metadata_and_a_record(tmp_path: Path) -> None:
    entries = tree(make_wheel(tmp_path))
    assert content(entries[f"{PACKAGES}/demo/__init__.py"]) == b"VALUE = 1\n"
    assert content(entries[f"{PACKAGES}/demo-1.0.dist-info/INSTALLER"]) == b"hatchlock\n"
    assert entries["opt/hatchlock/bin/python"].target == "/usr/bin/python3.11"
    assert entries["opt"].kind == "directory"


def test_the_record_names_every_file_with_its_hash_and_size_in_order(tmp_path: Path) -> None:
    entries = tree(make_wheel(tmp_path, entry_points="[console_scripts]\ndemo = demo:main\n"))
    rows = list(csv.reader(content(entries[f"{PACKAGES}/demo-1.0.dist-info/RECORD"]).decode().splitlines()))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert "../../../bin/demo" in [row[0] for row in rows]
    by_path = {row[0]: row for row in rows}
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"VALUE = 1\n").digest()).rstrip(b"=").decode()
    assert by_path["demo/__init__.py"] == ["demo/__init__.py", f"sha256={digest}", "10"]
    assert by_path["demo-1.0.dist-info/RECORD"][1:] == ["", ""]


def test_scripts_of_both_forms_run_and_pth_files_work(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        files={
            "demo.py": b"import extra_thing\ndef main():\n    print(extra_thing.NAME)\n",
            "extra/extra_thing.py": b"NAME = 'from the pth'\n",
            "demo.pth": b"extra\n",
            "demo-1.0.data/scripts/old-style": b"#!python\nimport demo\ndemo.main()\n",
        },
        entry_points="[console_scripts]\nnew-style = demo:main\n",
    )
    root = tmp_path / "root"
    root.mkdir()
    environment = lay_out(tree(wheel), root, python=getattr(sys, "_base_executable", sys.executable))
    for script in ("new-style", "old-style"):
        done = subprocess.run([environment / "bin" / script], capture_output=True, text=True, check=True, env={})
        assert done.stdout == "from the pth\n"


def test_data_and_headers_go_where_their_schemes_say(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, files={"demo-1.0.data/data/share/demo/x": b"1", "demo-1.0.data/headers/demo.h": b"2"})
    entries = tree(wheel)
    assert content(entries["opt/hatchlock/share/demo/x"]) == b"1"
    assert content(entries["opt/hatchlock/include/site/python3.11/demo/demo.h"]) == b"2"


def test_modes_are_plain_and_scripts_are_executable(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        files={"demo/tool": b"x", "demo/data": b"y", "demo-1.0.data/scripts/run": b"#!/bin/sh\n"},
        executable=("demo/tool",),
    )
    entries = tree(wheel)
    assert entries[f"{PACKAGES}/demo/tool"].mode == 0o755
    assert entries[f"{PACKAGES}/demo/data"].mode == 0o644
    assert entries["opt/hatchlock/bin/run"].mode == 0o755


def test_the_order_of_the_wheels_makes_no_difference(tmp_path: Path) -> None:
    first = make_wheel(tmp_path, name="aaa", files={"shared.py": b"a"})
    second = make_wheel(tmp_path, name="bbb", files={"shared.py": b"b"})
    assert tree(first, second) == tree(second, first)
    assert content(tree(second, first)[f"{PACKAGES}/shared.py"]) == b"b"


def test_bytecode_in_a_wheel_is_left_out(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, files={"demo.py": b"", "__pycache__/demo.cpython-311.pyc": b"x"})
    assert not [path for path in tree(wheel) if "__pycache__" in path]


def test_a_large_file_stays_in_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels_module, "_IN_MEMORY", 1000)
    wheel = make_wheel(tmp_path, files={"demo/large": b"0123456789" * 500})
    entry = tree(wheel)[f"{PACKAGES}/demo/large"]
    assert isinstance(entry.content, ZipMember)
    assert entry.content.size == 5000
    assert content(entry) == b"0123456789" * 500


@pytest.mark.parametrize(
    "path", ["../outside.py", "demo-1.0.data/scripts/../../../../../etc/profile", "/etc/cron.d/job", "demo/../../x"]
)
def test_a_wheel_that_leads_out_of_its_directory_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadWheel, match=r"demo-1\.0-py3-none-any\.whl"):
        tree(make_wheel(tmp_path, files={path: b"x"}))


def test_an_entry_point_that_leads_out_of_its_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadWheel, match="leads out"):
        tree(make_wheel(tmp_path, entry_points="[console_scripts]\n../../../etc/x = demo:main\n"))


def test_something_that_is_no_zip_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(BadWheel, match=r"demo-1\.0-py3-none-any\.whl is not a wheel"):
        tree(path)


def test_a_base_whose_opt_is_a_symlink_gets_the_files_behind_it(tmp_path: Path) -> None:
    entries = tree(make_wheel(tmp_path), symlinks={"opt": "var/opt"})
    assert "opt" not in entries
    script = "var/opt/hatchlock/lib/python3.11/site-packages/demo/__init__.py"
    assert content(entries[script]) == b"VALUE = 1\n"


def test_paths_go_through_top_level_symlinks() -> None:
    symlinks = {"bin": "usr/bin", "lib": "/usr/lib", "loop": "loop/x"}
    assert through_symlinks("bin/sh", symlinks) == "usr/bin/sh"
    assert through_symlinks("lib/x/y", symlinks) == "usr/lib/x/y"
    assert through_symlinks("bind/x", symlinks) == "bind/x"
    with pytest.raises(ValueError, match="circle"):
        through_symlinks("loop/a", symlinks)


def test_missing_parents_are_added_and_a_directory_comes_before_its_files() -> None:
    entries = complete([Entry(path="a-b"), Entry(path="a/c/d"), Entry(path="a", kind="directory", mode=0o700)])
    assert [entry.path for entry in entries] == ["a", "a/c", "a/c/d", "a-b"]
    assert [entry.mode for entry in entries[:2]] == [0o700, 0o755]


@pytest.mark.parametrize("name", ["python", "python3.11", "activate", "activate_this.py"])
def test_a_wheel_that_would_take_the_interpreters_place_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadWheel, match="interpreter's place"):
        tree(make_wheel(tmp_path, entry_points=f"[console_scripts]\n{name} = demo:main\n"))
    for scheme in ("scripts", "data/bin"):
        with pytest.raises(BadWheel, match="interpreter's place"):
            tree(make_wheel(tmp_path, files={f"demo-1.0.data/{scheme}/{name}": b"#!/bin/sh\n"}))


def test_names_that_only_begin_so_are_free(tmp_path: Path) -> None:
    script = "activate-global-python-argcomplete"
    assert f"opt/hatchlock/bin/{script}" in tree(
        make_wheel(tmp_path, entry_points=f"[console_scripts]\n{script} = demo:main\n")
    )
