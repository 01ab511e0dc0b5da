"""Calls are written down with their tool, how long they took and what became of them, never with what they were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.launch import LaunchRecord
from hatchlock.serve.calls import CallAudit
from hatchlock.serve.passage import Verdict
from hatchlock.state.auditlog import audit_path, read_audit

SECRET = "an-argument-of-a-call"


class Session:
    """A session whose calls are written down."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.said: list[str] = []
        record = LaunchRecord(
            project="acme", server="echo", runtime="process", argv=("/bin/cat",), key="", audit="calls"
        )
        self.audit = CallAudit(store, record, say=self.said.append)

    def send(self, *messages: dict[str, Any]) -> None:
        line = json.dumps(messages if len(messages) > 1 else messages[0]).encode() + b"\n"
        assert self.audit.sent(line) == Verdict(line)

    def receive(self, *messages: dict[str, Any]) -> None:
        line = json.dumps(messages if len(messages) > 1 else messages[0]).encode() + b"\n"
        assert self.audit.received(line) == Verdict(line)

    @property
    def calls(self) -> list[tuple[str, str]]:
        return [(entry["tool"], entry["outcome"]) for entry in read_audit(self.store).entries]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    tmp_path.chmod(0o700)
    return Session(tmp_path)


def call(number: Any, tool: str = "echo") -> dict[str, Any]:
    params = {"name": tool, "arguments": {"text": SECRET}}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def result(number: Any, **fields: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": {"content": [{"type": "text", "text": SECRET}], **fields}}


def test_each_outcome_is_told_apart(session: Session) -> None:
    session.send({"jsonrpc": "2.0", "id": 0, "method": "tools/list"})
    session.receive({"jsonrpc": "2.0", "id": 0, "result": {"tools": []}})
    for number, tool in enumerate(("one", "two", "three", "four", "five"), start=1):
        session.send(call(number, tool))
    session.receive(result(2, isError=True))
    session.receive(result(1))
    session.receive({"jsonrpc": "2.0", "id": 3, "error": {"code": -32602, "message": SECRET}})
    session.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}})
    session.audit.finish()
    assert session.calls == [
        ("two", "failed"),
        ("one", "done"),
        ("three", "error"),
        ("four", "cancelled"),
        ("five", "unanswered"),
    ]
    entries = read_audit(session.store).entries
    assert entries[2]["code"] == -32602
    assert all((item["project"], item["server"]) == ("acme", "echo") for item in entries)
    assert len({item["session"] for item in entries}) == 1
    assert all(0 <= item["seconds"] < 60 for item in entries)
    assert SECRET not in audit_path(session.store).read_text()


def test_ids_that_look_alike_are_others_and_batches_are_read(session: Session) -> None:
    session.send(call(1, "number"), call("1", "text"))
    session.receive(result("1"), result(1, isError=True))
    assert session.calls == [("text", "done"), ("number", "failed")]


def test_what_the_server_asks_for_itself_is_no_answer(session: Session) -> None:
    session.send(call(7))
    session.receive({"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {}})
    assert session.calls == []
    session.receive(result(7))
    assert session.calls == [("echo", "done")]


@pytest.mark.parametrize("line", [b"\n", b"{", b"[" * 100_000, b"3\n", b'{"method":"tools/call","id":1,"params":[]}'])
def test_whatever_is_sent_goes_through(session: Session, line: bytes) -> None:
    assert session.audit.sent(line) == Verdict(line)
    assert session.audit.received(line) == Verdict(line)


def test_where_it_cannot_be_written_the_session_goes_on_and_that_is_said_once(session: Session) -> None:
    (session.store / "audit").write_text("")
    for number in range(3):
        session.send(call(number))
        session.receive(result(number))
    assert len(session.said) == 1
    assert "audit log" in session.said[0]


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        (b"1" * 5000, ("echo", "done")),
        (b"[" * 100_000 + b"]" * 100_000, ("", "not readable")),
        (b"{", ("", "not readable")),
    ],
    ids=["a long number", "deep", "no JSON"],
)
def test_no_call_goes_unseen_because_of_what_it_was_given(
    session: Session, argument: bytes, written: tuple[str, str]
) -> None:
    line = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":%b}}}\n' % argument
    assert session.audit.sent(line) == Verdict(line)
    session.receive(result(1))
    assert session.calls == [written]
