"""The secrets of a server as values: most servers have none, and start without what looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hatchlock.security.provided import SECRETS_INSIDE

__all__ = ["NO_SECRETS", "Secrets"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """The secrets of one server, while it starts. Nothing of this is ever shown or written.

    Attributes:
        variables: Variable -> value, formatted: those that are given as variables.
        files: Variable -> content: those that are given as files.
        bare: Variable -> value without its format: what must not appear anywhere.
    """

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    bare: Mapping[str, str] = field(default_factory=dict, repr=False)

    def environment(self, directory: str = SECRETS_INSIDE) -> dict[str, str]:
        """Return the variables that they mean for the server: for a file its path, `NAME_FILE`, in `directory`."""
        return {**self.variables, **{f"{name}_FILE": f"{directory}/{name}" for name in self.files}}

    def placed(self, directory: str = SECRETS_INSIDE) -> dict[str, bytes]:
        """Return absolute path -> content of those that are given as files."""
        return {f"{directory}/{name}": content for name, content in self.files.items()}


NO_SECRETS = Secrets()
"""Those of a server that has none."""
