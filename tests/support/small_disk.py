"""A file system of a few bytes, so that writing fails as it does on a full disk."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Self

from support.unavailable import unavailable

__all__ = ["small_disk"]


class small_disk:  # noqa: N801  used like a function
    """A file system of so many bytes, mounted inside the block."""

    def __init__(self, path: Path, size: str) -> None:
        self.path = path
        self.size = size

    def __enter__(self) -> Self:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.size},mode=0700", "none", str(self.path)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            unavailable("a small disk can only be made by root")
        return self

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", "none", str(self.path)], check=True)

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
