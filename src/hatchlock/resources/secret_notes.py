"""What a plan says of a server's secrets: who can see them, and where one will be missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.launch import LaunchRecord

__all__ = ["secret_notes"]


def secret_notes(record: LaunchRecord, clients: Iterable[str]) -> Iterator[str]:
    """Yield what the user should know before the server is started.

    Args:
        record: The server's launch record.
        clients: The applications that list it.
    """
    titles = [CLIENTS[name].title for name in sorted(clients) if CLIENTS[name].desktop]
    for name, reference in sorted(record.references.items()):
        if reference.as_ == "variable" and not record.remote:
            yield f"{name} will be visible in the running server's environment"
        if reference.kind == "env" and titles:
            who = " and ".join(titles)
            yield (
                f"{name} comes from the variable {reference.spec}, and {who}, started from a desktop, has none of a shell's:"
                f" keyring:{reference.spec} would be there"
            )
