"""What a check of a value says when it refuses it."""

from __future__ import annotations

__all__ = ["Wrong"]


class Wrong(ValueError):
    """A value that its check refuses: the sentence, and a hint."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.advice = advice
