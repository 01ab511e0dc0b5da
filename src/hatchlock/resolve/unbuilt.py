"""Projects that cannot be used as they lie there: whether they may be built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from packaging.utils import canonicalize_name

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import BUILD
from hatchlock.resolve.direct import Direct
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.sources.python.sdists import MetadataNotTold

__all__ = ["NeedsBuild", "check_unbuilt"]


@dataclass(kw_only=True, eq=False)
class NeedsBuild(HatchlockError):
    """A project cannot be used as it lies there.

    Attributes:
        source: The project.
        name: Its name.
        why: What it lacks.
        is_buildable: Whether something says how it is built.
        builds: The environment that something else is built in, which needs the project; "" for one that servers run in.
    """

    code: ClassVar[str] = "needs-build"

    source: str
    name: str
    why: str
    is_buildable: bool = True
    builds: str = ""

    def __str__(self) -> str:
        needed = f" (it is needed where {self.builds.partition(BUILD)[2]} is built)" if self.builds else ""
        return f"{self.source} has to be built first: {self.why}{needed}"

    def _hint(self) -> str:
        if self.builds or not self.is_buildable:
            return "commit what the build makes, or publish the package"
        return (
            f"commit what the build makes, or publish the package; "
            f'allow-build = ["{self.name}"] builds it in a sandbox without network'
        )


def check_unbuilt(direct: Direct, request: EnvironmentRequest) -> None:
    """Refuse a project that has to be built, unless the environment allows that and it is known how.

    Raises:
        NeedsBuild: The environment does not, or it is not known.
        MetadataNotTold: It is one of Python that leaves it to its build what it needs.
    """
    if not direct.needs_build:
        return
    package = direct.package
    is_allowed = canonicalize_name(package.name) in request.allow_build
    if is_allowed and direct.build is None and package.namespace is Kind.PYPI:
        raise MetadataNotTold(file=direct.text, is_project=True)
    if not is_allowed or direct.build is None:
        raise NeedsBuild(
            source=direct.text,
            name=package.name,
            why=direct.needs_build,
            is_buildable=direct.build is not None,
            builds=request.name if BUILD in request.name else "",
        )
