"""What `hatchlock --help` prints."""

from __future__ import annotations

from hatchlock.cli.help import COMMANDS, overview


def test_no_column_runs_into_the_next_one() -> None:
    lines = overview().splitlines()
    for commands in COMMANDS.values():
        for name, (what, example) in commands.items():
            (line,) = [line for line in lines if line.split()[:1] == [name] and line.endswith(example)]
            assert f"  {name}  " in f"{line}"
            assert f"{what}  " in line
