"""Environments of the process runtime: built in place, from the store's blobs alone, named by what went in."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.address import Address
from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.paths import Home
from hatchlock.resources.base import Action, Artefact, Desired, Observed, Step
from hatchlock.resources.build_facts import missing_inputs, told_of_builds
from hatchlock.resources.env_receipt import receipt_damage
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.receipts import discard as discard_tree
from hatchlock.store.receipts import finished

__all__ = ["EnvResource", "EnvironmentInUse"]

_DAMAGED = "damaged"


@dataclass(kw_only=True, eq=False)
class EnvironmentInUse(HatchlockError):
    """An environment cannot be made anew while a server runs from it."""

    code: ClassVar[str] = "environment-in-use"

    def __str__(self) -> str:
        return "a server runs from it; it was left as it is"

    def _hint(self) -> str:
        return "end the sessions of its servers, then run the same command"


class EnvResource:
    """The environments of one project; see `resources.base.Resource`."""

    def __init__(
        self,
        specs: Iterable[EnvSpec],
        *,
        home: Home,
        logs: Path,
        purpose: str,
        lock_timeout: float,
        emit: Sink = discard,
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._home = home
        self._logs = logs
        self._purpose = purpose
        self._lock_timeout = lock_timeout
        self._emit = emit
        self._building = {spec.key: threading.Lock() for spec in self._specs.values()}

    def desired(self) -> Iterable[Desired]:
        """Return every environment, with how many packages it has."""
        return [
            Desired(address=address, key=spec.key, facts=self._facts(spec)) for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return those of the declared environments that are complete."""
        return [seen for address in self._specs if (seen := self.observe_one(address))]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the environment if its receipt is there, and its interpreters and what conda has for it still exist.

        One whose receipt is damaged has another key: what it was made from, nobody can say.
        """
        spec = self._specs[address]
        key = spec.key
        tree = self._home.envs / key
        if not finished(tree) or (spec.python and not (tree / "bin" / "python").exists()):
            return None
        if spec.node and not Path(spec.node.path).exists():
            return None
        if spec.conda and not finished(Path(spec.conda.root)):
            return None
        if damage := receipt_damage(spec, tree):
            return Observed(address=address, key=_DAMAGED, facts=self._facts(spec), cause=f"({damage})")
        return Observed(address=address, key=key)

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return everything that it is made from, but for what was built already."""
        return missing_inputs(self._specs[address], self._home).artefacts

    def apply(self, step: Step) -> None:
        """Build the environment. Two projects that want the same one build it once; what is damaged of one is deleted before.

        One that is to be made anew gets what it shares with others anew as well, if that is not what was installed.

        Raises:
            EnvironmentInUse: It is to be made anew, and a server runs from it, or from what it shares.
            ProcessFailed: uv could not build it.
            BuildFailed, BadBuildResult, BuildNotIsolated: A package of it cannot be built.
            BadArchive: An archive cannot be unpacked.
            WrongHash: A blob of the store is damaged; it is removed.
        """
        from hatchlock.resources.env_build import after_orphans, build  # noqa: PLC0415
        from hatchlock.state.lease import lease  # noqa: PLC0415  `plan` only looks

        spec = self._specs[step.address]
        tree = self._home.envs / spec.key
        path = self._home.root / "locks" / f"env-{spec.key}.lock"
        what = f"the environment {spec.name} ({spec.key})"
        # threads of this apply that want the same one wait for each other, however long it takes
        with (
            self._building[spec.key],
            lease(path, what=what, purpose=self._purpose, timeout=self._lock_timeout, emit=self._emit),
        ):
            seen = self.observe_one(step.address)
            in_the_way = step.action is Action.REPLACE or (seen is not None and seen.key == _DAMAGED)
            if in_the_way and not (self._without_altered(spec) and discard_tree(tree)):
                raise EnvironmentInUse(address=str(step.address))
            if self.observe_one(step.address) is None:
                with after_orphans(path.with_suffix(".build")) as held:
                    build(spec, tree, home=self._home, held=held, logs=self._logs, emit=self._emit)

    def _without_altered(self, spec: EnvSpec) -> bool:
        from hatchlock.resources.env_shared import discard_altered, shared_trees  # noqa: PLC0415  as above

        return all(discard_altered(root) for root in shared_trees(spec))

    def _facts(self, spec: EnvSpec) -> Mapping[str, str]:
        return {**spec.facts, **told_of_builds(spec, self._home)}
