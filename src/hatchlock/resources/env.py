"""Environments of the process runtime: built in place by uv, from the store's blobs alone, named by what went in."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import key_of
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Step
from hatchlock.store.receipts import finished

if TYPE_CHECKING:
    from hatchlock.store.blobs import Blobs

__all__ = ["EnvResource", "EnvSpec"]

_RULE = "env:1"
_NAME_DIGITS = 20
"""A shebang line holds 127 bytes, and the store's path is in it too."""
_BUILD_TIMEOUT = 600.0
_FINDING_UV = threading.Lock()
"""It asks `sysconfig`, which gives wrong answers to threads that ask at once for the first time."""
_COMPILE = "import compileall, sys; compileall.compile_dir(sys.argv[1], quiet=2, workers=0)"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvSpec:
    """An environment as it should be on this machine.

    Attributes:
        name: Its name in the manifest.
        python: The interpreter's real path.
        python_version: Its full version.
        wheels: What is installed, sorted by file name.
    """

    name: str
    python: str
    python_version: str
    wheels: tuple[Artefact, ...]

    @property
    def address(self) -> Address:
        """`env:NAME`."""
        return Address(kind=ResourceKind.ENV, name=self.name)

    @property
    def key(self) -> str:
        """The directory's name: 20 hex digits over interpreter and ordered wheels."""
        parts = [self.python, self.python_version, *(f"{wheel.name} {wheel.digest}" for wheel in self.wheels)]
        return key_of(_RULE, parts)[:_NAME_DIGITS]


class EnvResource:
    """The environments of one project; see `resources.base.Resource`."""

    def __init__(self, specs: Iterable[EnvSpec], *, home: Home, purpose: str, lock_timeout: float) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._home = home
        self._purpose = purpose
        self._lock_timeout = lock_timeout
        self._building = {spec.key: threading.Lock() for spec in self._specs.values()}

    def desired(self) -> Iterable[Desired]:
        """Return every environment, with how many packages it has."""
        return [
            Desired(
                address=address,
                key=spec.key,
                facts={"python": spec.python_version, "packages": str(len(spec.wheels)), "key": spec.key},
            )
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return those of the declared environments that are complete."""
        return [seen for address in self._specs if (seen := self.observe_one(address))]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the environment if its receipt is there and its interpreter still exists."""
        key = self._specs[address].key
        tree = self._home.envs / key
        if not finished(tree) or not (tree / "bin" / "python").exists():
            return None
        return Observed(address=address, key=key)

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return its wheels."""
        return self._specs[address].wheels

    def apply(self, step: Step) -> None:
        """Build the environment. Two projects that want the same one build it once.

        Raises:
            ProcessFailed: uv could not build it.
            WrongHash: A blob of the store is damaged; it is removed.
        """
        from hatchlock.state.lease import lease  # noqa: PLC0415  `plan` only looks
        from hatchlock.store.blobs import Blobs  # noqa: PLC0415

        spec = self._specs[step.address]
        tree = self._home.envs / spec.key
        path = self._home.root / "locks" / f"env-{spec.key}.lock"
        # threads of this apply that want the same one wait for each other, however long it takes
        with (
            self._building[spec.key],
            lease(path, what=f"environment {spec.key}", purpose=self._purpose, timeout=self._lock_timeout),
        ):
            if self.observe_one(step.address) is None:
                with _after_orphans(path.with_suffix(".build")) as held:
                    _build(spec, tree, Blobs(self._home.blobs), held)


@contextlib.contextmanager
def _after_orphans(path: Path) -> Iterator[int]:
    """Wait for the uv of a killed apply, which works on without it, and yield the lock that our own uv inherits.

    The lease ends with our process; this lock ends with the last process that has its descriptor.
    """
    import fcntl  # noqa: PLC0415  not on every system

    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _build(spec: EnvSpec, tree: Path, blobs: Blobs, held: int) -> None:
    from hatchlock.process import run  # noqa: PLC0415
    from hatchlock.store.receipts import building  # noqa: PLC0415

    program = _uv_program()
    receipt = {"python": spec.python, "python_version": spec.python_version, "wheels": [w.name for w in spec.wheels]}
    with building(tree, receipt), _scratch_directory(tree.with_name(f".build-{spec.key}")) as scratch:
        env = {
            "HOME": str(scratch),
            "PATH": "/usr/bin:/bin",
            "UV_CACHE_DIR": f"{scratch}/cache",
            "UV_NO_CONFIG": "1",
            "UV_OFFLINE": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
        wheels = [_named_copy(wheel, blobs, scratch) for wheel in spec.wheels]
        create = [program, "venv", "--quiet", "--python", spec.python, str(tree)]
        run(create, env=env, timeout=_BUILD_TIMEOUT, keep_open=[held])
        if not wheels:
            return
        # uv may hard-link out of its cache: that cache is this build's own and is deleted with it, so no two
        # environments share a file.
        install = [program, "pip", "install", "--quiet", "--python", str(tree / "bin" / "python")]
        options = ["--no-deps", "--no-index", "--no-build", "--link-mode", "hardlink"]
        run([*install, *options, *map(str, wheels)], env=env, timeout=_BUILD_TIMEOUT, keep_open=[held])
        # Not by uv, which starts the environment's own interpreter: that runs the `.pth` files of what was installed,
        # as us and outside of any sandbox. Without `site` nothing of it is run.
        compile_all = [spec.python, "-I", "-S", "-c", _COMPILE, str(tree / "lib")]
        run(compile_all, env=env, timeout=_BUILD_TIMEOUT, keep_open=[held])


def _uv_program() -> str:
    import uv  # noqa: PLC0415  only to find its program, and only here

    with _FINDING_UV:
        return uv.find_uv_bin()


@contextlib.contextmanager
def _scratch_directory(path: Path) -> Iterator[Path]:
    """Under a name that does not change, so that what a killed build left is found, and cleared away, by the next one."""
    import shutil  # noqa: PLC0415

    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _named_copy(wheel: Artefact, blobs: Blobs, scratch: Path) -> Path:
    """Give a checked blob the name that says which wheel it is."""
    import shutil  # noqa: PLC0415

    blobs.verify(wheel.digest)
    named = scratch / wheel.name
    shutil.copyfile(blobs.path(wheel.digest), named)
    return named
