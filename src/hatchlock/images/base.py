"""What is inside a base image, read from its layers and never by running it."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.images.layers_read import BadLayer, Kept, Node, base_files, merged, resolved

__all__ = ["BadLayer", "BaseFacts", "base_facts", "base_files", "files_matching"]

_SEARCHED = ("usr/local/bin", "usr/bin", "bin")
_NODE_PARTS = {
    part: re.compile(rb"#define\s+NODE_%s_VERSION\s+(\d+)" % part.encode()) for part in ("MAJOR", "MINOR", "PATCH")
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseFacts:
    """What the resolver and the assembler want to know; the fields are those of `lock.model.ImagePlatform`."""

    python: str = ""
    python_path: str = ""
    node: str = ""
    libc: str = ""
    symlinks: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


def _found(pattern: bytes) -> Callable[[bytes], bytes]:
    compiled = re.compile(pattern)

    def extract(data: bytes) -> bytes:
        match = compiled.search(data)
        return match[1] if match else b""

    return extract


# What is kept of the files that tell something: the whole text, or the one string that a binary is read for.
_KEPT: Kept = (
    (re.compile(r"var/lib/dpkg/status(\.d/[^/]+(?<!\.md5sums))?"), bytes),
    (re.compile(r"(usr/)?lib/apk/db/installed"), bytes),
    (re.compile(r".*/include/python3\.\d+/patchlevel\.h"), _found(rb'#define\s+PY_VERSION\s+"(\d[\w.+]{0,30})"')),
    (re.compile(r".*/include/node/node_version\.h"), bytes),
    (re.compile(r".*/libc(\.so\.6|-2\.\d+\.so)"), _found(rb"GNU C Library [^\n]{0,200}version (\d{1,3}\.\d{1,3})")),
    (re.compile(r".*/bin/python3\.\d+"), _found(rb"\0(3\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d+)?)\+?\0")),
    (re.compile(r".*/libpython3\.\d+\.so\.1\.0"), _found(rb"\0(3\.\d{1,2}\.\d{1,2}(?:(?:a|b|rc)\d+)?)\+?\0")),
)


def base_facts(layers: Sequence[Path]) -> BaseFacts:
    """Read the facts of a base.

    Args:
        layers: Files with the layers' bytes, lowest first.

    Raises:
        BadLayer: A layer is damaged, or compressed in a way that is not known.
        OSError: A layer cannot be read.
    """
    tree = merged(layers, _KEPT)
    dpkg = _dpkg(tree)
    python_path = _python_path(tree)
    return BaseFacts(
        python=_python_version(tree, python_path, dpkg),
        python_path=f"/{python_path}" if python_path else "",
        node=_node_version(tree, dpkg),
        libc=_libc(tree),
        symlinks={path: node.target for path, node in sorted(tree.items()) if "/" not in path and node.target},
        packages=tuple(sorted(f"deb:{name}@{version}" for name, version in dpkg.items())),
    )


def files_matching(layers: Sequence[Path], pattern: re.Pattern[str]) -> dict[str, bytes]:
    """Return the content of all files of a base whose paths match, as its file system would show them.

    Args:
        layers: Files with the layers' bytes, lowest first.
        pattern: Matches whole paths relative to the root, `usr/share/keyrings/[^/]+`.

    Returns:
        Path -> content; symlinks are followed to files that match too, others are left out.

    Raises:
        BadLayer: A layer is damaged, or compressed in a way that is not known.
        OSError: A layer cannot be read.
    """
    tree = merged(layers, ((pattern, bytes),))
    found = {path: resolved(tree, path) for path in sorted(tree) if pattern.fullmatch(path)}
    return {
        path: tree[target].content
        for path, target in found.items()
        if pattern.fullmatch(target) and tree[target].kind == tarfile.REGTYPE
    }


def _python_path(tree: Mapping[str, Node]) -> str:
    for directory in _SEARCHED:
        path = resolved(tree, f"{directory}/python3")
        if re.fullmatch(r".*/python3\.\d+", path):
            return path
    return ""


def _python_version(tree: Mapping[str, Node], path: str, dpkg: Mapping[str, str]) -> str:
    if not path:
        return ""
    name = posixpath.basename(path)
    prefix = posixpath.dirname(posixpath.dirname(path))
    header = tree.get(f"{prefix}/include/{name}/patchlevel.h")
    if header and header.content:
        return header.content.decode()
    packaged = re.match(r"(?:\d+:)?(\d+\.\d+\.\d+(?:~?(?:a|b|rc)\d+)?)", dpkg.get(f"{name}-minimal", ""))
    if packaged and prefix == "usr":
        return packaged[1].replace("~", "")
    wanted = f"{name.removeprefix('python')}.".encode()
    libraries = [node.content for item, node in sorted(tree.items()) if item.endswith(f"/lib{name}.so.1.0")]
    for content in (tree[path].content, *libraries):
        if content.startswith(wanted):
            return content.decode()
    return name.removeprefix("python")


def _node_version(tree: Mapping[str, Node], dpkg: Mapping[str, str]) -> str:
    for directory in _SEARCHED:
        path = resolved(tree, f"{directory}/node") or resolved(tree, f"{directory}/nodejs")
        if not path:
            continue
        header = tree.get(f"{posixpath.dirname(posixpath.dirname(path))}/include/node/node_version.h")
        parts = [_NODE_PARTS[name].search(header.content) if header else None for name in _NODE_PARTS]
        if all(parts):
            return ".".join(part[1].decode() for part in parts if part)
        packaged = re.match(r"(?:\d+:)?(\d+\.\d+\.\d+)", dpkg.get("nodejs", ""))
        if packaged:
            return packaged[1]
    return ""


def _libc(tree: Mapping[str, Node]) -> str:
    for path, node in sorted(tree.items()):
        if re.search(r"/libc(\.so\.6|-2\.\d+\.so)$", path) and node.content:
            return f"glibc {node.content.decode()}"
    if not any(re.search(r"(^|/)lib/ld-musl-[^/]+\.so\.1$", path) for path in tree):
        return ""
    installed = tree.get("lib/apk/db/installed") or tree.get("usr/lib/apk/db/installed")
    version = re.search(rb"^P:musl\nV:(\d+\.\d+)", installed.content, re.MULTILINE) if installed else None
    # Every musl that is still in use runs what was built for 1.1.
    return f"musl {version[1].decode() if version else '1.1'}"


def _dpkg(tree: Mapping[str, Node]) -> dict[str, str]:
    """Return the installed packages, name -> version; the slimmest images keep one file for each."""
    texts = [node.content for path, node in sorted(tree.items()) if path.startswith("var/lib/dpkg/status")]
    found = {}
    for stanza in b"\n\n".join(texts).decode(errors="replace").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", stanza, re.MULTILINE))
        if "Package" in fields and fields.get("Status", "install ok installed").endswith(" installed"):
            found[fields["Package"]] = fields.get("Version", "")
    return found
