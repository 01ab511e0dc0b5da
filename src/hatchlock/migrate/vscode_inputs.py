"""What VS Code asks a person for, `inputs` of its file: once ours stand in the place of what used it, nothing does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hatchlock.migrate import json_lines
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.model import Left

__all__ = ["unused_inputs"]


def unused_inputs(data: bytes, *, file: str, staying: Iterable[str] = ()) -> Iterator[Left]:
    """Yield the inputs that nothing in a file uses once its servers are ours.

    Args:
        data: What the file holds.
        file: Its path, as it is shown.
        staying: The texts of entries that stay as they are.
    """
    if b'"inputs"' not in data:
        return
    texts = list(staying)
    try:
        listed = list(json_lines.load(data, file=file).root.need("inputs").each())
    except Unreadable:  # its servers could be read all the same
        return
    for item in listed:
        own = item.value.get("id") if isinstance(item.value, dict) else None
        if isinstance(own, str) and not any(f"${{input:{own}}}" in text for text in texts):
            why = "nothing asks for it once ours are in the file; it stays, and can be deleted"
            yield Left(line=item.line, what=f"`inputs`: `{own}`: {why}")
