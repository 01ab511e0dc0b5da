"""A base of a few files for two platforms, in an OCI layout on disk: what is read of a base is there, and nothing runs."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.layout import write_layout
from hatchlock.images.packed import PlatformImage, pack
from support.debian_archive import Deb, status_of
from support.layers import make_layer

__all__ = ["BOTH", "write_tiny_base"]

BOTH = ("amd64", "arm64")


def write_tiny_base(directory: Path, scratch: Path, *, architectures: Sequence[str] = BOTH, name: str = "3.11") -> None:
    """Write the layout `directory`, in which the base is called `name`: usrmerge, Python 3.11.9, Node 22.11, glibc 2.36, and
    dpkg's list of packages.

    What is compressed here is stored rather than deflated, so that the base's own digests depend on no version of zlib.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    write_layout(pack([_image(scratch, architecture) for architecture in architectures]), directory, name=name)


def _image(scratch: Path, architecture: str) -> PlatformImage:
    layer = make_layer(
        {
            "bin": "usr/bin",
            "lib": "usr/lib",
            "etc": None,
            "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
            "etc/group": b"root:x:0:\n",
            "etc/os-release": b"ID=debian\nVERSION_CODENAME=bookworm\n",
            "usr/bin/node": f"for {architecture}".encode(),
            "usr/bin/python3": "python3.11",
            "usr/bin/python3.11": f"for {architecture}".encode(),
            "usr/include/node/node_version.h": b"".join(
                b"#define NODE_%s_VERSION %d\n" % part for part in ((b"MAJOR", 22), (b"MINOR", 11), (b"PATCH", 0))
            ),
            "usr/include/python3.11/patchlevel.h": b'#define PY_VERSION "3.11.9"\n',
            "var/lib/dpkg/status": status_of(Deb(name="libc6", version="2.36-9", architecture=architecture)),
            "usr/lib/libc.so.6": b"GNU C Library (Debian GLIBC) stable release version 2.36",
        },
        packed=False,
    )
    path = scratch / f"{architecture}.tar.gz"
    path.write_bytes(gzip.compress(layer, compresslevel=0, mtime=0))
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return PlatformImage(config=json.dumps(config).encode(), layers=(ArchiveLayer(diff_id=diff_id, path=path),))
