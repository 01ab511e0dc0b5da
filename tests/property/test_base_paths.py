"""Paths of a base lead where the kernel would lead them, through any symlinks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.images.layers_read import Node, resolved
from hatchlock.realise.base_tree import BasePath, BaseTree, SymlinkLoop

OPENAT2 = 437
RESOLVE_IN_ROOT = 0x10
NAMES = st.sampled_from("abc")
STEPS = st.lists(NAMES | st.sampled_from(["..", ".", ""]), max_size=3)
SHAPES = st.dictionaries(
    NAMES,
    st.recursive(st.sampled_from(["link", "link", "file"]), lambda inner: st.dictionaries(NAMES, inner), max_leaves=8),
    min_size=2,
    max_size=3,
)


@st.composite
def trees_and_paths(draw: st.DrawFn) -> tuple[Mapping[str, Any], str]:
    """Draw a tree and a path; it and the symlinks lead past what is there, or next to it."""
    shape = draw(SHAPES)
    everything = dict(items(shape))
    directories = [path for path, content in everything.items() if isinstance(content, dict)]
    links = [path for path, content in everything.items() if content == "link"]

    def somewhere(rather: Sequence[str]) -> str:
        return "/".join([draw(st.sampled_from([*rather, *rather, *everything])), *draw(st.just([]) | STEPS)])

    def filled(content: Any) -> Any:
        if isinstance(content, dict):
            return {name: filled(inner) for name, inner in content.items()}
        above = draw(st.sampled_from(["/", "/", "", "../", "./", "//"]))
        return f"{above}{somewhere(directories)}" if content == "link" else None

    return filled(shape), f"{somewhere(links)}/{draw(NAMES | st.just('..'))}"


class How(ctypes.Structure):
    """`struct open_how` (openat2(2))."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


@pytest.fixture(scope="module", autouse=True)
def _kernel_resolves_in_a_root() -> None:
    try:
        by_kernel(Path("/"), "")
    except OSError as error:
        pytest.skip(f"openat2 cannot be used here: {error}")


def by_kernel(root: Path, path: str) -> str:
    """Return where a path leads, relative to a directory that is the root for all symlinks."""
    descriptor = os.open(root, os.O_PATH)
    how = How(flags=os.O_PATH | os.O_CLOEXEC, resolve=RESOLVE_IN_ROOT)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        found = libc.syscall(OPENAT2, descriptor, (path or "/").encode(), ctypes.byref(how), ctypes.sizeof(how))
        if found < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        try:
            there = os.readlink(f"/proc/self/fd/{found}")  # noqa: PTH115
        finally:
            os.close(found)
    finally:
        os.close(descriptor)
    return os.path.relpath(there, root).removeprefix(".")


def items(tree: Mapping[str, Any], below: str = "") -> Iterator[tuple[str, Any]]:
    for name, content in tree.items():
        yield f"{below}{name}", content
        if isinstance(content, dict):
            yield from items(content, f"{below}{name}/")


@contextlib.contextmanager
def on_disk(tree: Mapping[str, Any]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made).resolve()
        for path, content in items(tree):
            if isinstance(content, dict):
                (root / path).mkdir()
            elif content is None:
                (root / path).touch()
            else:
                (root / path).symlink_to(content)
        yield root


def base_path(content: Any) -> BasePath:
    if isinstance(content, str):
        return BasePath(kind="symlink", target=content)
    return BasePath(kind="file" if content is None else "directory")


def node(content: Any) -> Node:
    if isinstance(content, str):
        return Node(kind=tarfile.SYMTYPE, target=content)
    return Node(kind=tarfile.REGTYPE if content is None else tarfile.DIRTYPE)


@given(trees_and_paths())
@settings(max_examples=400)
def test_a_file_of_ours_goes_where_the_kernel_would_put_it(drawn: tuple[Mapping[str, Any], str]) -> None:
    tree, path = drawn
    base = BaseTree(paths={name: base_path(content) for name, content in items(tree)})
    parent, _, name = path.rpartition("/")
    with on_disk(tree) as root:
        try:
            expected = by_kernel(root, path) if name == ".." else f"{by_kernel(root, f'{parent}/')}/{name}".lstrip("/")
        except OSError as error:
            if error.errno == errno.ELOOP:
                with pytest.raises(SymlinkLoop):
                    base.resolve(path)
            return  # the kernel has no answer where a directory is missing
    assert base.resolve(path) == expected


@given(trees_and_paths())
@settings(max_examples=400)
def test_a_file_of_the_base_is_found_where_the_kernel_finds_it(drawn: tuple[Mapping[str, Any], str]) -> None:
    tree, path = drawn
    nodes = {name: node(content) for name, content in items(tree)}
    with on_disk(tree) as root:
        try:
            expected = by_kernel(root, path)
        except OSError as error:
            if error.errno == errno.ELOOP:
                assert resolved(nodes, path) == ""
            return
    assert resolved(nodes, path) == expected


@pytest.mark.parametrize("links", [40, 41])
def test_the_kernel_gives_up_after_as_many_symlinks(links: int) -> None:
    tree = {"d0": {}, **{f"d{number}": f"d{number - 1}" for number in range(1, links + 1)}}
    base = BaseTree(paths={name: base_path(content) for name, content in items(tree)})
    with on_disk(tree) as root:
        outcomes = [outcome(lambda: base.resolve(f"d{links}/x")), outcome(lambda: f"{by_kernel(root, f'd{links}/')}/x")]
    assert outcomes == (["d0/x"] * 2 if links == 40 else ["in a circle"] * 2)


def outcome(resolve: Callable[[], str]) -> str:
    try:
        return resolve()
    except SymlinkLoop:
        return "in a circle"
    except OSError as error:
        return "in a circle" if error.errno == errno.ELOOP else str(error)
