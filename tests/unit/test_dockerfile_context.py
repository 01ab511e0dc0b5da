"""The directory that an image is built from: what is in it on every machine alike, and what never is."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from hatchlock.manifest.model import BuildSpec
from hatchlock.paths import Home
from hatchlock.sources.dockerfile.context import Context, NoDockerfile, dockerfile_in, engine_context
from hatchlock.sources.projects.problems import LeadsOut
from hatchlock.usecases.contexts import context_of
from hatchlock.usecases.project import Project

STORE = Path("/nowhere")


def context(root: Path, dockerfile: str = "Dockerfile", *secrets: Path, **files: str) -> Context:
    root.mkdir(exist_ok=True)
    for name, text in {"Dockerfile": "FROM x\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Context(directory=str(root), dockerfile=dockerfile, secrets=tuple(map(str, secrets)))


def paths(found: Context) -> list[str]:
    return [file.path for file in found.snapshot(without=STORE).files]


def test_keys_and_secrets_are_not_in_it_whatever_they_are_called(tmp_path: Path) -> None:
    names = ("tls.pem", "TLS.KEY", ".env", ".netrc", ".git/config", "hatchlock.local.toml", "token", "kept/key.txt")
    found = context(tmp_path / "c", "Dockerfile", tmp_path / "c" / "token", **dict.fromkeys(names, "x"))
    os.link(tmp_path / "c" / "token", tmp_path / "c" / "innocent")
    assert paths(found) == ["Dockerfile", "kept/key.txt"]


def test_a_secret_elsewhere_or_not_there_leaves_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    found = context(tmp_path / "c", "Dockerfile", tmp_path / "token", tmp_path / "c" / "none", token="mine")
    assert paths(found) == ["Dockerfile", "token"]


def test_the_dockerfile_and_the_rules_are_in_it_though_they_are_ignored(tmp_path: Path) -> None:
    found = context(tmp_path / "c", "web/Dockerfile", **{".dockerignore": "*\n", "web/Dockerfile": "FROM y\n", "a": ""})
    assert paths(found) == [".dockerignore", "web/Dockerfile"]
    assert found.text() == "FROM y\n"


def test_a_mark_changes_with_the_dockerfile_and_not_with_a_secret(tmp_path: Path) -> None:
    found = context(tmp_path / "c", "Dockerfile", tmp_path / "c" / "token", **{".dockerignore": "Dockerfile\n"})
    before = found.signature(without=STORE)
    (tmp_path / "c" / "token").write_text("new")
    assert found.signature(without=STORE) == before
    (tmp_path / "c" / "Dockerfile").write_text("FROM z\n")
    assert found.signature(without=STORE) != before


@pytest.mark.parametrize("name", ["none", "web", "link", "out/Dockerfile"])
def test_what_is_no_file_of_the_context_is_no_dockerfile(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Dockerfile").write_text("FROM x\n")
    found = context(tmp_path / "c", name, **{"web/x": ""})
    (tmp_path / "c" / "link").symlink_to("Dockerfile")
    with pytest.raises(NoDockerfile):
        found.text()
    if name == "out/Dockerfile":
        (tmp_path / "c" / "out").symlink_to(tmp_path / "out")
        with pytest.raises(NoDockerfile):
            found.text()
        with pytest.raises(LeadsOut):
            found.snapshot(without=STORE)


def test_an_engine_gets_the_files_with_their_directories_and_another_dockerfile(tmp_path: Path) -> None:
    found = context(tmp_path / "c", **{"a/b/run": "#!", "a/note": "n"})
    (tmp_path / "c" / "a" / "b" / "run").chmod(0o755)
    (tmp_path / "c" / "a" / "link").symlink_to("note")
    archive = tmp_path / "archive"
    with archive.open("wb") as file:
        found.snapshot(file.write, without=STORE)
    assert dockerfile_in(archive, "Dockerfile") == "FROM x\n"
    sent = b"".join(engine_context(archive, dockerfile="Dockerfile", text="FROM y, longer than before\n"))
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        members = {item.name: (item.type, oct(item.mode), item.linkname) for item in tar}
        stream = tar.extractfile("Dockerfile")
        assert stream is not None
        assert stream.read() == b"FROM y, longer than before\n"
    assert members == {
        "Dockerfile": (tarfile.REGTYPE, "0o644", ""),
        "a": (tarfile.DIRTYPE, "0o755", ""),
        "a/b": (tarfile.DIRTYPE, "0o755", ""),
        "a/b/run": (tarfile.REGTYPE, "0o755", ""),
        "a/link": (tarfile.SYMTYPE, "0o777", "note"),
        "a/note": (tarfile.REGTYPE, "0o644", ""),
    }


def test_every_file_that_a_secret_names_stays_out_dotenv_files_among_them(tmp_path: Path) -> None:
    references = ("file:token", "file:settings.txt#KEY", "file:~/key", "env:TOKEN", "command:cat other")
    lines = "".join(f'S{number} = {{ secret = "{text}" }}\n' for number, text in enumerate(references))
    project = Project(
        manifest=tmp_path / "hatchlock.toml",
        home=Home(root=tmp_path / "store", is_default=False),
        environ={"HOME": "/home/ada"},
        manifest_bytes=f"[servers.s.env]\n{lines}".encode(),
        overlay_bytes=b"",
        lock_bytes=None,
    )
    found = context_of(project, BuildSpec(context="."))
    assert set(found.secrets) == {f"{tmp_path}/token", f"{tmp_path}/settings.txt", "/home/ada/key"}
