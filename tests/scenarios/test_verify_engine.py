"""Images in a real engine: refused where the lock says otherwise, described beside, and compared by `verify`."""

from __future__ import annotations

import json
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from hatchlock.resolve.wanted import container_platforms
from support.engine_images import image_tags, untag_all
from support.index import serving
from support.project import TrialProject, server_release

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("held_base")]

PLATFORM = container_platforms([host_platform()])[0]
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server<2"
base = "oci:{base}"
runtime = "container"

[indexes.pypi]
url = "{index}"
"""


@pytest.fixture
def project(tmp_path: Path, engine: str, base_image: str) -> Iterator[TrialProject]:
    name = f"verify-{secrets.token_hex(4)}"
    with serving(server_release(tmp_path / "wheels")) as index:
        text = MANIFEST.format(name=name, platform=host_platform(), base=base_image, index=index.url)
        yield TrialProject(tmp_path, text, name=name, DOCKER_HOST=engine)
    untag_all(engine, name)


def test_an_image_is_what_the_lock_says_from_apply_to_verify(project: TrialProject, engine: str) -> None:
    project.ok("lock", "--images")
    whole = project.lock.read_text()
    locked = read_lock(project.lock).environment("tiny", "container")
    output, key = locked.outputs[PLATFORM], locked.keys[PLATFORM]

    project.lock.write_text(whole.replace(output.layers[0], f"sha256:{'0' * 64}"))
    refused = project.run("apply", "--yes", "--no-probe")
    assert refused.status == 1
    assert "and the lock says sha256:" in refused.out + refused.err
    assert image_tags(engine, project.name) == [], "nothing was loaded"

    project.lock.write_text(whole)
    project.ok("apply", "--yes", "--no-probe")
    beside = project.store / "images" / f"{key}.provenance.json"
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600
    statement = json.loads(beside.read_bytes())
    assert statement["subject"] == [{"name": "tiny", "digest": {"sha256": output.config.removeprefix("sha256:")}}]
    done = project.ok("verify")
    assert f"= image:tiny {PLATFORM}: sha256:{output.config[7:19]}…, as in the lock and the engine" in done.out
    report = project.directory / "report.json"
    report.write_text(project.ok("verify", "--json").out)
    assert "…, as in the lock, the engine and the report" in project.ok("verify", "--against", str(report)).out

    pinned = f"hatchlock/{project.name}/tiny:{key}"
    with Engine(engine) as connection:
        connection.tag(f"{pinned}-local", pinned)
    done = project.run("verify")
    assert done.status == 2
    assert f"! image:tiny {PLATFORM}: it has 1 layers of its own, in the engine, as {pinned[:30]}" in done.out
