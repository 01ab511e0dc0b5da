"""The command that goes on with what was not finished can be pasted."""

from __future__ import annotations

import pytest

from hatchlock.cli.carrying import same_again
from hatchlock.cli.parser import parse


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["apply", "--yes"], "hatchlock apply"),
        (["apply", "plan.json"], "hatchlock apply"),
        (["apply", "--only", "env:a", "--allow-destructive"], "hatchlock apply --only env:a --allow-destructive"),
        (["-C", "my project", "-g", "apply"], "hatchlock -C 'my project' -g apply"),
        (["apply", "--manifest", "x.toml", "--home", "s"], "hatchlock --manifest x.toml --home s apply"),
    ],
)
def test_it_has_what_matters_of_the_words_of_the_first(words: list[str], again: str) -> None:
    assert same_again(parse(words), "apply") == again
    assert parse(again.replace("'my project'", "my-project").split()[1:]).command == "apply"
