"""Image registries on loopback: real ones, open or behind a login, and what pushes to them."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.compressed import is_zstd, unzstd
from support.engine import wait_until
from support.fake_registry import CONFIG, INDEX, LAYER, MANIFEST
from support.ports import free_port
from support.unavailable import unavailable

_ZSTD_LAYER = LAYER.replace("gzip", "zstd")
LOGIN = "keeper:s3cret-pass"
"""Whom registries behind a login let in."""

_HTPASSWD = "keeper:$2y$05$abcdefghijklmnopqrstuuV7fpPozvyqJfnY19y0802WTlXUm6Rjy\n"
_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield `127.0.0.1:PORT` of an empty registry for this session."""
    with serving_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@contextlib.contextmanager
def serving_registry(directory: Path, *, behind_login: bool = False, proxy_of: str = "") -> Iterator[str]:
    """Serve an empty registry inside the block, and yield its `127.0.0.1:PORT`.

    Args:
        directory: Where it keeps its things.
        behind_login: Let in only `LOGIN`, by HTTP's Basic.
        proxy_of: Be a mirror of that registry, which it asks for what it does not have yet.
    """
    program = shutil.which("docker-registry")
    if program is None:
        unavailable("there is no docker-registry on this machine (`apt-get install docker-registry`)")
    port = free_port()
    text = _CONFIG.format(directory=directory / "data", port=port)
    if behind_login:
        (directory / "htpasswd").write_text(_HTPASSWD)
        text += f"auth: {{htpasswd: {{realm: private, path: {directory / 'htpasswd'}}}}}\n"
    if proxy_of:
        text += f"proxy: {{remoteurl: 'http://{proxy_of}'}}\n"
    config = directory / "config.yml"
    config.write_text(text)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log, start_new_session=True)
    try:
        if not wait_until(lambda: process.poll() is not None or _serves(port)) or process.poll() is not None:
            unavailable(f"docker-registry does not start: {(directory / 'log').read_text()[-300:]}")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def push(
    address: str, name: str, tag: str, *, layers: list[bytes], login: str = "", architecture: str = "amd64", **run: Any
) -> str:
    """Push an image of Linux whose layers are tars in gzip or zstd, and return its manifest's digest."""
    diff_ids = [_digest(unzstd(layer) if is_zstd(layer) else gzip.decompress(layer)) for layer in layers]
    config = {
        "os": "linux",
        "architecture": architecture,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        # Podman's builder builds on no image without one
        "history": [{"created_by": "tests"} for _ in layers],
    }
    push_to = _Push(address, name, login)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": push_to.blob(json.dumps(config).encode(), CONFIG),
        "layers": [push_to.blob(layer, _ZSTD_LAYER if is_zstd(layer) else LAYER) for layer in layers],
    }
    data = json.dumps(manifest).encode()
    push_to.ask("PUT", f"/v2/{name}/manifests/{tag}", data, {"Content-Type": MANIFEST})
    return _digest(data)


def push_index(
    address: str, name: str, tags: Sequence[str], architectures: Sequence[str], *, layers: list[bytes]
) -> None:
    """Push one image for several architectures of Linux under all of some tags."""
    push_to = _Push(address, name, "")
    children = []
    for architecture in architectures:
        # the one tag becomes another image each time; the index names them by their digests
        digest = push(address, name, f"for-{architecture}", layers=layers, architecture=architecture)
        platform = {"os": "linux", "architecture": architecture}
        size = len(push_to.manifest(digest))
        children.append({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform})
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
    for tag in tags:
        data = json.dumps(document).encode()
        push_to.ask("PUT", f"/v2/{name}/manifests/{tag}", data, {"Content-Type": INDEX})


class _Push:
    def __init__(self, address: str, name: str, login: str) -> None:
        self._address = address
        self._name = name
        self._login = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = _digest(data)
        where = self.ask("POST", f"/v2/{self._name}/blobs/uploads/", b"", {})
        path = "/" + where.split("/", 3)[3] if "://" in where else where
        self.ask("PUT", f"{path}&digest={digest}", data, {"Content-Type": "application/octet-stream"})
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def manifest(self, digest: str) -> bytes:
        """Return a manifest's bytes."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request("GET", f"/v2/{self._name}/manifests/{digest}", headers={"Accept": MANIFEST})
            return connection.getresponse().read()
        finally:
            connection.close()

    def ask(self, method: str, path: str, data: bytes, headers: dict[str, str]) -> str:
        """Return the answer's `Location`."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, path, data, {**headers, **self._login})
            answer = connection.getresponse()
            assert answer.status in {201, 202}, answer.read()
            return answer.headers.get("Location", "")
        finally:
            connection.close()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _serves(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in {http.client.OK, http.client.UNAUTHORIZED}
    except OSError:
        return False
    finally:
        connection.close()
