"""What the process that watches a server's network remembers is bounded, whatever the server asks for."""

from __future__ import annotations

from hatchlock.launch import LaunchRecord
from hatchlock.security.denials import Denial, permit
from hatchlock.security.learned import Observed, smallest_profile
from hatchlock.serve.learning.network import _MOST_NAMES, _name_answer, _Seen


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\0\1\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


def test_a_server_that_asks_for_ever_new_names_fills_no_memory() -> None:
    seen = _Seen()
    answers = {_name_answer(query(f"n{number}.test"), seen)[-4:] for number in range(_MOST_NAMES + 100)}
    assert len(seen.names) == len(seen.addresses) == _MOST_NAMES
    assert len(answers) == _MOST_NAMES + 1


def test_what_is_no_question_is_not_answered() -> None:
    seen = _Seen()
    for packet in (b"", b"\0", b"\0" * 12, query("a.test")[:-5], query("a.test")[:-1], b"\xff" * 600, query("é.test")):
        assert _name_answer(packet, seen) == b""
    assert not seen.names


def test_what_no_manifest_could_say_is_proposed_to_nobody() -> None:
    """A server chooses the names that it asks for and the paths that it writes to, and people copy what is proposed."""
    record = LaunchRecord(project="p", server="s", runtime="process", argv=("/t",), key="k")
    observed = Observed(
        connections=("a\x1b[31m.test:443", 'x"]\nnetwork = ["evil:443', "ok.test:443"),
        written=("/data\udcff/", "/kept\x1b/", "/fine/"),
    )
    profile = smallest_profile(observed, record, memory_by_process=False, answered=True)
    assert profile["network"] == ("ok.test:443",)
    assert profile["writable"] == ("/fine",)
    for what in ("a\x1b.test", 'x"', "a b"):
        assert permit(Denial(kind="network", what=what), record) == ""
