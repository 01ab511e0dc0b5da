"""A copy of this machine's CPython, as small as can be, in the form in which uv's own builds come."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

FULL = ".".join(str(part) for part in sys.version_info[:3])
MINOR = ".".join(str(part) for part in sys.version_info[:2])
BASE = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
# What the tests import, and what uv and `compileall` need of a standard library.
_LIST = """
import importlib, json, sys, sysconfig
for name in ("compileall concurrent.futures.process concurrent.futures.thread ctypes decimal json logging multiprocessing.forkserver "
             "multiprocessing.popen_fork multiprocessing.queues multiprocessing.synchronize pkgutil platform runpy site ssl struct "
             "subprocess sysconfig tempfile typing").split():
    importlib.import_module(name)
sysconfig.get_config_vars()
stdlib = sysconfig.get_path("stdlib")
print(json.dumps([stdlib, sorted({m.__file__ for m in sys.modules.values() if (getattr(m, "__file__", None) or "").startswith(stdlib)})]))
"""


def make_python_archive(path: Path) -> Path:
    """Write a `.tar.gz` with `python/bin/python3.11` and the needed part of its standard library."""
    listed = subprocess.run([BASE, "-I", "-c", _LIST], capture_output=True, check=True)
    stdlib, files = json.loads(listed.stdout)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(BASE, f"python/bin/python{MINOR}")
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, f"python{MINOR}"
            archive.addfile(link)
        for file in files:
            archive.add(file, f"python/lib/python{MINOR}/{Path(file).relative_to(stdlib)}")
    return path
