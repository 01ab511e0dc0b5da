"""Bytecode for an image that an engine has: what this machine puts on top of the pinned one, under a tag of its own.

The base's own interpreter makes it (`engines.bytecode_run`), once for all images that have the same files; what it made is
kept (`engines.bytecode_kept`). Layers and config are written here: `docs/decisions/0032-bytecode-of-images.md` says why the
engine does not commit the container.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hatchlock.digest import canonical_json, key_of, sha256_bytes
from hatchlock.engines.bytecode_kept import KeptLayers
from hatchlock.engines.bytecode_run import PROGRAM, BytecodeFailed, read_said, remove_leftovers, run_compiler
from hatchlock.engines.docker import Engine
from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.assemble import Composed, load
from hatchlock.paths import Home
from hatchlock.security.container import LABEL
from hatchlock.state.lease import LeaseHeld, lease

__all__ = ["CACHE", "LIBRARY", "LOCAL_LABEL", "BytecodePart", "add_bytecode"]

CACHE = "bytecode"
"""The directory of the cache that has the layers."""

LIBRARY = "library"
"""Stands for the directory of an interpreter's own library."""

LOCAL_LABEL = f"{LABEL}.local"
"""Of an image that is a pinned one with something of this machine on top: what that is."""

_RULE = "bytecode:2"
_BYTECODE = "bytecode"
_SECONDS = 900.0
_EMPTY = f"sha256:{sha256_bytes(bytes(1024))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BytecodePart:
    """Python files of an image whose bytecode is one layer.

    Attributes:
        directories: Where they are: absolute paths in the image, or `LIBRARY`.
        inputs: What decides on them and on the interpreter: digests of layers, and whatever else does.
    """

    directories: tuple[str, ...]
    inputs: tuple[str, ...]


def add_bytecode(
    engine: Engine,
    image: Composed,
    *,
    pinned: str,
    tag: str,
    python: str,
    parts: Sequence[BytecodePart],
    home: Home,
    has: Callable[[Sequence[str]], bool] = lambda _: False,
    whole: Callable[[], Composed] | None = None,
) -> tuple[str, ...]:
    """Give an image of the engine a sibling that has bytecode of its Python files, and return the sibling's diff ids.

    Nothing of what is installed is run or imported: files are parsed, and those that do not compile are left out. Where
    there is good bytecode already, none is made; so an image for which there is nothing to do is its own sibling. What was
    made once for a part is kept in the cache: when all parts are there, no container is started. Of several who need the
    same part at once, one makes it. Containers that a killed apply of the project left are removed first; the own one is
    removed at the end, whatever happens.

    Args:
        engine: Has the image.
        image: The image, as it was loaded.
        pinned: Its tag (`images.key.image_tag`).
        tag: The sibling's (`images.key.local_tag`); whatever had it before has it no more.
        python: The interpreter, an absolute path in the image.
        parts: What to compile; each becomes a layer, the first one the lowest.
        home: The store, for its cache.
        has: Whether the engine has these layers, on top of one another: the last one is not sent then.
        whole: Makes the image with all its layers, for an engine that wants to have them again.

    Raises:
        BytecodeFailed: The interpreter failed, or what it says is no bytecode.
        LeaseHeld: Another process makes the same, and does not come to an end.
        NotLoaded: The engine refuses the image.
        EngineError, EngineFailed, EngineUnreachable: The engine refuses something else, or is gone.
        OSError: The disk is full.
    """
    remove_leftovers(engine, pinned)
    by_key = {_key(engine, python, part): part for part in parts}
    found = _layers(engine, by_key, pinned=pinned, python=python, home=home)
    layers = [found[key] for key in by_key if found[key].diff_id != _EMPTY]
    if not layers:
        engine.tag(pinned, tag)
        return image.diff_ids
    again = None if whole is None else lambda: _with_layers(whole(), layers)
    load(_with_layers(image, _without_known(image, layers, has)), engine=engine, tag=tag, whole=again)
    return (*image.diff_ids, *(layer.diff_id for layer in layers))


