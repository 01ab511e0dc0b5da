"""The closure over a Debian base, against what apt itself chooses in that base: package for package, version for version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hatchlock.net.http import Http
from hatchlock.sources.debian.archive import DebianSource
from hatchlock.sources.debian.archives import archives_for
from hatchlock.sources.debian.base import DebianBase, debian_base, host_base
from hatchlock.sources.debian.choice import DebChoice, WantedDeb
from hatchlock.sources.debian.closure import choose_debs
from hatchlock.sources.debian.package import DebUniverse
from support.unavailable import unavailable

pytestmark = pytest.mark.network

SCRIPT = Path(__file__).parents[2] / "scripts" / "base-image"
SMALL = ("git", "curl", "poppler-utils", "ffmpeg", "libpq5", "tesseract-ocr", "imagemagick", "default-mta")
MORE = (
    *("graphviz", "pandoc", "sqlite3", "ripgrep", "jq", "unzip", "wget", "gnupg", "openssh-client", "nodejs", "npm"),
    *("default-jre-headless", "chromium", "libreoffice", "libreoffice-writer-nogui", "texlive-base", "ghostscript"),
    *("build-essential", "python3-dev", "postgresql-client", "redis-tools", "nginx", "exim4", "fonts-noto-core"),
    *("mailutils", "emacs-nox", "docker.io", "mariadb-server", "gnome-terminal", "r-base", "ruby-full", "php"),
)
_CHOSEN = re.compile(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", re.MULTILINE)
_REMOVED = re.compile(r"^Remv (\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Both:
    """A base that apt can be run in, and what we know of the same base and the same suites."""

    root: Path
    base: DebianBase
    universe: DebUniverse

    def by_apt(self, names: Sequence[str]) -> dict[str, str]:
        command = ["apt-get", "install", "--no-install-recommends", "--simulate", "-qq", *names]
        said = run_inside(self.root, *command)
        assert not _REMOVED.findall(said)
        return dict(_CHOSEN.findall(said))

    def by_us(self, names: Sequence[str]) -> dict[str, str]:
        return {item.name: str(item.version) for item in self.choice(names).packages}

    def choice(self, names: Sequence[str]) -> DebChoice:
        wanted = [WantedDeb(name=name) for name in names]
        architecture = self.base.architecture
        return choose_debs(wanted, self.universe, self.base.status, architecture=architecture, preferred={})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    if os.geteuid() != 0 or not shutil.which("apt-config"):
        unavailable("apt in a base of its own needs root, on a Debian system")
    made = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    if made.returncode:
        unavailable(f"no base image: {(made.stderr.splitlines() or ['scripts/base-image failed'])[-1]}")
    layer = Path(made.stdout.strip()) / "layer.tar.gz"
    scratch = tmp_path_factory.mktemp("apt")
    host = host_base()
    sources = [item for item in host.sources if item.suite.startswith(host.os_release["VERSION_CODENAME"])]
    lines = [f"deb {item.url} {item.suite} {' '.join(item.components)}\n" for item in sources]
    root = unpacked(layer, scratch / "root", "".join(lines))
    run_inside(root, "apt-get", "-o", "APT::Sandbox::User=root", "update")
    with (
        Http(environ=os.environ) as http,
        DebianSource(
            http=http,
            cache_dir=scratch / "cache",
            archives=archives_for(sources, host.keyrings),
            now=datetime.now(UTC),
        ) as source,
    ):
        base = debian_base([layer], cache=scratch / "bases", key="base")
        yield Both(root=root, base=base, universe=source.universe(base.architecture))


def unpacked(layer: Path, root: Path, sources: str) -> Path:
    """Return the base as a directory in which apt runs, set up with the machine's way to the network."""
    with tarfile.open(layer) as archive:
        archive.extractall(root, filter="fully_trusted")
    for directory in ("tmp", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log/apt"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    os.mknod(root / "dev/null", 0o020666, os.makedev(1, 3))
    (root / "etc/apt/sources.list").write_text(sources)
    for file in (root / "etc/apt/sources.list.d").iterdir():
        file.unlink()
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    set_up = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True)
    (root / "etc/apt/apt.conf.d/99machine").write_text(set_up.stdout)
    return root


def run_inside(root: Path, *command: str) -> str:
    done = subprocess.run(["chroot", str(root), *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SMALL)
def test_the_closure_is_what_apt_chooses(both: Both, name: str) -> None:
    assert both.by_us([name]) == both.by_apt([name])


@pytest.mark.full
@pytest.mark.parametrize("name", MORE)
def test_the_closure_of_more_packages_is_what_apt_chooses(both: Both, name: str) -> None:
    assert both.by_us([name]) == both.by_apt([name])


def test_several_packages_at_once_are_what_apt_chooses(both: Both) -> None:
    names = sorted(SMALL)
    assert both.by_us(names) == both.by_apt(names)


def test_what_the_base_has_in_an_older_version_is_upgraded_where_apt_does_so(both: Both) -> None:
    choice = both.choice(SMALL)
    there = {item.name: item.version for item in both.base.status}
    assert {item.name: item.old for item in choice.upgrades} == {
        item.name: there[item.name] for item in choice.packages if item.name in there
    }
    assert all(item.old < item.new for item in choice.upgrades)
    assert all(item.name in {package.name for package in choice.packages} for item in choice.upgrades)


def test_every_chosen_dependency_leads_to_what_is_chosen_or_in_the_base(both: Both) -> None:
    choice = both.choice(SMALL)
    there = {item.name for item in both.base.status} | {item.name for item in choice.packages}
    edges = [*choice.edges.values(), *choice.base_edges.values()]
    targets = {re.split(r"[<>=]", edge.removeprefix("deb:"))[0] for found in edges for edge in found}
    assert targets <= there
