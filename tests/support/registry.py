"""An image registry on loopback."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from support.engine import wait_until
from support.unavailable import unavailable

_CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield `127.0.0.1:PORT` of an empty registry for this session."""
    program = shutil.which("docker-registry")
    if program is None:
        unavailable("there is no docker-registry on this machine (`apt-get install docker-registry`)")
    directory = tmp_path_factory.mktemp("registry")
    port = free_port()
    config = directory / "config.yml"
    config.write_text(_CONFIG.format(directory=directory / "data", port=port))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log, start_new_session=True)
    try:
        if not wait_until(lambda: process.poll() is not None or _serves(port)) or process.poll() is not None:
            unavailable(f"docker-registry does not start: {(directory / 'log').read_text()[-300:]}")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serves(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
