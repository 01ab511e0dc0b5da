"""What is inside a base image, read from its layers and never by running it.

Layers are merged as the OCI image specification says: `.wh.NAME` takes NAME away from the layers below, `.wh..wh..opq`
everything that they have in its directory.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import tarfile
import zlib
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["BadLayer", "BaseFacts", "base_facts", "base_files", "files_matching"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_ZSTD = b"\x28\xb5\x2f\xfd"
_LINKS_AT_MOST = 40
_SEARCHED = ("usr/local/bin", "usr/bin", "bin")
_NODE_PARTS = {
    part: re.compile(rb"#define\s+NODE_%s_VERSION\s+(\d+)" % part.encode()) for part in ("MAJOR", "MINOR", "PATCH")
}


@dataclass(kw_only=True, eq=False)
class BadLayer(HatchlockError):
    """A layer that cannot be read as a tar archive, plain or compressed with gzip."""

    code: ClassVar[str] = "bad-layer"

    layer: str
    why: str

    def __str__(self) -> str:
        return f"layer {self.layer} cannot be read: {self.why}"

    def _hint(self) -> str:
        return "use an image whose layers are compressed with gzip"


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseFacts:
    """What the resolver and the assembler want to know; the fields are those of `lock.model.ImagePlatform`."""

    python: str = ""
    python_path: str = ""
    node: str = ""
    libc: str = ""
    symlinks: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    kind: bytes
    target: str = ""
    content: bytes = b""


def _found(pattern: bytes) -> Callable[[bytes], bytes]:
    compiled = re.compile(pattern)

    def extract(data: bytes) -> bytes:
        match = compiled.search(data)
        return match[1] if match else b""

    return extract


_Kept = Sequence[tuple[re.Pattern[str], Callable[[bytes], bytes]]]

# What is kept of the files that tell something: the whole text, or the one string that a binary is read for.
_KEPT: _Kept = (
    (re.compile(r"var/lib/dpkg/status(\.d/[^/]+(?<!\.md5sums))?"), bytes),
    (re.compile(r"(usr/)?lib/apk/db/installed"), bytes),
    (re.compile(r".*/include/python3\.\d+/patchlevel\.h"), _found(rb'#define\s+PY_VERSION\s+"([^"]+)"')),
    (re.compile(r".*/include/node/node_version\.h"), bytes),
    (re.compile(r".*/libc(\.so\.6|-2\.\d+\.so)"), _found(rb"GNU C Library [^\n]*version (\d+\.\d+)")),
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
    tree = _merged(layers, _KEPT)
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


def base_files(layers: Sequence[Path], paths: Iterable[str]) -> dict[str, bytes]:
    """Return the content of regular files of a base, reading no more of it than is needed.

    Args:
        layers: Files with the layers' bytes, lowest first.
        paths: Relative to the root, `etc/passwd`.

    Returns:
        Path -> content, for those that exist.

    Raises:
        BadLayer: A layer is damaged, or compressed in a way that is not known.
        OSError: A layer cannot be read.
    """
    wanted = set(paths)
    found: dict[str, bytes] = {}
    for layer in reversed(layers):
        if not wanted:
            break
        with _reading(layer):
            here, hidden = _search(layer, wanted)
        found |= here
        wanted -= here.keys() | hidden
    return found


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
    tree = _merged(layers, ((pattern, bytes),))
    found = {path: _resolve(tree, path) for path in sorted(tree) if pattern.fullmatch(path)}
    return {
        path: tree[target].content
        for path, target in found.items()
        if pattern.fullmatch(target) and tree[target].kind == tarfile.REGTYPE
    }


def _search(layer: Path, wanted: set[str]) -> tuple[dict[str, bytes], set[str]]:
    """Return those of the wanted files that a layer has, and those that it hides in the layers below."""
    found: dict[str, bytes] = {}
    hidden: set[str] = set()
    for path, member, archive in _members(layer):
        hidden |= {item for item in wanted if _hides(path, item)}
        if path in wanted and member.isreg():
            found[path] = _read(archive, member)
        if wanted <= found.keys():
            break
    return found, hidden


def _hides(path: str, wanted: str) -> bool:
    directory, name = posixpath.split(path)
    if name == _OPAQUE:
        return wanted.startswith(f"{directory}/" if directory else "")
    gone = posixpath.join(directory, name.removeprefix(_WHITEOUT))
    return name.startswith(_WHITEOUT) and (wanted == gone or wanted.startswith(f"{gone}/"))


def _members(layer: Path) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile]]:
    with layer.open("rb") as raw:
        if raw.read(4) == _ZSTD:
            raise BadLayer(layer=layer.name, why="it is compressed with zstd, which is not supported")
        raw.seek(0)
        with tarfile.open(fileobj=raw, mode="r|*") as archive:
            for member in archive:
                path = posixpath.normpath(f"/{member.name}").lstrip("/")
                if path:
                    yield path, member, archive


@contextlib.contextmanager
def _reading(layer: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BadLayer(layer=layer.name, why=str(error)) from error


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream: IO[bytes] | None = archive.extractfile(member)
    return stream.read() if stream else b""


def _merged(layers: Sequence[Path], kept_files: _Kept) -> dict[str, _Node]:
    tree: dict[str, _Node] = {}
    for layer in layers:
        with _reading(layer):
            tree = _merge(tree, layer, kept_files)
    return tree


def _merge(lower: Mapping[str, _Node], layer: Path, kept_files: _Kept) -> dict[str, _Node]:
    upper: dict[str, _Node] = {}
    known = ChainMap(upper, dict(lower))
    removed: set[str] = set()
    emptied: set[str] = set()
    for path, member, archive in _members(layer):
        directory, name = posixpath.split(path)
        if name == _OPAQUE:
            emptied.add(directory)
        elif name.startswith(_WHITEOUT):
            removed.add(posixpath.join(directory, name.removeprefix(_WHITEOUT)))
        else:
            upper[path] = _node(path, member, archive, known, kept_files)
    files = {path for path, node in upper.items() if node.kind != tarfile.DIRTYPE}
    kept = {path: node for path, node in lower.items() if not _covered(path, removed, emptied | files)}
    return {**kept, **upper}


def _covered(path: str, removed: set[str], emptied: set[str]) -> bool:
    if path in removed:
        return True
    parent = posixpath.dirname(path)
    while parent != path:
        if parent in removed or parent in emptied:
            return True
        path, parent = parent, posixpath.dirname(parent)
    return False


def _node(
    path: str, member: tarfile.TarInfo, archive: tarfile.TarFile, known: Mapping[str, _Node], kept_files: _Kept
) -> _Node:
    if member.islnk():
        original = known.get(posixpath.normpath(f"/{member.linkname}").lstrip("/"))
        return original or _Node(kind=tarfile.REGTYPE)
    if member.issym():
        return _Node(kind=tarfile.SYMTYPE, target=member.linkname)
    if not member.isreg():
        return _Node(kind=member.type)
    for pattern, extract in kept_files:
        if pattern.fullmatch(path):
            return _Node(kind=tarfile.REGTYPE, content=extract(_read(archive, member)))
    return _Node(kind=tarfile.REGTYPE)


def _resolve(tree: Mapping[str, _Node], path: str) -> str:
    """Return a path after all symlinks in it, "" when it leads nowhere."""
    done: list[str] = []
    left = path.split("/")
    links = 0
    while left:
        part = left.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        node = tree.get("/".join([*done, part]))  # None: a directory that no layer lists, or nothing
        if node is None or node.kind != tarfile.SYMTYPE:
            done.append(part)
            continue
        links += 1
        if links > _LINKS_AT_MOST:
            return ""
        if node.target.startswith("/"):
            done = []
        left = [*node.target.split("/"), *left]
    resolved = "/".join(done)
    return resolved if resolved in tree else ""


def _python_path(tree: Mapping[str, _Node]) -> str:
    for directory in _SEARCHED:
        path = _resolve(tree, f"{directory}/python3")
        if re.fullmatch(r".*/python3\.\d+", path):
            return path
    return ""


def _python_version(tree: Mapping[str, _Node], path: str, dpkg: Mapping[str, str]) -> str:
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


def _node_version(tree: Mapping[str, _Node], dpkg: Mapping[str, str]) -> str:
    for directory in _SEARCHED:
        path = _resolve(tree, f"{directory}/node") or _resolve(tree, f"{directory}/nodejs")
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


def _libc(tree: Mapping[str, _Node]) -> str:
    for path, node in sorted(tree.items()):
        if re.search(r"/libc(\.so\.6|-2\.\d+\.so)$", path) and node.content:
            return f"glibc {node.content.decode()}"
    if not any(re.search(r"(^|/)lib/ld-musl-[^/]+\.so\.1$", path) for path in tree):
        return ""
    installed = tree.get("lib/apk/db/installed") or tree.get("usr/lib/apk/db/installed")
    version = re.search(rb"^P:musl\nV:(\d+\.\d+)", installed.content, re.MULTILINE) if installed else None
    # Every musl that is still in use runs what was built for 1.1.
    return f"musl {version[1].decode() if version else '1.1'}"


def _dpkg(tree: Mapping[str, _Node]) -> dict[str, str]:
    """Return the installed packages, name -> version; the slimmest images keep one file for each."""
    texts = [node.content for path, node in sorted(tree.items()) if path.startswith("var/lib/dpkg/status")]
    found = {}
    for stanza in b"\n\n".join(texts).decode(errors="replace").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", stanza, re.MULTILINE))
        if "Package" in fields and fields.get("Status", "install ok installed").endswith(" installed"):
            found[fields["Package"]] = fields.get("Version", "")
    return found
