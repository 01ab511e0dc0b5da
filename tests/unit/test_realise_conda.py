"""conda packages to a directory: what is replaced, what is not run, and what is refused before anything is written."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.errors import HatchlockError
from hatchlock.images.layer import write_layer
from hatchlock.realise import conda_paths
from hatchlock.realise.conda import CondaInstallFailed, install_conda
from hatchlock.realise.conda_paths import CondaClobber, CondaMember, check_limits
from hatchlock.realise.tree import entries_below
from hatchlock.realise.unpack import BadArchive, Limits
from hatchlock.sources.conda.extra import CondaMissing
from support import pythons
from support.conda_channel import PREFIX, CondaFile, CondaPackage, interpreter_package

PLATFORM = "linux/amd64"
PYTHON = CondaPackage(
    name="python", version="3.11.9", subdir="linux-64", files={"bin/python3.11": CondaFile(mode=0o755)}
)


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> CondaPackage:
    return interpreter_package(pythons.make_python_archive(tmp_path_factory.mktemp("python") / "python.tar.gz"))


def stored(directory: Path, *packages: CondaPackage) -> list[tuple[str, Path]]:
    """The packages as the store has them: under names that say nothing."""
    directory.mkdir(exist_ok=True)
    files = []
    for number, package in enumerate(packages):
        path = directory / f"{number:064x}"
        path.write_bytes(package.data)
        files.append((package.file_name, path))
    return files


def install(place: Path, *packages: CondaPackage, platform: str = PLATFORM, at: str = "") -> Path:
    prefix = place / "prefix"
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        install_conda(stored(place / "blobs", *packages), prefix, platform=platform, scratch=Path(scratch), at=at)
    return prefix


def tree(prefix: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found[name] = (0, str(path.readlink()))
        else:
            found[name] = (mode, path.read_bytes() if path.is_file() else "directory")
    return found


def test_files_go_where_their_package_and_its_kind_say(tmp_path: Path) -> None:
    pure = CondaPackage(
        name="pure",
        noarch="python",
        entry_points=["pure-cmd = pure.main:run"],
        files={
            "site-packages/pure/main.py": CondaFile(data=b"def run(): pass\n"),
            "python-scripts/tool": CondaFile(data=b"#!/bin/sh\n", mode=0o755),
            "share/doc.txt": CondaFile(data=b"text", mode=0o600),
        },
    )
    old = CondaPackage(name="old", noarch="generic", old_format=True, files={"etc/old.conf": CondaFile(data=b"x")})
    linked = CondaPackage(
        name="libz",
        subdir="linux-64",
        files={"lib/libz.so.1": CondaFile(data=b"\x7fELF", mode=0o4775), "lib/libz.so": CondaFile(target="libz.so.1")},
    )
    found = tree(install(tmp_path, PYTHON, pure, old, linked))
    assert {name for name, (_, content) in found.items() if content != "directory"} == {
        "bin/pure-cmd",
        "bin/python3.11",
        "bin/tool",
        "etc/old.conf",
        "lib/libz.so",
        "lib/libz.so.1",
        "lib/python3.11/site-packages/pure/main.py",
        "share/doc.txt",
    }
    assert found["lib/libz.so"] == (0, "libz.so.1")
    assert {mode for mode, _ in found.values()} == {0, 0o644, 0o755}
    assert found["lib/libz.so.1"][0] == found["bin/pure-cmd"][0] == 0o755


def test_the_placeholder_of_the_directory_is_replaced_in_texts_and_programs(tmp_path: Path) -> None:
    binary = b"\x7fELF\0" + PREFIX.encode() + b"/lib\0tail"
    package = CondaPackage(
        name="placed",
        subdir="linux-64",
        files={
            "etc/placed.conf": CondaFile(data=f"root={PREFIX}/share\n".encode(), placeholder=PREFIX),
            "lib/placed.so": CondaFile(data=binary, placeholder=PREFIX, binary=True),
            "bin/script": CondaFile(data=f"#!{PREFIX}/bin/sh\n".encode(), placeholder=PREFIX, mode=0o755),
        },
    )
    prefix = install(tmp_path, package)
    assert (prefix / "etc/placed.conf").read_text() == f"root={prefix}/share\n"
    content = (prefix / "lib/placed.so").read_bytes()
    assert len(content) == len(binary)
    assert content.startswith(b"\x7fELF\0" + str(prefix).encode() + b"/lib\0")
    assert content.endswith(b"\0tail")
    assert (prefix / "bin/script").read_text().startswith(f"#!{prefix}/bin/sh\n")


def test_a_directory_with_too_long_a_name_for_a_program_is_told(tmp_path: Path) -> None:
    short = "/opt/short"
    file = CondaFile(data=b"\0" + short.encode() + b"\0", placeholder=short, binary=True)
    with pytest.raises(CondaInstallFailed) as caught:
        install(tmp_path, CondaPackage(name="tight", subdir="linux-64", files={"lib/tight.so": file}))
    assert str(tmp_path / "prefix") in str(caught.value)
    assert "\n" not in str(caught.value)


BINARY = b"\x7fELF\0" + PREFIX.encode() + b"/lib:" + PREFIX.encode() + b"/lib64\0tail"


def placed(subdir: str) -> list[CondaPackage]:
    """Packages that name their directory in every way that there is."""
    script = f"#!{PREFIX}/bin/python3.11 -sE\nprefix = {PREFIX!r}\n".encode()
    named = {
        "etc/placed.conf": CondaFile(data=f"root={PREFIX}/share\nlib={PREFIX}/lib\n".encode(), placeholder=PREFIX),
        "lib/placed.so": CondaFile(data=BINARY, placeholder=PREFIX, binary=True),
        "lib/placed.so.1": CondaFile(target="placed.so"),
        "bin/script": CondaFile(data=script, placeholder=PREFIX, mode=0o755),
    }
    pure = {"site-packages/pure/main.py": CondaFile(data=b"def run(): pass\n")}
    return [
        replace(PYTHON, subdir=subdir),
        CondaPackage(name="placed", subdir=subdir, files=named),
        CondaPackage(name="pure", noarch="python", entry_points=["pure-cmd = pure.main:run"], files=pure),
    ]


def diff_id(prefix: Path) -> str:
    return write_layer(entries_below(prefix, at="opt/hatchlock"), io.BytesIO())


@pytest.mark.parametrize("at", ["/opt/hatchlock", f"/opt/{'a' * 95}"], ids=["short", "long"])
@pytest.mark.parametrize(("platform", "subdir"), [("linux/amd64", "linux-64"), ("linux/arm64", "linux-aarch64")])
def test_a_directory_for_another_place_names_that_place_wherever_it_was_made(
    tmp_path: Path, platform: str, subdir: str, at: str
) -> None:
    made = []
    for name in ("s", "l" * 140):
        (tmp_path / name).mkdir()
        made.append(install(tmp_path / name, *placed(subdir), platform=platform, at=at))
    first, second = map(tree, made)
    assert first == second
    assert diff_id(made[0]) == diff_id(made[1])
    assert str(tmp_path) not in repr(first)
    assert PREFIX not in repr(first)
    assert first["etc/placed.conf"] == (0o644, f"root={at}/share\nlib={at}/lib\n".encode())
    binary = f"\x7fELF\0{at}/lib:{at}/lib64".encode().ljust(len(BINARY) - 5, b"\0") + b"\0tail"
    assert first["lib/placed.so"] == (0o644, binary)
    assert first["lib/placed.so.1"] == (0, "placed.so")
    assert first["bin/script"] == (0o755, f"#!{at}/bin/python3.11 -sE\nprefix = {at!r}\n".encode())
    assert (made[0] / "bin/pure-cmd").read_text().startswith(f"#!{at}/bin/python3.11\n")


def test_what_starts_a_script_depends_on_the_place_and_not_on_where_it_was_made(tmp_path: Path) -> None:
    """The kernel reads 127 bytes of the first line, so a script of a longer one is started in another way."""
    script = CondaFile(data=f"#!{PREFIX}/bin/python\n".encode(), placeholder=PREFIX, mode=0o755)
    package = CondaPackage(name="placed", subdir="linux-64", files={"bin/script": script})
    long = tmp_path / ("l" * 140)
    long.mkdir()
    far = f"/opt/{'f' * 130}"
    assert (install(long, package) / "bin/script").read_bytes().startswith(b"#!/bin/sh\n")
    shutil.rmtree(long / "prefix")
    near = (install(long, package, at="/opt/hatchlock") / "bin/script").read_bytes()
    assert near == b"#!/opt/hatchlock/bin/python\n"
    made = (install(tmp_path, package, at=far) / "bin/script").read_text()
    assert made == f"#!/bin/sh\n'''exec' \"{far}/bin/python\" \"$0\" \"$@\" #'''\n"


def test_a_place_with_too_long_a_name_for_a_program_is_told_by_its_name(tmp_path: Path) -> None:
    short = "/opt/short"
    file = CondaFile(data=b"\0" + short.encode() + b"\0", placeholder=short, binary=True)
    with pytest.raises(CondaInstallFailed) as caught:
        install(tmp_path, CondaPackage(name="tight", subdir="linux-64", files={"lib/t.so": file}), at="/opt/hatchlock")
    assert str(caught.value).startswith("conda packages cannot be installed in /opt/hatchlock: ")


def test_no_script_of_a_package_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = CondaFile(data=f"#!/bin/sh\ntouch {mark}\n".encode(), mode=0o755)
    names = ["bin/.eager-pre-link.sh", "bin/.eager-post-link.sh", "bin/.eager-pre-unlink.sh"]
    package = CondaPackage(name="eager", subdir="linux-64", files=dict.fromkeys(names, script))
    prefix = install(tmp_path, package)
    assert (prefix / "bin/.eager-post-link.sh").is_file()
    assert not mark.exists()
    subprocess.run([prefix / "bin/.eager-post-link.sh"], check=True)
    assert mark.exists()


def test_the_same_packages_make_the_same_directory_whatever_the_order_the_umask_and_the_user_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = [
        PYTHON,
        CondaPackage(
            name="a", noarch="python", files={"site-packages/a.py": CondaFile(data=b"a")}, entry_points=["a = a:a"]
        ),
        CondaPackage(name="b", subdir="linux-64", files={"etc/b": CondaFile(data=PREFIX.encode(), placeholder=PREFIX)}),
    ]
    first = tree(install(tmp_path, *packages))
    assert not any(
        str(tmp_path).encode() in content
        for name, (_, content) in first.items()
        if isinstance(content, bytes) and not name.startswith(("etc/", "bin/a"))
    )
    shutil.rmtree(tmp_path / "prefix")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "home" / "cache"))
    before = os.umask(0o077)
    try:
        assert tree(install(tmp_path, *reversed(packages))) == first
    finally:
        os.umask(before)
    assert not (tmp_path / "home").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs", "prefix"]


def test_the_stores_bytes_are_not_part_of_what_is_installed(tmp_path: Path) -> None:
    package = CondaPackage(name="data", noarch="generic", files={"share/data": CondaFile(data=b"data")})
    prefix = install(tmp_path, package)
    assert (prefix / "share/data").stat().st_nlink == 1
    assert (tmp_path / "blobs" / f"{0:064x}").read_bytes() == package.data


EVIL = {
    "leads out by its list": ({"share/x": CondaFile(data=b"x")}, {"share/x": "../../x"}, "leads out"),
    "leads out by its archive": ({"share/../../x": CondaFile(data=b"x")}, {}, r"share/\.\./\.\./x"),
    "absolute": ({"share/x": CondaFile(data=b"x")}, {"share/x": "/etc/x"}, "leads out"),
    "link out": ({"share/x": CondaFile(target="../../x")}, {}, "leads out of its directory"),
    "absolute link": ({"share/x": CondaFile(target="/etc/passwd")}, {}, "leads out of its directory"),
    "through a link": (
        {"share/a": CondaFile(target="b"), "share/a/x": CondaFile(data=b"x")},
        {},
        "written through the link share/a",
    ),
    "below a file": (
        {"share/a": CondaFile(data=b"a"), "share/b": CondaFile(data=b"b")},
        {"share/b": "share/a/b"},
        "is a file",
    ),
}


@pytest.mark.parametrize(("files", "listed", "why"), EVIL.values(), ids=list(EVIL))
@pytest.mark.parametrize("old_format", [False, True])
def test_what_leads_out_of_the_directory_is_refused_by_name_before_anything_is_written(
    tmp_path: Path, files: dict[str, CondaFile], listed: dict[str, str], why: str, *, old_format: bool
) -> None:
    evil = CondaPackage(name="evil", noarch="generic", files=files, listed=listed, old_format=old_format)
    with pytest.raises(BadArchive, match=why) as caught:
        install(tmp_path, evil)
    assert caught.value.archive == evil.file_name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blobs"]


def test_a_link_of_one_package_does_not_lead_anothers_files(tmp_path: Path) -> None:
    link = CondaPackage(name="link", noarch="generic", files={"share/a": CondaFile(target=".")})
    file = CondaPackage(name="file", noarch="generic", files={"share/a/x": CondaFile(data=b"x")})
    with pytest.raises(BadArchive, match="share/a/x would be written through the link share/a"):
        install(tmp_path, link, file)


def test_links_that_lead_out_only_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the machine")
    files = {"a/b/root": CondaFile(target="../.."), "a/secret": CondaFile(target="b/root/../secret")}
    with pytest.raises(CondaInstallFailed, match="a/secret is a link that leads out"):
        install(tmp_path, CondaPackage(name="chain", noarch="generic", files=files))


@pytest.mark.parametrize("command", ["../evil", "", "a/b"])
def test_a_command_that_is_no_name_is_refused(tmp_path: Path, command: str) -> None:
    evil = CondaPackage(name="evil", noarch="python", entry_points=[f"{command} = evil:run"])
    with pytest.raises(BadArchive, match="cannot be the name of a command"):
        install(tmp_path, PYTHON, evil)


def test_two_packages_that_differ_in_a_file_are_refused_by_name(tmp_path: Path) -> None:
    one = CondaPackage(name="one", noarch="python", files={"site-packages/shared.py": CondaFile(data=b"1")})
    two = CondaPackage(
        name="two", subdir="linux-64", files={"lib/python3.11/site-packages/shared.py": CondaFile(data=b"2")}
    )
    with pytest.raises(CondaClobber) as caught:
        install(tmp_path, PYTHON, one, two)
    assert str(caught.value) == (
        "one-1.0-0.conda and two-1.0-0.conda both bring lib/python3.11/site-packages/shared.py, and differ in it"
    )
    assert not (tmp_path / "prefix").exists()
    commands = [CondaPackage(name=name, noarch="python", entry_points=[f"run = {name}:run"]) for name in ("one", "two")]
    with pytest.raises(CondaClobber, match="both bring bin/run"):
        install(tmp_path, PYTHON, *commands)


def test_a_file_that_two_packages_have_alike_is_there_once(tmp_path: Path) -> None:
    file = {"share/licence": CondaFile(data=b"MIT")}
    packages = [CondaPackage(name=name, noarch="generic", files=file) for name in ("one", "two")]
    found = tree(install(tmp_path, *packages))
    assert [name for name, (_, content) in found.items() if content != "directory"] == ["share/licence"]


def test_a_package_that_is_another_one_than_its_name_says_is_refused(tmp_path: Path) -> None:
    other = CondaPackage(name="other", noarch="generic", facts={"version": "9"})
    with pytest.raises(BadArchive, match="it says that it is other-9-0"):
        install(tmp_path, other)


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("keep", [0, 40, 300])
def test_a_damaged_package_is_refused(tmp_path: Path, keep: int, *, old_format: bool) -> None:
    package = CondaPackage(
        name="half", noarch="generic", files={"x": CondaFile(data=os.urandom(900))}, old_format=old_format
    )
    files = stored(tmp_path / "blobs", package)
    files[0][1].write_bytes(package.data[:keep])
    (tmp_path / "scratch").mkdir()
    with pytest.raises(BadArchive, match=r"half-1\.0-0"):
        install_conda(files, tmp_path / "prefix", platform=PLATFORM, scratch=tmp_path / "scratch")
    assert not (tmp_path / "prefix").exists()


def test_packages_for_a_mac_are_laid_out_on_any_machine(tmp_path: Path) -> None:
    python = CondaPackage(
        name="python", version="3.12.1", subdir="osx-arm64", files={"bin/python3.12": CondaFile(mode=0o755)}
    )
    pure = CondaPackage(name="pure", noarch="python", files={"site-packages/pure.py": CondaFile(data=b"x")})
    prefix = install(tmp_path, python, pure, platform="darwin/arm64")
    assert (prefix / "lib/python3.12/site-packages/pure.py").read_bytes() == b"x"


_INSTALL = """
import json, sys
from pathlib import Path
from hatchlock.realise.conda import install_conda
files, prefix, scratch = json.loads(sys.argv[1])
install_conda([(name, Path(path)) for name, path in files], Path(prefix), platform="linux/amd64", scratch=Path(scratch))
"""


@pytest.fixture
def no_network() -> list[str]:
    """Words in front of a command that take the network from it."""
    without = ["unshare", "-n"]
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("taking the network away needs root and unshare")
    return without


def test_without_a_network_an_interpreter_is_installed_and_imports_what_came_with_it(
    tmp_path: Path, interpreter: CondaPackage, no_network: list[str]
) -> None:
    pure = CondaPackage(
        name="greeter",
        noarch="python",
        depends=["python"],
        entry_points=["greet = greeter:main"],
        files={"site-packages/greeter.py": CondaFile(data=b"def main():\n    print('hello from', __name__)\n")},
    )
    files = [(name, str(path)) for name, path in stored(tmp_path / "blobs", interpreter, pure)]
    (tmp_path / "scratch").mkdir()
    prefix = tmp_path / "prefix"
    arguments = json.dumps([files, str(prefix), str(tmp_path / "scratch")])
    subprocess.run([*no_network, sys.executable, "-c", _INSTALL, arguments], check=True, timeout=120)
    shutil.rmtree(tmp_path / "scratch")

    def run(*command: str) -> str:
        bare = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
        return subprocess.run(
            [*no_network, *command], check=True, capture_output=True, text=True, env=bare, timeout=60
        ).stdout

    code = "import json, ssl, sys, greeter; print(json.dumps([sys.prefix, greeter.__file__]))"
    assert json.loads(run(f"{prefix}/bin/python", "-I", "-c", code)) == [
        str(prefix),
        f"{prefix}/lib/python{pythons.MINOR}/site-packages/greeter.py",
    ]
    assert run(f"{prefix}/bin/greet") == "hello from greeter\n"


def test_what_was_made_for_another_place_runs_there(tmp_path: Path, interpreter: CondaPackage) -> None:
    code = b"import sys\ndef main():\n    print(sys.prefix, __file__)\n"
    greeter = CondaPackage(
        name="greeter",
        noarch="python",
        entry_points=["greet = greeter:main"],
        files={"site-packages/greeter.py": CondaFile(data=code)},
    )
    there = tmp_path / "there"
    made = install(tmp_path, interpreter, greeter, at=str(there))
    made.rename(there)
    bare = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")}
    said = subprocess.run([there / "bin/greet"], check=True, capture_output=True, text=True, env=bare, timeout=60)
    assert said.stdout == f"{there} {there}/lib/python{pythons.MINOR}/site-packages/greeter.py\n"


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(CondaMissing, match="py-rattler"):
        install(tmp_path, PYTHON)


def test_a_files_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    nameless = [("../x.conda", tmp_path / "x")]
    (tmp_path / "scratch").mkdir()
    with pytest.raises(HatchlockError, match="no file's name"):
        install_conda(nameless, tmp_path / "prefix", platform=PLATFORM, scratch=tmp_path / "scratch")


def test_a_package_that_becomes_too_large_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """Fourteen kilobytes are a gibibyte of zeros: a channel could fill the disk of whoever applies."""
    member = CondaMember(name="big", is_file=True, size=1)
    check_limits("big-1.0-0.conda", member, 200_000, 4 << 30)
    for number, size in ((200_001, 0), (1, (4 << 30) + 1)):
        with pytest.raises(BadArchive, match="it becomes more than 200000 files or 4294967296 bytes"):
            check_limits("big-1.0-0.conda", member, number, size)
    listed = replace(member, name="info/paths.json", size=1 << 30)
    with pytest.raises(BadArchive, match=r"its info/paths.json has 1073741824 bytes"):
        check_limits("big-1.0-0.conda", listed, 1, 1 << 30)


def test_sizes_are_those_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conda_paths, "_LIMITS", Limits(entries=100, size=1 << 20))
    package = CondaPackage(name="big", files={f"share/{number}": CondaFile(data=bytes(1 << 19)) for number in range(3)})
    with pytest.raises(BadArchive, match="it becomes more than 100 files or 1048576 bytes"):
        install(tmp_path, package)
    assert not (tmp_path / "prefix").exists()
