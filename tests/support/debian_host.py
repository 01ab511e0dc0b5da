"""A Debian system that is not this machine's: the base image's files, its own apt and dpkg, reached by chroot.

Programs on `path` run its apt-get, apt-cache and dpkg-query: everything is real but the host.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.debian_archive import DebianArchive
from support.unavailable import unavailable

__all__ = ["DebianHost", "debian_files", "debian_host"]

_SCRIPT = Path(__file__).parents[2] / "scripts" / "base-image"
_PROGRAMS = ("apt-get", "apt-cache", "dpkg-query")
_MADE = ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log/apt", "tmp", "usr/share/doc")
_NOT_NEEDED = (
    "usr/lib/python3*",
    "usr/share/zoneinfo",
    "usr/share/bash-completion",
    "usr/share/ca-certificates",
    "etc/ssl",
)


@dataclass(frozen=True, kw_only=True)
class DebianHost:
    """A root directory with a whole Debian in it, and a directory with programs that run in it."""

    root: Path
    bin: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return our environment, with its programs in front."""
        return {**os.environ, "PATH": f"{self.bin}:{os.environ.get('PATH', '')}"}

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a program in it, and return what it printed."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        done = subprocess.run(["chroot", self.root, *argv], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout

    def uses(self, archive: DebianArchive) -> None:
        """Let its apt know an archive, and no other."""
        apt = self.root / "etc" / "apt"
        (apt / "sources.list").unlink(missing_ok=True)
        keyring = self.root / "usr" / "share" / "keyrings" / "archive.gpg"
        keyring.write_bytes(archive.keyring)
        (apt / "sources.list.d" / "archive.sources").write_bytes(archive.sources)
        self.run("apt-get", "update")

    def version(self, name: str) -> str:
        """Return the version of an installed package, "" if it is not there."""
        listed = self.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", name, check=False)
        return listed[3:] if listed.startswith("ii") else ""

    def put_before(self, program: str, script: str) -> None:
        """Let a script run in place of a program; `$REAL` is what runs it."""
        wrapper = self.bin / program
        real = self.bin / f"{program}.real"
        wrapper.rename(real)
        _executable(wrapper, f"#!/bin/sh\nREAL={real}\n{script}\n")


@contextmanager
def debian_files() -> Iterator[Path]:
    """Unpack the base image, for as many systems as are made of it, and take it away again. Needs root."""
    if os.geteuid() != 0:
        unavailable("a Debian system in a directory needs root")
    done = subprocess.run([sys.executable, str(_SCRIPT)], capture_output=True, text=True, check=False)
    if done.returncode:
        unavailable(f"no base image: {(done.stderr.splitlines() or ['scripts/base-image failed'])[-1]}")
    with tempfile.TemporaryDirectory(prefix="debian-files-") as directory:
        root = Path(directory)
        layer = Path(done.stdout.strip(), "layer.tar.gz")
        left = [f"--exclude=./{name}" for name in _NOT_NEEDED]
        subprocess.run(["tar", "-xzf", layer, "-C", root, "--numeric-owner", *left], check=True)
        for name in _MADE:
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "tmp").chmod(0o1777)
        os.mknod(root / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (root / "dev" / "null").chmod(0o666)
        yield root


@contextmanager
def debian_host(files: Path) -> Iterator[DebianHost]:
    """Make a system of unpacked files, and take it away again."""
    with tempfile.TemporaryDirectory(prefix="debian-host-") as directory:
        root, programs = Path(directory, "root"), Path(directory, "bin")
        # dpkg replaces files and changes none in place, but its own state and what is configured
        subprocess.run(["cp", "-al", files, root], check=True)
        for name in ("var", "etc"):
            shutil.rmtree(root / name)
            subprocess.run(["cp", "-a", files / name, root / name], check=True)
        programs.mkdir()
        for program in _PROGRAMS:
            _executable(
                programs / program, f'#!/bin/sh\nexec {shutil.which("chroot")} {root} /usr/bin/{program} "$@"\n'
            )
        yield DebianHost(root=root, bin=programs)


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
