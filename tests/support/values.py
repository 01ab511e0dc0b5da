"""Arbitrary locks, worlds and plans, for hypothesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, get_args

from hypothesis import strategies as st

from hatchlock.address import Address, Kind, ResourceKind
from hatchlock.launch import LaunchRecord, Mount, Sandbox, SecretReference, SourceTree
from hatchlock.lock.images import Image, ImageOutput, ImagePlatform, Layer
from hatchlock.lock.model import Archive, Build, Environment, File, Lock, Package, Server
from hatchlock.lock.surfaces import Definition, Surface, readable, surface_of
from hatchlock.manifest.model import PLATFORMS
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Desired, DriftPolicy, Observed, Problem
from hatchlock.surface import definition_hash

__all__ = ["DEFINITIONS", "SURFACES", "TEXT", "Situation", "launch_records", "locks", "situations"]

ODD = ['"', "\\", "'", "\n", "\r\n", "\t", "\x00", "\x1f", "\x7f", "#", "[a]", "=", "ä", "\u2028", "𝄞", '"""', ".", ""]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(ODD)
SOME = TEXT.filter(bool)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
WORD = st.sampled_from([*ODD, "a"])
FEW = st.sampled_from([(), ("",), ("a", 'ä"\n'), ("]]", "#", "\x00")])
"""Words and lists for most of the many fields: a whole lock of random ones is too much to draw."""


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    # one draw, where a text would be one for each digit
    return st.integers(0, 16**digits - 1).map(f"{{:0{digits}x}}".format)


HEX = hexadecimal(64)
DIGEST = HEX.map("sha256:".__add__)
OBJECT = hexadecimal(40) | HEX
SHA512 = hexadecimal(128)
PLATFORM = st.sampled_from(PLATFORMS)
FILE_NAME = SOME.filter(lambda name: name[0] not in ".-" and not {"/", "\\", "\0"} & set(name))
SIZE = st.integers(1, 2**62)
SECONDS = st.floats(0.001, 3600)


def tables(keys: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Mapping[str, Any]]:
    return st.dictionaries(keys, values, max_size=3)


