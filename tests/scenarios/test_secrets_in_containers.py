"""Secrets as files in a container: in memory of this machine, for this container alone, and gone with it."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine
from hatchlock.launch import LaunchRecord, Sandbox, SecretReference
from support.links_image import links_image, programs
from support.runs import BARE, Run, apply_records, python_record, run_command, wait_for

pytestmark = pytest.mark.engine


@pytest.fixture
def environ(memory: Path) -> dict[str, str]:
    return {**BARE, "XDG_RUNTIME_DIR": str(memory), "TOKEN": "planted-as-file"}


def laid_out(memory: Path) -> Path:
    """Return the one directory of a session's secrets."""
    (directory,) = (path for path in (memory / "hatchlock-secrets").iterdir() if path.is_dir())
    return directory


@pytest.fixture(params=["engine", pytest.param("podman", marks=pytest.mark.full)])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def record(address: str) -> Iterator[LaunchRecord]:
    """A server that gets a secret as a file, in a nearly empty image."""
    with links_image(address) as tag:
        process = python_record(project=f"trial-{secrets.token_hex(4)}")
        sandbox = Sandbox(mounts=programs(*process.read_only_paths), stop_grace=0.3, reason="the image is empty")
        reference = SecretReference(secret="env:TOKEN", as_="file", format="token: {}\n")
        yield replace(
            process,
            runtime="container",
            read_only_paths=(),
            image=tag,
            engine=address,
            sandbox=sandbox,
            secrets={"TOKEN": reference},
        )


def test_a_secret_file_is_read_only_alone_in_memory_and_gone_at_the_end(
    record: LaunchRecord, tmp_path: Path, memory: Path, environ: dict[str, str]
) -> None:
    apply_records(tmp_path, [record])
    with Run(command=run_command(tmp_path, project=record.project), env=environ) as run:
        run.hello()
        directory = laid_out(memory)
        assert run.attempt("read", "/run/secrets/TOKEN") == "token: planted-as-file\n"
        assert run.attempt("list", "/run/secrets") == "TOKEN"
        assert "Read-only file system" in run.attempt("write", "/run/secrets/TOKEN")
        assert "TOKEN_FILE=/run/secrets/TOKEN" in run.attempt("read", "/proc/self/environ").split("\0")
        (container,) = Engine(record.engine).list({"dev.hatchlock.project": record.project})
        assert "planted-as-file" not in json.dumps(Engine(record.engine).inspect(container.id))
        status, _, err = run.end()
    assert status == 0, err
    assert not directory.exists()
    assert not directory.with_suffix(".owner").exists()


def test_it_is_gone_after_a_kill(record: LaunchRecord, tmp_path: Path, memory: Path, environ: dict[str, str]) -> None:
    apply_records(tmp_path, [record])
    with Run(command=run_command(tmp_path, project=record.project), env=environ) as run:
        run.hello()
        directory = laid_out(memory)
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        assert wait_for(lambda: not directory.exists())
    found = Engine(record.engine)
    assert wait_for(lambda: found.list({"dev.hatchlock.project": record.project}) == [])


def test_an_engine_on_another_machine_gets_none(
    record: LaunchRecord, tmp_path: Path, memory: Path, environ: dict[str, str]
) -> None:
    elsewhere = replace(record, engine="ssh://host.invalid")
    apply_records(tmp_path, [elsewhere])
    with Run(command=run_command(tmp_path, project=record.project), env=environ) as run:
        status, _, err = run.end()
    assert status == 1
    assert b"the engine at ssh://host.invalid is on another machine, which would have to keep them on a disk" in err
    assert b"planted" not in err
