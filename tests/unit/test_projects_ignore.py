"""Which files belong to a project: git and Docker decide as they do themselves, and some things never belong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hatchlock.sources.projects.ignore import repository_root, walk
from hatchlock.sources.projects.patterns import DockerPatterns, GitPatterns


def write(root: Path, files: Mapping[str, str] | Iterable[str]) -> Path:
    for path in files:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(files[path] if isinstance(files, Mapping) else "")
    return root


def paths(root: Path, *, committed: bool = False) -> set[str]:
    return {found.path for found in walk(root, committed=committed)}


def git(root: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": str(root)}
    return subprocess.run(["git", *arguments], cwd=root, env=env, capture_output=True, check=True, text=True).stdout


def of_git(root: Path) -> set[str]:
    return set(filter(None, git(root, "ls-files", "-coz", "--exclude-standard").split("\0")))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q")
    names = ["a", "ab", "b", "x.py", "a b", "[a]", "a\\b", "!a", "#a", "a]", "é", "a-", "-"]
    folders = ["", "d/", "d/e/", "ab.d/", "d/ab.d/", "d/e/f/"]
    return write(root, [folder + name for folder in folders for name in names])


ATOMS = ["a", "b", "d", "e", "*", "**", "?", "/", "/", "!", "#", " ", "\\", "\\ ", "[a]", "[!a]", "[^b]", "[[:alpha:]]"]
ATOMS += [
    "[[:punct:]]",
    "[[:nope:]]",
    "[a",
    "[]a]",
    "[b-a]",
    "[a-c]",
    "[a\\]]",
    "[]-a]",
    "[--/]",
    "x.py",
    "**/",
    "/**",
    "é",
    "-",
]
LINES = st.lists(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=6).map("".join), min_size=1, max_size=4)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(top=LINES, inner=LINES, newline=st.sampled_from(["\n", "\r\n"]))
@example(top=["a**/e", "d/**/a"], inner=["**"], newline="\n")  # git takes what is before `*` off first
@example(top=["*", "!*/", "!*.py"], inner=["!a", "/b"], newline="\r\n")
@example(top=["d/*", "!d/e", "d/e/*", "!d/e/f"], inner=["a  ", "b\\ "], newline="\n")
def test_the_files_are_those_that_git_lists(repository: Path, top: list[str], inner: list[str], newline: str) -> None:
    (repository / ".gitignore").write_text(newline.join(top), newline="")
    (repository / "d" / ".gitignore").write_text(newline.join(inner) + newline, newline="")
    assert paths(repository) == of_git(repository)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(top=LINES, inner=LINES)
def test_the_rules_above_a_subdirectory_count_as_git_counts_them(
    repository: Path, top: list[str], inner: list[str]
) -> None:
    (repository / ".gitignore").write_text("\n".join(top))
    (repository / "d" / ".gitignore").write_text("\n".join(inner))
    expected = {path.removeprefix("d/") for path in of_git(repository) if path.startswith("d/")}
    if expected:  # a project that is left out as a whole is taken by its own rules, see below
        assert paths(repository / "d") == expected


def test_rules_above_that_leave_the_whole_project_out_do_not_count(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(
        tmp_path,
        {".gitignore": "build/\n*.log", "build/p/main.py": "", "build/p/x.log": "", "build/p/.gitignore": "*.tmp"},
    )
    write(tmp_path, ["build/p/y.tmp"])
    assert paths(tmp_path / "build" / "p") == {"main.py", "x.log", ".gitignore"}


def test_rules_outside_of_a_repository_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*", "p/main.py": ""})
    assert paths(tmp_path / "p") == {"main.py"}
    assert repository_root(tmp_path / "p") is None


def test_a_file_of_rules_that_is_a_symlink_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, {"rules": "*.py", "p/main.py": ""})
    (tmp_path / "p" / ".gitignore").symlink_to("../rules")
    assert "main.py" in paths(tmp_path / "p")


def test_what_never_belongs_to_a_project_is_left_out_at_every_level(tmp_path: Path) -> None:
    never = [".git/config", ".hg/x", "node_modules/a/index.js", "__pycache__/a.pyc", ".venv/bin/python", ".DS_Store"]
    never += [".env", ".env.local", ".env.production", "hatchlock.local.toml", "hatch.lock", "hatchlock.toml"]
    never += ["myenv/pyvenv.cfg", "myenv/bin/python", ".tox/x", ".ruff_cache/x", ".mypy_cache/x", ".pytest_cache/x"]
    never += [".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".ssh/config", ".aws/credentials", "id_rsa"]
    never += [".mcp.json", ".vscode/mcp.json", ".codex/config.toml", "opencode.json"]  # written by apply
    never += [".docker/config.json", ".kube/config", ".gnupg/x", "id_dsa", "id_ecdsa", "id_ed25519"]
    kept = [
        "id_rsa.pub",
        "docker/x",
        ".env.example",
        "venv/readme",
        "environment",
        ".envrc",
        "src/a.py",
        ".vscode/settings.json",
        "mcp.json",
    ]
    write(tmp_path, [f"{folder}{path}" for folder in ("", "deep/er/") for path in [*never, *kept]])
    assert paths(tmp_path) == {f"{folder}{path}" for folder in ("", "deep/er/") for path in kept}


def test_the_store_belongs_to_no_project(tmp_path: Path) -> None:
    write(tmp_path, ["main.py", "state/store/blobs/x", "state/store2/x", "state/y"])
    assert {found.path for found in walk(tmp_path, without=tmp_path / "state" / "store")} == {
        "main.py",
        "state/store2/x",
        "state/y",
    }


def test_a_checkout_keeps_what_git_has(tmp_path: Path) -> None:
    write(tmp_path, {".git/config": "", ".gitignore": "dist", "dist/index.js": "", ".env": "", ".dockerignore": "*"})
    assert paths(tmp_path, committed=True) == {".gitignore", "dist/index.js", ".env", ".dockerignore"}


def test_the_file_that_git_dropped_for_good_stays_out_although_a_file_inside_is_taken_in(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "out/\n!out/keep", "out/keep": "", "out/other": ""})
    assert paths(tmp_path) == {".gitignore"}


@pytest.mark.parametrize(
    ("rules", "left_out", "kept"),
    [
        ("*.md", {"README.md"}, {"docs/a.md"}),  # relative to the root, unlike git's
        ("**/*.md", {"README.md", "docs/a.md"}, set()),
        ("/docs", {"docs/a.md", "docs/b/c.txt"}, {"README.md"}),
        ("docs/", {"docs/a.md"}, set()),
        ("./docs/../src", {"src/a.py"}, {"docs/a.md"}),
        ("*\n!src", {"README.md", "docs/a.md"}, {"src/a.py", "src/b/c.py"}),
        ("docs\n!docs/b", {"docs/a.md"}, {"docs/b/c.txt"}),
        ("src/**\n!src/b/c.py\n", {"src/a.py"}, {"src/b/c.py"}),
        ("!README.md\n*.md", {"README.md"}, set()),
        ("  *.md  \n# *.py\n\n", {"README.md"}, {"src/a.py"}),
        ("src/?.py", {"src/a.py"}, {"src/b/c.py"}),
        ("src/[a-c].py", {"src/a.py"}, {"src/b/c.py"}),
        ("src/[^a].py", set(), {"src/a.py"}),
        ("src/[", set(), {"src/a.py"}),
        ("src/[[a&&c~~d||e-].py", {"src/a.py"}, set()),
        ("docs/*/[b-d].t*t", {"docs/b/c.txt"}, {"docs/a.md"}),
        ("\\*.md", set(), {"README.md"}),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(
    tmp_path: Path, rules: str, left_out: set[str], kept: set[str]
) -> None:
    write(tmp_path, ["README.md", "docs/a.md", "docs/b/c.txt", "src/a.py", "src/b/c.py"])
    write(tmp_path, {".dockerignore": rules})
    found = paths(tmp_path)
    assert not found & left_out
    assert kept <= found


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=20).filter(lambda path: b"\0" not in path))
def test_every_file_of_rules_can_be_read(rules: bytes, path: bytes) -> None:
    GitPatterns.parse(rules).verdict(path, directory=False)
    DockerPatterns.parse(rules).leaves_out(path)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    patterns = GitPatterns.parse(b"*a" * 40 + b"b\n")
    assert patterns.verdict(b"a" * 250, directory=False) is None
    assert not DockerPatterns.parse(b"*a" * 40 + b"b\n").leaves_out(b"a" * 250)
    assert GitPatterns.parse(b"*a*b*c").verdict(b"xaxbaxbxc", directory=False) is True