PLACE = st.lists(SOME.filter(lambda name: name not in {".", ".."} and not {"/", "\\", "\0"} & set(name)), min_size=1)
TREE_PATH = PLACE.map("/".join)
FILES = st.builds(
    File,
    name=FILE_NAME,
    sha256=HEX,
    sha512=st.just("") | SHA512,
    size=st.integers(0, 2**62),
    platform=st.just("") | PLATFORM,
) | st.builds(File, name=FILE_NAME, sha512=SHA512)
ANY_PACKAGE = st.builds(
    Package,
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.DEB]),
    name=SOME,
    version=SOME,
    ecosystem=st.sampled_from(["", "python", "node"]),
    source=TEXT,
    index=WORD,
    location=WORD,
    commit=st.just("") | OBJECT,
    tree_hash=st.just("") | OBJECT,
    subdirectory=WORD,
    files=st.lists(FILES, max_size=3).map(tuple),
    dependencies=TEXTS,
    scripts=tables(TEXT, TEXT),
    import_root=WORD,
    requires_python=WORD,
    requires_node=WORD,
    systems=FEW,
    processors=FEW,
    libc=FEW,
    install_script=st.booleans(),
    licence=TEXT,
    authors=WORD,
    provides=FEW,
    contributors=FEW,
    citations=FEW,
    provenance=FEW,
    command=FEW,
    args=FEW,
    env=st.sampled_from([{}, {"A": ""}, {"ä.b": 'x"\n', "": "="}]),
    needs=FEW,
    transport=st.sampled_from(["", "sse", "\n"]),
    publisher=WORD,
    repository=WORD,
    source_class=SOME,
    signature=SOME,
)
PACKAGES = ANY_PACKAGE | st.builds(
    replace,
    ANY_PACKAGE,
    kind=st.just(Kind.DEB),
    # they become words of apt
    name=st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,8}", fullmatch=True),
    version=st.from_regex(r"[0-9][A-Za-z0-9.+~:-]{0,8}", fullmatch=True),
)
ARCHIVES = st.builds(
    Archive,
    name=SOME,
    suite=SOME,
    components=FEW,
    snapshot=WORD,
    date=st.sampled_from(["2026-01-01T00:00:00Z", "2026-02-28T23:59:59+00:00"]),
    sha256=HEX,
    keys=FEW,
)
LAYERS = st.builds(Layer, digest=DIGEST, size=SIZE, diff_id=DIGEST)
IMAGE_PLATFORMS = st.builds(
    ImagePlatform,
    digest=DIGEST,
    config=DIGEST,
    config_size=SIZE,
    layers=st.lists(LAYERS, max_size=3).map(tuple),
    entrypoint=TEXTS,
    command=FEW,
    user=TEXT,
    working_directory=WORD,
    env=FEW,
    ports=FEW,
    volumes=FEW,
    stop_signal=WORD,
    version=WORD,
    licence=WORD,
    repository=WORD,
    mcp_name=WORD,
    key=st.just("") | HEX,
    python=WORD,
    python_path=WORD,
    node=WORD,
    libc=WORD,
    symlinks=tables(WORD, WORD),
    packages=FEW,
)
IMAGES = st.builds(
    Image,
    reference=SOME,
    digest=DIGEST,
    platforms=st.dictionaries(PLATFORM, IMAGE_PLATFORMS, min_size=1, max_size=3),
)
OUTPUTS = st.builds(ImageOutput, config=DIGEST, layers=st.lists(DIGEST, min_size=1, max_size=2).map(tuple))
ENVIRONMENTS = st.builds(
    Environment,
    name=SOME,
    private=st.booleans(),
    runtime=st.sampled_from(["process", "container"]),
    python=WORD,
    managed=tables(PLATFORM, FILES),
    node=WORD,
    base=WORD,
    trust=TEXT,
    requirements=TEXTS,
    constraints=FEW,
    overrides=FEW,
    packages=TEXTS,
    platform_packages=tables(PLATFORM, TEXTS.filter(bool)),
    tree=tables(TREE_PATH, SOME),
    builds=tables(SOME, SOME),
    scripts=FEW,
    makes=WORD,
    keys=tables(PLATFORM, HEX),
    outputs=tables(PLATFORM, OUTPUTS),
)
BUILDS = st.builds(
    Build,
    server=SOME,
    context=SOME,
    dockerfile=TREE_PATH,
    target=WORD,
    args=tables(WORD, WORD),
    files=st.lists(FILES, max_size=1).map(tuple),
    images=FEW,
    base=WORD,
    entrypoint=FEW,
    command=FEW,
    inherits=FEW,
    image=WORD,
    keys=tables(PLATFORM, HEX),
)
MOUNTS = st.builds(Mount, source=TEXT, target=TEXT, mode=st.sampled_from(["ro", "rw"]))
SANDBOXES = st.builds(
    Sandbox,
    network=TEXTS,
    user=WORD,
    run_as=st.sampled_from(["user", "host"]),
    read_only=st.booleans(),
    memory=WORD,
    cpus=st.floats(0, 512),
    pids=st.integers(0, 2**31),
    mounts=st.lists(MOUNTS, max_size=2).map(tuple),
    writable=FEW,
    capabilities=FEW,
    stop_grace=st.floats(0, 3600),
    reason=TEXT,
)
SECRETS = st.builds(
    SecretReference,
    secret=SOME,
    format=SOME,
    as_=st.sampled_from(["variable", "file"]),
    required=st.booleans(),
)
SERVERS = st.builds(
    Server,
    name=SOME,
    source=TEXT,
    runtime=st.sampled_from(["process", "container"]),
    isolation=st.sampled_from(["required", "best-effort"]),
    environment=WORD,
    image=WORD,
    command=TEXTS,
    choices=FEW,
    args=TEXTS,
    cwd=WORD,
    env=tables(TEXT, TEXT),
    secrets=tables(TEXT, SECRETS),
    sandbox=SANDBOXES,
    startup_timeout=SECONDS,
    transport=st.sampled_from(["stdio", "sse", "streamable-http"]),
    trust=WORD,
    url=WORD,
    headers=tables(TEXT, TEXT),
    header_secrets=tables(TEXT, SECRETS),
    port=st.integers(0, 65535),
    path=WORD,
    host_port=st.integers(0, 65535),
    serve=st.sampled_from(["", "http"]),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    TEXT
    | st.none()
    | st.booleans()
    | st.integers(1 - 2**53, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
DEFINITIONS = st.builds(lambda name, more: {**more, "name": name}, TEXT, st.dictionaries(TEXT, JSON, max_size=3))
_MEMBERS = st.sampled_from([{}, {"a": 'ä"\n\x7f'}, {"'": ["'''", 1, 0.5, None]}, {"\u2028": {"": True}}])
_SIMPLE = st.builds(lambda name, more: {**more, "name": name}, WORD, _MEMBERS)
"""Some definitions for whole locks; `DEFINITIONS` takes too long for these."""


def _pinned(definition: Mapping[str, Any]) -> Definition:
    return Definition(name=definition["name"], sha256=definition_hash(definition), text=readable(definition))


def _listings() -> st.SearchStrategy[list[Definition]]:
    return st.lists(_SIMPLE.map(_pinned), max_size=2, unique_by=lambda item: item.name)


def _surface(varies: bool, tools: list[Definition], prompts: list[Definition], **facts: Any) -> Surface:
    labels = [*(f"tool {item.name}" for item in tools), *(f"prompt {item.name}" for item in prompts)]
    surface = surface_of(tools=tools, prompts=prompts, varying=labels[1:] if varies else (), **facts)
    return replace(surface, artefacts={"linux/arm64": surface.artefact} if varies else {})


SURFACES: st.SearchStrategy[Surface] = st.builds(
    _surface,
    st.booleans(),
    _listings(),
    _listings(),
    server=SOME,
    artefact=HEX,
    protocol=WORD,
    secrets=FEW,
    instructions=st.none() | TEXT,
)
locks = st.builds(
    Lock,
    project=SOME,
    platforms=TEXTS,
    exclude_newer=st.sampled_from(["", "2026-01-01T00:00:00+00:00", "2026-02-28T23:59:59Z"]),
    packages=st.lists(PACKAGES, max_size=3, unique_by=lambda item: item.id).map(tuple),
    archives=st.lists(ARCHIVES, max_size=2, unique_by=lambda item: item.name).map(tuple),
    images=st.lists(IMAGES, max_size=2, unique_by=lambda item: item.reference).map(tuple),
    builds=st.lists(BUILDS, max_size=2, unique_by=lambda item: item.server).map(tuple),
    environments=st.lists(ENVIRONMENTS, max_size=2, unique_by=lambda item: (item.name, item.runtime)).map(tuple),
    servers=st.lists(SERVERS, max_size=2, unique_by=lambda item: item.name).map(tuple),
    surfaces=st.lists(SURFACES, max_size=2, unique_by=lambda item: item.server).map(tuple),
)

NAMES = ["a", "b", "cursor/a", "cursor/b", "claude-code/a", "a/data"]
ADDRESSES = st.sampled_from([Address(kind=kind, name=name) for kind in ResourceKind for name in NAMES])
KEYS = ["1", "2", "3"]
FACTS: list[dict[str, str]] = [{}, {"python": "x"}, {"python": "y", "file": "x"}, {"key": "", "file": "x"}]
POLICIES: tuple[DriftPolicy, ...] = get_args(DriftPolicy)


def one_of_each(*choices: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw one of each of several short lists; the first of each is the simplest."""
    sizes = [len(items) for items in choices]

    def chosen(number: int) -> tuple[Any, ...]:
        found = []
        for items in choices:
            number, place = divmod(number, len(items))
            found.append(items[place])
        return tuple(found)

    # one draw, where there would be one for each list
    return st.integers(0, prod(sizes) - 1).map(chosen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """All that a plan follows from."""

    desired: list[Desired]
    observed: list[Observed]
    problems: list[Problem]
    applied: Mapping[Address, str]
    forgotten: frozenset[Address]
    again: frozenset[Address]

    def plan(self) -> Plan:
        """Return what is to be done."""
        return diff(
            self.desired,
            self.observed,
            self.problems,
            applied=self.applied,
            forgotten=self.forgotten,
            again=self.again,
        )


_DESIRED = one_of_each(KEYS, FACTS, [(), ("careful",)], POLICIES)
_FOUND = one_of_each(
    KEYS,
    FACTS,
    ["", "", "data"],
    ["", "by hand"],
    [{}, {"command": "mend it"}],
    [False, True],
    POLICIES,
    ["", "", "moved from server:z"],
)


@st.composite
def _desired_sets(draw: st.DrawFn) -> list[Desired]:
    """Draw what should be: each address once, dependencies only on what stands before it, so without a cycle."""
    addresses = draw(st.lists(ADDRESSES, unique=True, max_size=8))
    made = []
    for number, address in enumerate(addresses):
        key, facts, notes, drift = draw(_DESIRED)
        needs = draw(st.integers(0, 2**number - 1))  # a bit for each of those before it
        depends_on = tuple(other for place, other in enumerate(addresses[:number]) if needs >> place & 1)
        made.append(Desired(address=address, key=key, facts=facts, depends_on=depends_on, notes=notes, drift=drift))
    return made


def _seen(address: Address, found: tuple[Any, ...]) -> Observed:
    names = ("key", "facts", "loss", "cause", "remedy", "drifted", "policy", "handover")
    return Observed(address=address, **dict(zip(names, found, strict=True)))


_SOME_ADDRESSES = st.frozensets(ADDRESSES, max_size=4)
situations = st.builds(
    Situation,
    desired=_desired_sets(),
    observed=st.lists(st.builds(_seen, ADDRESSES, _FOUND), unique_by=lambda item: item.address, max_size=8),
    problems=st.lists(ADDRESSES, unique=True, max_size=2).map(
        lambda addresses: [Problem(address=address, code="trouble", what="it cannot be") for address in addresses]
    ),
    applied=st.dictionaries(ADDRESSES, st.sampled_from(KEYS), max_size=6),
    forgotten=_SOME_ADDRESSES,
    again=_SOME_ADDRESSES,
)

launch_records = st.builds(
    LaunchRecord,
    project=SOME,
    server=SOME,
    runtime=st.sampled_from(["process", "container"]),
    isolation=st.sampled_from(["required", "best-effort"]),
    argv=TEXTS,
    cwd=TEXT,
    env=tables(TEXT, TEXT),
    secrets=tables(TEXT, SECRETS),
    sandbox=SANDBOXES,
    key=TEXT,
    read_only_paths=TEXTS,
    image=TEXT,
    engine=TEXT,
    directory=TEXT,
    startup_timeout=SECONDS,
    source=st.none() | st.builds(SourceTree, directory=SOME, live=TEXT, sha256=TEXT),
)
