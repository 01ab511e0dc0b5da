"""Names of secrets in files that hold no values: one for each reference, and never the same for two."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hatchlock.launch import SecretReference
from hatchlock.migrate.outgoing.model import Started
from hatchlock.migrate.outgoing.references import secret_names

WORD = st.text("abAB_-1.", min_size=1, max_size=4)
SECRET = st.one_of(
    WORD.map("env:{}".format), WORD.map("keyring:{}".format), WORD.map("file:{}".format), WORD.map("command:{}".format)
)
SERVERS = st.lists(
    st.builds(
        lambda name, secrets: Started(
            name=name, words=("x",), secrets={key: SecretReference(secret=secret) for key, secret in secrets.items()}
        ),
        st.from_regex(r"[a-z][a-z0-9-]{0,3}", fullmatch=True),
        st.dictionaries(WORD, SECRET, max_size=4),
    ),
    max_size=5,
)


@given(SERVERS)
def test_each_reference_has_a_name_of_its_own_that_is_a_variable(servers: list[Started]) -> None:
    names = secret_names(servers)
    wanted = {reference.secret for server in servers for reference in server.secrets.values()}
    assert names.keys() == wanted
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names.values())


def test_names_are_what_people_expect() -> None:
    secrets = {
        "A": SecretReference(secret="env:TOKEN"),
        "B": SecretReference(secret="keyring:token"),
        "C": SecretReference(secret="file:~/key"),
        "D": SecretReference(secret="keyring:github-token"),
    }
    assert secret_names([Started(name="a-b", words=("x",), secrets=secrets)]) == {
        "env:TOKEN": "TOKEN",
        "keyring:token": "A_B_B",
        "file:~/key": "A_B_C",
        "keyring:github-token": "GITHUB_TOKEN",
    }
