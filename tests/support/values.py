"""Arbitrary locks, worlds and plans, for hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from hatchlock.address import Address, Kind, ResourceKind
from hatchlock.launch import LaunchRecord, Mount, Sandbox, SecretReference, SourceTree
from hatchlock.lock.images import Image, ImageOutput, ImagePlatform, Layer
from hatchlock.lock.model import Archive, Build, Environment, File, Lock, Package, Server
from hatchlock.manifest.model import PLATFORMS
from hatchlock.resources.base import Desired, Observed, Problem

__all__ = ["TEXT", "desired_sets", "launch_records", "locks", "observed_sets", "problem_sets"]

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
)

NAMES = ["a", "b", "cursor/a", "cursor/b", "claude-code/a"]
ADDRESSES = st.builds(Address, kind=st.sampled_from(ResourceKind), name=st.sampled_from(NAMES))
KEYS = st.sampled_from(["1", "2", "3"])
FACTS = st.dictionaries(st.sampled_from(["python", "key", "file"]), st.sampled_from(["x", "y", ""]), max_size=2)


@st.composite
def desired_sets(draw: st.DrawFn) -> list[Desired]:
    """Draw what should be: each address once, dependencies only on what stands before it, so without a cycle."""
    addresses = draw(st.lists(ADDRESSES, unique=True, max_size=8))
    return [
        Desired(
            address=address,
            key=draw(KEYS),
            facts=draw(FACTS),
            depends_on=tuple(draw(st.lists(st.sampled_from(addresses[:number]), unique=True, max_size=3)))
            if number
            else (),
            notes=tuple(draw(st.lists(st.sampled_from(["careful"]), max_size=1))),
        )
        for number, address in enumerate(addresses)
    ]


observed_sets = st.lists(
    st.builds(Observed, address=ADDRESSES, key=KEYS, facts=FACTS, loss=st.sampled_from(["", "", "data"])),
    unique_by=lambda item: item.address,
    max_size=8,
)
problem_sets = st.lists(
    st.builds(Problem, address=ADDRESSES, code=st.just("trouble"), what=st.just("it cannot be")),
    unique_by=lambda item: item.address,
    max_size=2,
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