def _key(engine: Engine, python: str, part: BytecodePart) -> str:
    """Name what comes out by what goes in; one engine does not get what another one's containers said."""
    program = sha256_bytes(PROGRAM.read_bytes())
    return key_of(_RULE, [program, engine.id(), python, json.dumps(part.directories), *part.inputs])


def _with_layers(image: Composed, layers: Sequence[ArchiveLayer]) -> Composed:
    """Return the image with some layers more, and nothing else changed but a label that says so."""
    config = json.loads(image.config)
    config["config"]["Labels"] = {**(config["config"].get("Labels") or {}), LOCAL_LABEL: _BYTECODE}
    config["rootfs"]["diff_ids"] += [layer.diff_id for layer in layers]
    config["history"] += [{"created": config["created"], "created_by": f"hatchlock {_BYTECODE}"} for _ in layers]
    return replace(image, config=canonical_json(config), above=(*image.above, *layers))


def _without_known(
    image: Composed, layers: Sequence[ArchiveLayer], has: Callable[[Sequence[str]], bool]
) -> list[ArchiveLayer]:
    ids = [*image.diff_ids, *(layer.diff_id for layer in layers)]
    below = len(image.diff_ids)
    return [
        replace(layer, path=None) if has(ids[: below + number]) else layer for number, layer in enumerate(layers, 1)
    ]


def _layers(
    engine: Engine, parts: Mapping[str, BytecodePart], *, pinned: str, python: str, home: Home
) -> Mapping[str, ArchiveLayer]:
    """Return the layer of each part, by its key: found in the cache, or made now."""
    kept = KeptLayers(home.cache / CACHE)
    layers = _found(kept, parts)
    while missing := [key for key in parts if key not in layers]:
        with _held(missing, home) as keys:
            layers |= _found(kept, keys)  # whoever held it before has made it
            if unmade := {key: parts[key] for key in keys if key not in layers}:
                layers |= _made(engine, unmade, kept, pinned=pinned, python=python)
    return layers


def _found(kept: KeptLayers, keys: Sequence[str] | Mapping[str, BytecodePart]) -> dict[str, ArchiveLayer]:
    return {key: layer for key in keys if (layer := kept.find(key))}


@contextlib.contextmanager
def _held(keys: Sequence[str], home: Home) -> Iterator[Sequence[str]]:
    """Hold what nobody else is making, and yield that; where there is nothing of the kind, wait for the first one.

    Who holds something does not wait, so two cannot wait for each other.
    """
    with contextlib.ExitStack() as stack:
        held = []
        for key in keys:
            with contextlib.suppress(LeaseHeld):
                stack.enter_context(_lease(key, home, timeout=0))
                held.append(key)
        if not held:
            stack.enter_context(_lease(keys[0], home, timeout=_SECONDS))
            held.append(keys[0])
        yield held


def _lease(key: str, home: Home, *, timeout: float) -> contextlib.AbstractContextManager[None]:
    path = home.root / "locks" / f"bytecode-{key}.lock"
    return lease(path, what="bytecode of an image", purpose="apply", timeout=timeout)


def _made(
    engine: Engine, parts: Mapping[str, BytecodePart], kept: KeptLayers, *, pinned: str, python: str
) -> dict[str, ArchiveLayer]:
    """Make the layers of some parts with one container."""
    keys = list(parts)
    words = [f"{number}:{directory}" for number, key in enumerate(keys) for directory in parts[key].directories]
    with kept.scratch(keys) as scratch:
        said = scratch / "said"
        run_compiler(engine, pinned, python, words, said)
        entries = list(read_said(said, pinned))
        if entries and max(number for number, _ in entries) >= len(keys):
            raise BytecodeFailed(image=pinned, why="it says more than it was asked for")
        return {
            key: kept.keep(key, [entry for part, entry in entries if part == number], scratch=scratch)
            for number, key in enumerate(keys)
        }
