"""What every kind of resource gives to the reconcile engine, and the values that they exchange."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, Self

from hatchlock.address import Address
from hatchlock.errors import HatchlockError

__all__ = [
    "CONTEXT",
    "KNOWN_AFTER",
    "PROFILE",
    "Action",
    "Artefact",
    "Desired",
    "DriftPolicy",
    "Observed",
    "Privilege",
    "Problem",
    "Resource",
    "Step",
]

Privilege = Literal["none", "engine", "root"]
DriftPolicy = Literal["correct", "warn", "ignore"]
"""What a plan does about a resource that somebody else has changed: put it right, tell of it, or neither."""
CONTEXT = "build:"
"""Before a server's name: what the artefact belongs to that its image is built from."""
KNOWN_AFTER = "known after apply"
"""The value of a fact that nobody can know before the step is done."""
PROFILE = "seccomp:"
"""Before a server's name: what its seccomp profile belongs to."""


class Action(StrEnum):
    """What a step does to its resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"

    @property
    def sign(self) -> str:
        """The character that stands for it in a plan."""
        return {"create": "+", "update": "~", "replace": "±", "delete": "-"}[self.value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """A resource as it should be.

    Attributes:
        address: Which.
        key: The name of its content; equal keys mean nothing to do.
        facts: What people see of it, field -> value; a change is explained by the fields that differ.
        depends_on: What must be there first.
        privilege: What making it takes.
        notes: Sentences to show with its step: relaxations of the sandbox, what is not pinned.
        always: Names of facts that are shown whole with every step towards it, also when they stay as they are; their parts
            are parted by a comma and a blank.
        drift: What to do when somebody else has changed it.
    """

    address: Address
    key: str
    facts: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[Address, ...] = ()
    privilege: Privilege = "none"
    notes: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    drift: DriftPolicy = "correct"


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """A resource as it is.

    Attributes:
        address: Which.
        key: The name of its content.
        facts: As in `Desired`, as far as they can be read.
        loss: Why changing or deleting it would lose something that lock and store cannot remake; "" if it would not.
        cause: Why there is a step for it, where that is not a change of its declaration: words that follow the fields.
        remedy: What exactly a step would do about it, field -> value, where that depends on what there is; shown as it is.
        drifted: Somebody else has changed it, as can be seen from itself.
        policy: What to do about that, where nothing is declared that it should be like.
        handover: What the manifest says of where it comes from: "moved from server:old". The whole cause of its step, which
            is no drift.
        stays: Why it cannot be removed, for one that is not declared; None where nothing is known that speaks against it.
        former: The address that it has until its step is done, where it gets another name; else None.
        successor: What follows it, for one that is not declared: it goes after that is there, and stays as long as that is
            left alone. None for nothing.
    """

    address: Address
    key: str
    facts: Mapping[str, str] = field(default_factory=dict)
    loss: str = ""
    cause: str = ""
    remedy: Mapping[str, str] = field(default_factory=dict)
    drifted: bool = False
    policy: DriftPolicy = "correct"
    handover: str = ""
    stays: Problem | None = None
    former: Address | None = None
    successor: Address | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A resource that cannot be planned; it and what depends on it are left as they are.

    Attributes:
        address: Which.
        code: The error's code.
        what: The error's sentence.
        hint: The error's hint.
    """

    address: Address
    code: str
    what: str
    hint: str = ""

    @classmethod
    def of(cls, address: Address, error: HatchlockError, *, more: str = "") -> Self:
        """Return what an error is to the resource that it hinders; `more` ends its sentence."""
        return cls(address=address, code=error.code, what=f"{error}{more}", hint=error.hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One external effect.

    Attributes:
        address: What is changed.
        action: How.
        cause: Why, in words.
        before: The key that must still be there when the step begins; "" for nothing.
        after: The key that will be there when it is done; "" for nothing.
        details: What people see of it, field -> value.
        depends_on: The steps, by address, that must be done before.
        privilege: What it takes.
        loss: What is lost beyond what lock and store can remake; "" for nothing.
        notes: Sentences to show with it.
        drift: It puts right what somebody else has changed; the declaration is what it was when it was applied last.
    """

    address: Address
    action: Action
    cause: str
    before: str = ""
    after: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[Address, ...] = ()
    privilege: Privilege = "none"
    loss: str = ""
    notes: tuple[str, ...] = ()
    drift: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Artefact:
    """A file that a resource is made from, as the lock names it.

    Attributes:
        package: The id of its package, `pypi:anyio@4.9.0`, or `oci:REFERENCE`, or `build:SERVER`, or `seccomp:SERVER`.
        name: Its file name; for a blob of an image its digest.
        digest: SHA-256 (64 hex digits) or SHA-512 (128).
        size: Bytes; 0 when the lock does not say.
    """

    package: str
    name: str
    digest: str
    size: int = 0


class Resource(Protocol):
    """One kind of resource, of one project, on this machine. Only `apply` changes anything."""

    def desired(self) -> Iterable[Desired]:
        """Return what should be. Reads nothing from the world."""

    def observe(self) -> Iterable[Observed]:
        """Return what is, in as few reads as possible."""

    def observe_one(self, address: Address) -> Observed | None:
        """Return one resource as it is, or None."""

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return the files that creating it needs in the store."""

    def apply(self, step: Step) -> None:
        """Do the step's one effect; when it returns, the effect is durable.

        A replacement (`Action.REPLACE`) makes the same thing anew, whatever is there.

        Raises:
            HatchlockError: It could not be done; nothing half-done is left, or the next apply clears it away.
            OSError: The disk is full, or the like.
        """
