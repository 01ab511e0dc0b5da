"""A base as what lies below layers: its paths and some of its files, read from its layers once and kept."""

from __future__ import annotations

import base64
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from hatchlock.images.layers_read import Node, merged
from hatchlock.net.cache import Cache
from hatchlock.realise.base_tree import BasePath, BaseTree

__all__ = ["read_below"]

_FORM = "base-tree-1"
_Kind = Literal["file", "directory", "other"]
_KINDS: Mapping[bytes, _Kind] = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory"}


def read_below(layers: Sequence[Path], pattern: re.Pattern[str], *, cache: Path, key: str) -> BaseTree:
    """Return what a base has.

    Args:
        layers: Files with the layers' bytes, lowest first. They are read only if the cache does not have them.
        pattern: Matches the whole paths of the files whose content is wanted, relative to the root: `etc/[^/]+`. Symlinks
            are not followed.
        cache: A directory where what was read is kept.
        key: Names the base's content: the digests of its layers.

    Raises:
        BadLayer: A layer is damaged, or compressed in a way that is not known.
        PermissionProblem: The cache is not ours to write.
        OSError: A layer cannot be read, or the cache not be written.
    """
    kept = Cache(cache)
    name = f"{_FORM} {key} {pattern.flags} {pattern.pattern}"
    known = kept.load(name)
    if known:
        return _unpacked(known.body)
    tree = _tree(merged(layers, ((pattern, bytes),)), pattern)
    kept.save(name, _packed(tree))
    return tree


def _tree(nodes: Mapping[str, Node], pattern: re.Pattern[str]) -> BaseTree:
    return BaseTree(
        paths={path: _path(node) for path, node in nodes.items()},
        files={
            path: node.content
            for path, node in nodes.items()
            if node.kind == tarfile.REGTYPE and pattern.fullmatch(path)  # a hard link has what its file was read for
        },
    )


def _path(node: Node) -> BasePath:
    if node.kind == tarfile.SYMTYPE:
        return BasePath(kind="symlink", target=node.target)
    return BasePath(kind=_KINDS.get(node.kind, "other"))


def _packed(tree: BaseTree) -> bytes:
    by_kind: dict[str, list[str]] = {}
    for path, found in tree.paths.items():
        by_kind.setdefault(found.kind, []).append(path)
    links = {path: tree.paths[path].target for path in by_kind.pop("symlink", [])}
    files = {path: base64.b64encode(content).decode() for path, content in tree.files.items()}
    return json.dumps({"paths": by_kind, "links": links, "files": files}).encode()


def _unpacked(body: bytes) -> BaseTree:
    facts = json.loads(body)
    paths: dict[str, BasePath] = {}
    for kind, names in facts["paths"].items():
        paths |= dict.fromkeys(
            names, BasePath(kind=kind)
        )  # one for all: making thousands takes longer than reading them
    paths |= {path: BasePath(kind="symlink", target=target) for path, target in facts["links"].items()}
    return BaseTree(paths=paths, files={path: base64.b64decode(content) for path, content in facts["files"].items()})
