"""Entries that ours took the place of come back byte for byte, whatever was written elsewhere in the file meanwhile."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.edits import Change, Edit, Taking, changed
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.kept_text import KeptText
from hatchlock.clients.originals import NO_ORIGINALS, Originals
from hatchlock.clients.toml_tables import TomlArray, TomlTables
from hatchlock.clients.yaml_servers import YamlServers
from hatchlock.lock.toml import dump_value

FIRST = {"command": "/s/bin/hatchlock", "args": ["run", "--project", "p", "ours"]}
LATER = {**FIRST, "env": {"A": "b"}}
TOKENS = {"one": "tok-\u00e9'\"\\n1", "two": "s3cret", "three": "s3cret-and-more"}
VALUES = st.fixed_dictionaries(
    {
        "command": st.sampled_from(["npx", "uvx", "x y", "caf\u00e9"]),
        "args": st.lists(st.sampled_from("abc"), max_size=3),
    },
    optional={"env": st.dictionaries(st.sampled_from("XYZ"), st.sampled_from(["v", *TOKENS.values()]), max_size=2)},
)
SERVERS = st.dictionaries(st.sampled_from(["a", "b c", "d.e", "caf\u00e9", "ours"]), VALUES, min_size=1, max_size=4)


def as_json(servers: dict[str, Any], dice: Random) -> bytes:
    """Write servers in a layout of its own each, with comments between them."""

    def blank() -> str:
        return dice.choice(["", " ", "\n", "\n  ", "\t", " // c\n", "/* c */"])

    def entry(value: Any) -> str:
        return json.dumps(
            value,
            indent=dice.choice([None, 1, 2, "\t"]),
            ensure_ascii=dice.random() < 0.5,
            separators=dice.choice([None, (",", ":")]),
        )

    inner = ",".join(
        f"{blank()}{json.dumps(name)}{blank()}:{blank()}{entry(value)}{blank()}" for name, value in servers.items()
    )
    end = dice.choice(["", ","]) if servers else ""
    return f'{{{blank()}"theme": 1,{blank()}"mcpServers":{blank()}{{{inner}{end}{blank()}}}{blank()}, "last": [1, 2]{blank()}}}\n'.encode()


def as_toml(servers: dict[str, Any], dice: Random) -> bytes:
    """Write servers as tables, some with their variables in a table further down."""
    head, tail = ["theme = 1  # c", ""], [""]
    for name, value in servers.items():
        apart = dice.random() < 0.5 and "env" in value
        head += [f"[mcp_servers.{json.dumps(name, ensure_ascii=False)}]{dice.choice(['', ' # c'])}"]
        head += [f"{key} = {json.dumps(item, ensure_ascii=False)}" for key, item in value.items() if key != "env"]
        env = [f"{key} = {json.dumps(item, ensure_ascii=False)}" for key, item in value.get("env", {}).items()]
        table = [f"[mcp_servers.{json.dumps(name, ensure_ascii=False)}.env]", *env, *[""] * dice.randint(0, 2)]
        if apart:
            tail += table
        elif "env" in value:
            head += table
        head += [""] * dice.randint(0, 2)
    return "\n".join([*head, "[other]", "x = 1", *tail]).encode()


def as_yaml(servers: dict[str, Any], dice: Random) -> bytes:
    """Write servers as a mapping, each entry in lines or between braces."""
    lines = ["theme: 1 # c", "extensions:"]
    for name, value in servers.items():
        shown = json.dumps(name, ensure_ascii=False)
        if dice.random() < 0.5:
            lines += [f"  {shown}: {json.dumps(value, ensure_ascii=False)}"]
        else:
            lines += [
                f"  {shown}:",
                *(f"    {key}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items()),
            ]
        lines += dice.choice([[], ["  # c"], [""]])
    return "\n".join([*lines, "last: [1, 2]", ""]).encode()


def as_list(servers: dict[str, Any], dice: Random) -> bytes:
    """Write servers as a list in brackets, on one line or several; some stand there twice, and the last one counts."""

    def element(name: str, value: dict[str, Any]) -> str:
        pairs = ", ".join(f"{key} = {dump_value(item)}" for key, item in {"name": name, **value}.items())
        return f"{{ {pairs} }}"

    twice = [element(name, {"command": "first"}) for name in servers if dice.random() < 0.3]
    elements = [*twice, *(element(name, value) for name, value in servers.items())]
    gap = dice.choice([", ", ",", ",\n  "])
    return (
        f"theme = 1 # c\nmcp_servers = [{gap.join(elements)}{dice.choice(['', ','])}] # end\nlast = [1, 2]\n".encode()
    )


FORMS = st.sampled_from(
    [
        (JsonObject(("mcpServers",)), as_json),
        (TomlTables("mcp_servers"), as_toml),
        (TomlArray("mcp_servers"), as_list),
        (YamlServers("extensions", name=""), as_yaml),
    ]
)


class File:
    """A file and what is kept of it, edited as the writer does."""

    def __init__(self, data: bytes, dialect: Dialect) -> None:
        self.data = data
        self.dialect = dialect
        self.originals: Originals = NO_ORIGINALS

    def edit(self, edit: Edit) -> Change:
        change = changed(
            self.data,
            edit,
            self.originals,
            dialect=self.dialect,
            path="f",
            is_first=False,
            secrets=lambda names: {name: TOKENS[name] for name in names},
        )
        assert change.data is not None
        self.data, self.originals = change.data, Originals.from_dict(json.loads(json.dumps(change.originals.to_dict())))
        return change


@settings(max_examples=100, deadline=None)
@given(FORMS, SERVERS, st.integers(0, 2**32), st.data())
def test_what_ours_replaced_comes_back(form: Any, servers: dict[str, Any], seed: int, choice: st.DataObject) -> None:
    dialect, write = form
    before = write(servers, Random(seed))
    assert {name: entry.value for name, entry in dialect.read(before).items()} == servers
    taken = choice.draw(st.permutations(sorted(servers)).map(lambda names: names[: 1 + seed % 2]), label="taken")
    file = File(before, dialect)
    taking = Taking(by="ours", secrets=tuple(TOKENS), may_lose=False)
    main, *others = [name for name in taken if name == "ours"] + [name for name in taken if name != "ours"]
    if "ours" in servers and main != "ours":
        return
    for name in others:
        file.edit(Edit(name=name, value=None, taking=taking))
    file.edit(Edit(name="ours", value=FIRST, renamed_from=None if main == "ours" else main, taking=taking))
    assert not any(token in str(file.originals.to_dict()) for token in TOKENS.values() if token.isascii())
    file.edit(Edit(name="ours", value=LATER))
    is_elsewhere = choice.draw(st.booleans(), label="elsewhere")
    if is_elsewhere:  # the application has changed a setting of its own
        file.data = file.data.replace(b"1", b"[10, 200]", 1)
    change = file.edit(Edit(name="ours", value=None))
    assert {name for name, _ in change.put_back} == set(taken)
    after = {name: entry.value for name, entry in dialect.read(file.data).items()}
    assert after == servers
    if all(how == "exact" for _, how in change.put_back):
        assert file.data == (before.replace(b"1", b"[10, 200]", 1) if is_elsewhere else before)
    else:  # only what stood in several places, or was one of several, may be written anew
        assert len(taken) > 1 or isinstance(dialect, TomlTables)
    assert file.originals == NO_ORIGINALS


@settings(max_examples=100, deadline=None)
@given(
    st.text(),
    st.lists(st.sampled_from([*TOKENS.values(), "'", '"', "\\"])),
    st.dictionaries(st.sampled_from([*TOKENS]), st.text(min_size=1)),
)
def test_a_text_without_its_secrets_is_that_text_with_them(text: str, parts: list[str], more: dict[str, str]) -> None:
    secrets = {**TOKENS, **more}
    whole = text.join([text, *parts, json.dumps("".join(parts)), text])
    kept = KeptText.of(whole, secrets)
    assert KeptText.from_list(json.loads(json.dumps(kept.to_list()))).whole(secrets) == whole
    assert not any(value in piece for value in secrets.values() for piece in kept.pieces if isinstance(piece, str))
