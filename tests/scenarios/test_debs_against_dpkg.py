"""A layer of Debian packages laid over a real Debian, against the same packages installed there by dpkg."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.deb_layers import base_on_disk, lay_over, layer_of
from support.debian_archive import Deb, Link
from support.debian_host import DebianHost, debian_files, debian_host

# What dpkg and the programs that its scripts start keep for themselves, and a picture of all libraries that serves
# ldconfig alone. The caches are compared by what is in them.
_OF_THEIR_OWN = (
    *("var/lib/dpkg/status-old", "var/log/dpkg.log", "var/cache/ldconfig", "etc/ld.so.cache"),
    *(
        "var/lib/dpkg/lock",
        "var/lib/dpkg/triggers/Lock",
        "var/lib/dpkg/triggers/Unincorp",
        "var/lib/dpkg/lock-frontend",
    ),
    *("var/lib/dpkg/diversions-old", "var/lib/dpkg/statoverride-old", "tmp/debs"),
)
_OLD = Deb(
    name="tool",
    files={"usr/bin/tool": "1", "usr/lib/tool/old": "1", "usr/share/doc/tool/x": "1", "etc/tool.conf": "a\n"},
    control={"conffiles": "/etc/tool.conf\n"},
    modes={"usr/bin/tool": 0o755},
)
_NEW = (
    Deb(
        name="tool",
        version="2.0-1",
        fields={
            "Depends": "libtool-x (>= 1)",
            "Section": "utils",
            "Homepage": "https://example.com",
            "Installed-Size": "7",
        },
        files={
            "bin/tool-two": "2",
            "usr/bin/tool": "2",
            "usr/share/tool/doc": Link("../doc/tool"),
            "etc/tool.conf": "b\n",
        },
        control={"conffiles": "/etc/tool.conf\n", "triggers": "interest-noawait /usr/share/tool-things\n"},
        modes={"usr/bin/tool": 0o755, "bin/tool-two": 0o755},
    ),
    Deb(
        name="libtool-x",
        fields={"Multi-Arch": "same", "Replaces": "tool (<< 2)", "Breaks": "tool (<< 2)"},
        files={
            "usr/lib/tool/old": "mine now",
            "lib/x86_64-linux-gnu/libtool-x.txt": "x",
            "usr/share/tool-things/a": "1",
        },
        control={"postinst": "#!/bin/sh\nexit 0\n", "triggers": "activate-noawait ldconfig\n"},
    ),
    Deb(
        name="heir",
        architecture="all",
        fields={"Provides": "thing"},
        files={"opt/heir/a b": "x", "opt/heir/spool": None},
        modes={"opt/heir/spool": 0o1777},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Two systems of the same files: in one dpkg installed the packages, over the other their layer was laid."""

    ours: DebianHost
    theirs: DebianHost
    pictures: tuple[dict[str, tuple[object, ...]], dict[str, tuple[object, ...]]]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with debian_files() as files, debian_host(files) as ours, debian_host(files) as theirs:
        for each in (ours, theirs):
            install(each, _OLD)
        install(theirs, *_NEW)
        lay(ours, tmp_path_factory.mktemp("layer"), *_NEW)
        yield Trial(ours=ours, theirs=theirs, pictures=(picture(ours.root), picture(theirs.root)))


def install(host: DebianHost, *debs: Deb) -> None:
    directory = host.root / "tmp" / "debs"
    directory.mkdir()
    for deb in debs:
        (directory / f"{deb.name}.deb").write_bytes(deb.data)
    host.run("dpkg", "--install", "--force-confnew", *(f"/tmp/debs/{deb.name}.deb" for deb in debs))
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, others in os.walk(root):
        for name in (*names, *others):
            path = Path(directory, name)
            inside = str(path.relative_to(root))
            state = path.lstat()
            if inside.startswith(_OF_THEIR_OWN):
                continue
            mode = 0 if path.is_symlink() else stat.S_IMODE(state.st_mode)
            content: object = str(path.readlink()) if path.is_symlink() else None
            if stat.S_ISREG(state.st_mode):
                content = path.read_bytes()
            found[inside] = (stat.S_IFMT(state.st_mode), mode, state.st_uid, state.st_gid, content)
    return found


def lay(host: DebianHost, directory: Path, *debs: Deb) -> None:
    lay_over(host.root, list(layer_of(directory, base_on_disk(host.root), *debs).values()))


def test_the_layer_has_what_dpkg_makes_to_the_last_byte(trial: Trial) -> None:
    ours, theirs = trial.pictures
    assert {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)} == set()
    caches = [host.run("ldconfig", "-p").splitlines()[:-1] for host in (trial.ours, trial.theirs)]
    assert caches[0][1:] == caches[1][1:]


def test_dpkg_is_content_with_the_layer(trial: Trial) -> None:
    host = trial.ours
    assert host.version("tool") == "2.0-1"
    assert host.run("dpkg", "-L", "libtool-x").splitlines() == [
        *("/.", "/lib", "/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu/libtool-x.txt", "/usr", "/usr/lib"),
        *("/usr/lib/tool", "/usr/lib/tool/old", "/usr/share", "/usr/share/tool-things", "/usr/share/tool-things/a"),
    ]
    assert host.run("dpkg", "--search", "/opt/heir/a b") == "heir: /opt/heir/a b\n"
    assert host.run("dpkg", "--verify", "tool", "libtool-x", "heir") == ""
    assert host.run("dpkg", "--audit") == ""
    (host.root / "opt/heir/a b").write_text("another")
    assert "/opt/heir/a b" in host.run("dpkg", "--verify", "heir", check=False)


def test_what_the_layer_brought_can_be_taken_away_by_dpkg(trial: Trial) -> None:
    trial.ours.run("dpkg", "--purge", "heir")
    assert not (trial.ours.root / "opt/heir").exists()
    assert trial.ours.version("heir") == ""


def test_a_program_finds_a_library_through_the_cache_alone(trial: Trial, tmp_path: Path) -> None:
    """Where nobody looks without it, and without the link by its soname, which is made, too."""
    host = trial.ours
    (own,) = [path for path in host.root.glob("usr/lib/*-linux-gnu/liblzma.so.5.*") if not path.is_symlink()]
    data = own.read_bytes()
    for path in own.parent.glob("liblzma.so.5*"):
        path.unlink()
    assert host.run("dpkg-deb", "--version", check=False) == ""
    elsewhere: dict[str, bytes | str | Link | None] = {
        "opt/elsewhere/liblzma.so.5.9": data,
        "etc/ld.so.conf.d/elsewhere.conf": "/opt/elsewhere\n",
    }
    lay(host, tmp_path, Deb(name="elsewhere", files=elsewhere))
    assert "package archive backend" in host.run("dpkg-deb", "--version")
    assert str((host.root / "opt/elsewhere/liblzma.so.5").readlink()) == "liblzma.so.5.9"
