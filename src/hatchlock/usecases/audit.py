"""`audit`: what of the security points holds here and now. Reads only.

The checks are in `security.audit`, and decide on facts alone; `audit_facts` gathers these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hatchlock.events import Sink, discard

if TYPE_CHECKING:
    from hatchlock.place import Place
    from hatchlock.security.audit.model import Finding, Level, Verdict
    from hatchlock.usecases.project import Project

__all__ = ["Audit", "audit_project"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What was found.

    Attributes:
        project: The project's name.
        manifest: Its manifest, as users see it.
        servers: Their names.
        verdicts: Every check, in its order.
        places: Key path -> where in the manifest it, or the closest table above it, stands; of every finding with a key.
    """

    project: str
    manifest: str
    servers: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    places: Mapping[tuple[str | int, ...], Place] = field(default_factory=dict)

    def place(self, finding: Finding) -> Place | None:
        """Return where the manifest says what a finding is about; None where it does not."""
        return self.places.get(finding.key)

    def at_least(self, level: Level) -> tuple[Finding, ...]:
        """Return the findings that matter as much as this, or more."""
        from hatchlock.security.audit.model import LEVELS

        counting = LEVELS[LEVELS.index(level) :]
        return tuple(item for verdict in self.verdicts for item in verdict.outcome.findings if item.level in counting)


def audit_project(project: Project, *, online: bool = False, emit: Sink = discard) -> Audit:
    """Evaluate every check on a project as it is here.

    What cannot be had (an engine that does not answer, a plan that cannot be made) makes the checks that need it unknown.

    Args:
        project: Which. Its store may be one that other commands refuse.
        online: Ask the indexes what is outdated; else only their answers in the cache count.
        emit: Told about progress.

    Raises:
        MissingLock, BadLock, NewerLock: There is no lock that can be read.
        ManyErrors: The manifest has mistakes.
        BadState: Which launch records are active cannot be read.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.security.audit.catalogue import evaluate
    from hatchlock.usecases.audit_facts import Gathering
    from hatchlock.usecases.locked import read_project_lock

    loaded = load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes)
    gathering = Gathering(project, loaded.manifest, read_project_lock(project), loaded.text)
    facts = gathering.facts(online=online, emit=emit)
    verdicts = evaluate(facts)
    keys = {item.key for verdict in verdicts for item in verdict.outcome.findings if item.key}
    return Audit(
        project=loaded.manifest.project.name,
        manifest=loaded.shown,
        servers=tuple(item.name for item in facts.servers),
        verdicts=verdicts,
        places={key: loaded.place(*key) for key in keys},
    )
