"""`lock` tells which Debian packages of images want something done that images do not get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.debian_archive import Deb, DebianArchive, serving_debian, status_of
from support.fake_registry import fake_registry
from support.layers import make_layer
from support.project import TrialProject
from support.trees import plant

MAWK = Deb(
    name="mawk",
    version="1.3.4",
    files={"usr/bin/mawk": "x"},
    control={"postinst": "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n"},
)
PLAIN = Deb(name="plain", files={"usr/bin/plain": "x"})
MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64"]

[servers.box]
source = "path:./box#as=files"
command = ["./start"]
with = [{dependencies}]
base = "oci:{base}"
"""
WARNING = (
    "deb:mawk 1.3.4: sets up alternatives (/usr/bin/awk) when it is installed, and images are made without that: "
    "choose a base that has it, or build one (build = …)"
)


@pytest.fixture
def archive() -> Iterator[DebianArchive]:
    with serving_debian(MAWK, PLAIN) as made:
        yield made


@pytest.fixture
def trial(tmp_path: Path, archive: DebianArchive) -> Iterator[TrialProject]:
    layer = {
        "etc/os-release": b"ID=debian\n",
        "var/lib/dpkg/status": status_of(Deb(name="libc6")),
        "etc/apt/sources.list.d/debian.sources": archive.sources,
        "usr/share/keyrings/archive.gpg": archive.keyring,
    }
    with fake_registry() as server:
        server.image("team/base", "1", layers=[make_layer(layer)])
        project = TrialProject(tmp_path)
        plant(project.directory / "box", {"start": "#!/bin/sh\n"})
        project.env["BASE"] = f"{server.address}/team/base:1"
        yield project


def want(trial: TrialProject, *names: str) -> None:
    listed = ", ".join(f'"deb:{name}"' for name in names)
    trial.write(MANIFEST.format(dependencies=listed, base=trial.env["BASE"]))


def test_it_is_told_each_time_and_asked_once(trial: TrialProject, archive: DebianArchive) -> None:
    want(trial, "mawk", "plain")
    assert f"warning: {WARNING}\n" in trial.ok("lock").err
    assert len(archive.asked_for("pool/")) == 2
    again = trial.ok("lock", "--offline").err
    assert again.count("deb:mawk 1.3.4") == 1
    assert "deb:plain" not in again
    assert len(archive.asked_for("pool/")) == 2


def test_packages_in_zstd_are_read_as_any_other(trial: TrialProject, archive: DebianArchive) -> None:
    archive.replace("mawk", compression="zst")
    want(trial, "mawk")
    assert f"warning: {WARNING}\n" in trial.ok("lock").err


def test_what_is_not_known_is_not_told_and_stops_no_lock(trial: TrialProject, archive: DebianArchive) -> None:
    want(trial, "mawk")
    archive.raw[MAWK.path] = b"no package"
    assert "alternatives" not in trial.ok("lock").err
    asked = len(archive.asked_for("pool/"))
    assert asked == 1
    # what the lock has is not asked for again
    assert "alternatives" not in trial.ok("lock").err
    assert len(archive.asked_for("pool/")) == asked
