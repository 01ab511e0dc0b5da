"""What is wrong with a Dockerfile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["BadDockerfile", "NotPinned", "StartUnclear"]


@dataclass(kw_only=True, eq=False)
class BadDockerfile(HatchlockError):
    """An instruction that is malformed, or that a build which only the lock decides on cannot have."""

    code: ClassVar[str] = "bad-dockerfile"

    what: str
    advice: str = ""

    def __str__(self) -> str:
        return self.what

    def _hint(self) -> str:
        return self.advice


@dataclass(kw_only=True, eq=False)
class NotPinned(HatchlockError):
    """An image that another one may stand for tomorrow.

    Attributes:
        how: What names it: `FROM`, `COPY --from`, `RUN --mount`.
        image: Its name, variables replaced.
        digest: The one that the registry has now, `sha256:…`; "" if it is not known.
    """

    code: ClassVar[str] = "not-pinned"

    how: str
    image: str
    digest: str = ""

    def __str__(self) -> str:
        return (
            f"{self.how} names {self.image}, which is no digest: what is built from it would change with the registry"
        )

    def _hint(self) -> str:
        if self.digest:
            return f"write {self.image}@{self.digest}, which is what the registry has now"
        return f"write {self.image}@sha256:…, as `docker buildx imagetools inspect {self.image}` shows it"


@dataclass(kw_only=True, eq=False)
class StartUnclear(HatchlockError):
    """What the built image starts cannot be read from its Dockerfile."""

    code: ClassVar[str] = "start-unclear"

    why: str

    def __str__(self) -> str:
        return f"what the image starts is not known before it is built: {self.why}"

    def _hint(self) -> str:
        return (
            'write ENTRYPOINT ["program", "argument"] into the Dockerfile, or command = ["program", …] for the server'
        )
