"""`quarantine` of a container with a network list, on both engines: it is frozen, seen and gone, and so is what it was joined to."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine
from hatchlock.launch import LaunchRecord, Relay, Sandbox
from hatchlock.paths import Home
from hatchlock.usecases.quarantine import put_into_quarantine, release_server
from support.python_image import SERVER, python_image
from support.runs import BARE, Run, apply_records, run_command, wait_for

pytestmark = pytest.mark.engine

LOOT = f"open('/tmp/loot', 'w').write('loot'); open('/srv/left', 'w').close(); exec(open({SERVER!r}).read())"


@pytest.fixture(params=["engine", "podman"], scope="module")
def image(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    address: str = request.getfixturevalue(request.param)
    with python_image(address) as (tag, interpreter):
        yield address, tag, interpreter


def test_a_container_is_seen_and_gone_and_another_servers_runs_on(image: tuple[str, str, str], tmp_path: Path) -> None:
    address, tag, interpreter = image
    engine, project = Engine(address), f"trial-{secrets.token_hex(4)}"
    root = tmp_path / "home"
    root.mkdir(mode=0o700)
    home = Home(root=root, is_default=False)

    def record(server: str, *network: str) -> LaunchRecord:
        return LaunchRecord(
            project=project,
            server=server,
            runtime="container",
            argv=(interpreter, "-I", "-S", "-c", LOOT),
            key="0" * 64,
            sandbox=Sandbox(
                network=network, user="0:0", read_only=False, stop_grace=0.3, reason="it has something to hide"
            ),
            env={"SECRET_OF_MINE": "hunter-2-hunter"},
            image=tag,
            engine=address,
            directory="/",
            relay=Relay(image=tag, interpreter=interpreter, language="python") if network != ("none",) else None,
        )

    def containers(server: str) -> list[str]:
        found = engine.list({"dev.hatchlock.project": project, "dev.hatchlock.server": server})
        return sorted(item.name for item in found)

    apply_records(root, [record("bad", "localhost:9"), record("good", "none")])
    with (
        Run(command=run_command(root, "bad", project), env=BARE) as bad,
        Run(command=run_command(root, "good", project), env=BARE) as good,
    ):
        bad.hello()
        good.hello()
        names = containers("bad")
        assert len(names) == 2, "it has a sidecar"
        cut = put_into_quarantine(home, project, "bad", reason="it lies")
        assert cut.undone == ()
        assert sorted(cut.containers) == names
        assert bad.wait() == -signal.SIGKILL
        assert containers("bad") == []
        assert len(containers("good")) == 1
        assert "127.0.0.1" in good.call("call", words=["find", "localhost"])
        assert good.end()[0] == 0
    text = (Path(cut.quarantine.kept) / "report.json").read_text()
    assert "hunter-2-hunter" not in text
    seen = next(item for item in json.loads(text)["containers"] if not item["name"].endswith("-relay"))
    assert seen["changes"]["/srv/left"] == "added"
    if os.geteuid() == 0:
        written = {item["path"]: item["sha256"] for item in seen["written"]}
        assert written["/tmp/loot"] == hashlib.sha256(b"loot").hexdigest()
    with Run(command=run_command(root, "bad", project), env=BARE) as again:
        assert again.end()[0] == 3
    release_server(home, project, "bad")
    with Run(command=run_command(root, "bad", project), env=BARE) as again:
        again.hello()
        assert again.end()[0] == 0
    assert wait_for(lambda: containers("bad") == [])
