"""What is freed when images go that share layers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.layers import freed_by, layer_sizes


def test_an_image_frees_what_only_it_has() -> None:
    base, own = ("base", "a"), ("base", "b")
    assert freed_by([(base, (100, 7))], [own]) == [7]
    assert freed_by([(base, (100, 7))], []) == [107]
    assert freed_by([(base, (100, 7))], [base]) == [0]


def test_what_two_share_goes_with_the_last_of_them() -> None:
    going = [(("base", "a"), (100, 7)), (("base", "b"), (100, 20))]
    assert freed_by(going, []) == [7, 120]
    assert freed_by(going, [("base",)]) == [7, 20]


def test_the_same_layer_above_others_is_another_one() -> None:
    assert freed_by([(("a", "same"), (1, 50))], [("b", "same")]) == [51]


@pytest.mark.parametrize(
    ("history", "number", "expected"),
    [
        ([7, 0, 100], 3, (100, 0, 7)),
        ([0, 7, 0, 0, 100], 2, (100, 7)),
        ([0, 7, 0, 100], 3, (100, 7, 0)),
        ([], 2, (0, 0)),
    ],
)
def test_sizes_come_from_the_history_without_what_has_none(
    history: list[int], number: int, expected: tuple[int, ...]
) -> None:
    class Told:
        def ask(self, method: str, path: str) -> Any:
            assert (method, path) == ("GET", "/images/sha256:1/history")
            return [{"Size": size} for size in history]

    assert layer_sizes(cast("Engine", Told()), "sha256:1", number) == expected
