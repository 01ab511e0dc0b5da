"""What a server says besides the protocol, as far as it goes on."""

from __future__ import annotations

from pathlib import Path

from hatchlock.serve.talk import Talk

PIECE = 1 << 16


def test_of_a_very_long_line_on_stdout_only_the_beginning_goes_on_and_no_part_of_a_secret(tmp_path: Path) -> None:
    line = b"secret-value " + b"x" * (PIECE - 19) + b"secret-value" + b"y" * 5_000_000 + b"\n"
    with (tmp_path / "stderr").open("w+b") as stderr:
        talk = Talk(server="s", stderr=stderr.fileno(), log=None, hidden=["secret-value"])
        for _ in range(2):
            talk.noise(line)
        said = (tmp_path / "stderr").read_text().splitlines()
    assert len(said) == 2
    for words in said:
        assert words.startswith("hatchlock: s printed on stdout, which is for JSON-RPC only: *** xxx")
        assert words.endswith(f"x … and {len(line) - PIECE} bytes more")
    assert list(talk.last_words()) == said
