"""Which answers give their clients a state to come back with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hatchlock.serve.envelope import messages_of
from hatchlock.serve.front.idle import state_brought, state_given

DEMAND = {"resultType": "input_required", "requestState": "s"}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"result": DEMAND}, "s"),
        ({"result": {**DEMAND, "resultType": "complete"}}, ""),
        ({"result": {**DEMAND, "requestState": 1}}, ""),
        ({"result": {"content": DEMAND}}, ""),
        ({"result": "requestState"}, ""),
        ({"error": DEMAND}, ""),
    ],
)
def test_a_demand_gives_a_state(answer: Any, state: str) -> None:
    assert state_given(json.dumps({"jsonrpc": "2.0", "id": 1, **answer}).encode()) == state


def test_what_is_no_message_gives_none() -> None:
    assert state_given(b'{"requestState"') == ""
    assert state_given(b"") == ""


@pytest.mark.parametrize(("params", "state"), [({"requestState": "s"}, "s"), ({"requestState": 1}, ""), ([], "")])
def test_a_client_brings_a_state(params: Any, state: str) -> None:
    (message,) = messages_of(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x", "params": params}).encode())
    assert state_brought(message) == state
