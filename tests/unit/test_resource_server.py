from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Address
from hatchlock.digest import sha256_bytes
from hatchlock.launch import LaunchRecord, Sandbox, SecretReference
from hatchlock.reconcile.diff import diff
from hatchlock.resources.base import Action, Step
from hatchlock.resources.server import ServerResource, ServerSpec
from hatchlock.state.project import ProjectState

RECORD = LaunchRecord(
    project="p",
    server="a",
    runtime="process",
    argv=("/store/envs/x/bin/serve", "--name", "two words"),
    env={"LANG": "C"},
    secrets={"TOKEN": SecretReference(secret="env:A_TOKEN")},
    key="0123456789abcdef",
)
ADDRESS = Address.parse("server:a")


@pytest.fixture
def state(tmp_path: Path) -> ProjectState:
    return ProjectState(tmp_path / "p")


def resource(state: ProjectState, *records: LaunchRecord) -> ServerResource:
    return ServerResource([ServerSpec(record=record) for record in records], state=state)


def apply(found: ServerResource) -> None:
    for step in diff(found.desired(), found.observe()).steps:
        found.apply(step)


def test_a_server_is_there_once_its_record_is_active(state: ProjectState) -> None:
    found = resource(state, RECORD)
    assert list(found.observe()) == []
    apply(found)
    (seen,) = found.observe()
    assert (seen.address, seen.key) == (ADDRESS, RECORD.digest)
    assert found.observe_one(ADDRESS) == seen
    assert diff(found.desired(), found.observe()).steps == ()


@pytest.mark.parametrize(("content", "word"), [(None, "gone"), (RECORD.to_json() + b" ", "damaged")])
def test_a_record_that_is_gone_or_was_changed_is_written_again(
    state: ProjectState, content: bytes | None, word: str
) -> None:
    found = resource(state, RECORD)
    apply(found)
    path = state.record_path(RECORD.digest)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    (step,) = diff(found.desired(), found.observe(), applied={ADDRESS: RECORD.digest}).steps
    assert (step.action, step.drift, step.cause) == (Action.UPDATE, True, "launch record changed since it was applied")
    assert step.details["launch record"] == f"{RECORD.digest[:12]}, {word} -> {RECORD.digest[:12]}"
    assert set(step.details) == {"launch record", "sandbox"}
    apply(found)
    assert path.read_bytes() == RECORD.to_json()
    assert diff(found.desired(), found.observe()).steps == ()


def test_a_server_whose_record_is_gone_goes_with_its_declaration(state: ProjectState) -> None:
    apply(resource(state, RECORD))
    state.record_path(RECORD.digest).unlink()
    apply(resource(state))
    assert state.active() == {}


def test_a_change_is_told_field_by_field(state: ProjectState) -> None:
    apply(resource(state, RECORD))
    changed = replace(RECORD, argv=(*RECORD.argv[:-1], "one"), sandbox=Sandbox(memory="1g"))
    found = resource(state, changed)
    (step,) = diff(found.desired(), found.observe()).steps
    assert step.action is Action.UPDATE
    assert step.cause == "arguments, sandbox, launch record changed"
    assert step.details["arguments"] == "--name 'two words' -> --name one"


def test_a_secret_is_shown_by_where_it_comes_from(state: ProjectState) -> None:
    (desired,) = resource(state, RECORD).desired()
    assert desired.facts["secrets"] == "TOKEN from env:A_TOKEN"
    assert desired.facts["variables"] == "LANG=C"
    assert desired.facts["command"] == "serve"


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"format_version": 99}', b'{"format_version": 1}'])
def test_a_record_of_another_version_is_replaced(state: ProjectState, content: bytes) -> None:
    apply(resource(state, RECORD))
    digest = sha256_bytes(content)
    state.record_path(digest).write_bytes(content)
    (state.root / "active.json").write_text(json.dumps({"format_version": 1, "servers": {"a": digest}}))
    changed = replace(RECORD, cwd="/tmp")
    found = resource(state, changed)
    (step,) = diff(found.desired(), found.observe()).steps
    assert "of another version" in step.details["launch record"]
    found.apply(step)
    assert state.active() == {"a": changed.digest}


def test_what_is_not_declared_any_more_is_taken_away(state: ProjectState) -> None:
    apply(resource(state, RECORD, replace(RECORD, server="b")))
    found = resource(state, RECORD)
    (step,) = diff(found.desired(), found.observe()).steps
    assert (step.action, str(step.address)) == (Action.DELETE, "server:b")
    found.apply(step)
    assert list(state.active()) == ["a"]


def test_a_server_brings_no_files_of_its_own(state: ProjectState) -> None:
    assert resource(state, RECORD).artefacts(ADDRESS) == ()
    assert Step(address=ADDRESS, action=Action.CREATE, cause="x").privilege == "none"
