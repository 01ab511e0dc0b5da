"""Whatever stands in an entry: a server that a manifest takes, or one sentence why not, and never a secret in either."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.clients.shape import Address, Start
from hatchlock.manifest.edit import add_tables
from hatchlock.manifest.load import loads
from hatchlock.migrate.model import Left, Proposed
from hatchlock.migrate.pasted import is_pasted
from hatchlock.migrate.translate import translated

MANIFEST = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
TOKEN = "ghp_" + "Ab1" * 8

PROGRAMS = (
    *(
        "npx",
        "npm",
        "bunx",
        "uvx",
        "uv",
        "pipx",
        "docker",
        "podman",
        "python",
        "node",
        "sh",
        "bash",
        "cmd",
        "env",
        "wsl",
    ),
    *("mcp-remote", "finch-mcp", "poetry", "/opt/x/serve", "./serve", "${HERE}/serve", "sudo", "op", "hatchlock"),
)
WORDS = (
    *(
        "run",
        "exec",
        "-y",
        "-i",
        "--rm",
        "-c",
        "-lc",
        "-m",
        "--",
        "-e",
        "-v",
        "-p",
        "--from",
        "--with",
        "--header",
        "/c",
    ),
    *(
        "foo",
        "foo@latest",
        "a/b:1",
        "@a/b",
        "mcp-remote",
        "https://h.example/sse",
        "A=b",
        "/data:/data",
        "8080:80",
        ".",
    ),
    *(
        "--token",
        TOKEN,
        f"--key={TOKEN}",
        "${VAR}",
        "$HOME/x",
        "npx foo",
        "cd /x && npx foo",
        "a | b",
        "",
        "é",
        "<KEY>",
    ),
)
WORD = st.sampled_from(WORDS) | st.text(max_size=8)
KEY = st.sampled_from(["API_KEY", "A", "PATH", "not-one", "URL"]) | st.text(max_size=5)
VALUE = st.sampled_from(
    [TOKEN, "${V}", "${input:x}", "${A}${B}", "${L:-x}", "<KEY>", "https://h.example:1/x", ""]
) | st.text(max_size=8)


def check(found: Proposed | Left) -> None:
    assert TOKEN not in repr(found)
    if isinstance(found, Left):
        assert found.what
        return
    fields = found.with_references(dict.fromkeys(found.secrets, "keyring:value"))
    loads(add_tables(MANIFEST, "servers", {found.name: fields}), shown="m")


@settings(max_examples=150, deadline=None)
@given(program=st.sampled_from(PROGRAMS), words=st.lists(WORD, max_size=8), env=st.dictionaries(KEY, VALUE, max_size=3))
def test_a_command_line_is_a_server_or_is_left(program: str, words: list[str], env: dict[str, str]) -> None:
    check(translated(Start(command=program, args=tuple(words), env=env), name="x"))


@settings(max_examples=50, deadline=None)
@given(
    url=st.sampled_from(
        ["https://h.example/mcp", "http://h.example", "https://h.example/${V}", f"https://h.example/?token={TOKEN}"]
    )
    | st.text(max_size=12),
    headers=st.dictionaries(KEY, VALUE, max_size=3),
)
def test_an_address_is_a_server_or_is_left(url: str, headers: dict[str, str]) -> None:
    check(translated(Address(url=url, headers=headers), name=""))


@given(st.text(max_size=20))
def test_any_text_may_be_asked_whether_it_was_pasted(text: str) -> None:
    assert is_pasted(text) in {True, False}
