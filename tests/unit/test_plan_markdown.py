"""Plans as markdown: what matters is visible, and nobody's text gets out of where it stands."""

from __future__ import annotations

import re

from hatchlock.address import Address
from hatchlock.cli.markdown import block, code
from hatchlock.cli.plan_markdown import plan_markdown
from hatchlock.lock.diff import Change
from hatchlock.reconcile.plan import Drifted, Plan
from hatchlock.resources.base import Action, Problem, Step
from hatchlock.usecases.standing import Note
from hatchlock.usecases.version_moves import NO_MOVES, VersionMoves

HOSTILE = "`</details>\n# owned ```` <img src=x> | [a](javascript:x) **b** @somebody \u202e\x1b[31m"


def at(text: str) -> Address:
    return Address.parse(text)


def plan(text: str = "plain") -> Plan:
    return Plan(
        steps=(
            Step(address=at("server:a"), action=Action.CREATE, cause=text, notes=(text,), details={"field": text}),
            Step(
                address=at("volume:b/data"),
                action=Action.DELETE,
                cause="not declared any more",
                loss=text,
                privilege="engine",
                drift=True,
            ),
        ),
        problems=(Problem(address=at("image:c"), code="x", what=text, hint=text),),
        drifted=(Drifted(address=at("server:d"), what=text),),
        unchanged=3,
        only=(text,),
        held=2,
    )


def test_what_happens_and_what_is_lost_is_seen_at_once_and_the_rest_on_demand() -> None:
    moves = VersionMoves(since="main", changes=(Change(what="pypi:a", sign="~", before="1", after="2"),))
    notes = [Note(address="engine", what="it lacks limits")]
    text = plan_markdown(plan(), moves=moves, notes=notes, about="From `main`")
    seen, _, details = text.partition("<details>")
    assert seen == (
        "**Plan: 1 to create, 0 to update, 1 to delete, 3 unchanged, 1 cannot be planned, 1 because of drift**\n\n"
        "From `main`\n\n"
        "Only `plain`, and what that needs\n\n"
        "Held at generation 2 since a rollback\n\n"
        "* `+` `server:a` `plain`\n"
        "  * **note**: `plain`\n"
        "* `-` `volume:b/data` `not declared any more` [drift] [engine]\n"
        "  * **destructive**: `plain`\n"
        "* `!` `image:c` **cannot be planned**: `plain`\n"
        "  * hint: `plain`\n"
        "* `!` `server:d` `plain`, left as it is\n"
        "* `!` `engine` `it lacks limits`\n\n"
        "Since `main`:\n\n"
        "* `~ pypi:a 1 -> 2`\n\n"
    )
    assert details.startswith("<summary>Details</summary>\n\n```text\n+ server:a  plain\n    field: plain\n")
    assert details.endswith("\n```\n\n</details>")


def test_nothing_to_do_is_one_line() -> None:
    assert plan_markdown(Plan(unchanged=2), moves=NO_MOVES) == "**Nothing to do: 2 resources are as declared**"


def outside(text: str) -> str:
    """What of markdown is no code: blocks first, then spans, by CommonMark's rule that a run of backticks ends the same run."""
    without = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", without)


def test_hostile_text_stays_in_code() -> None:
    moves = VersionMoves(since=HOSTILE, changes=(Change(what=HOSTILE, sign="~", before=HOSTILE, after=HOSTILE),))
    text = plan_markdown(plan(HOSTILE), moves=moves, notes=[Note(address=HOSTILE, what=HOSTILE)])
    left = outside(text)
    for word in ("owned", "img", "javascript", "somebody", "[a]", "\x1b", "\u202e", "`"):
        assert word not in left, word
    assert (left.count("<details>"), left.count("</details>")) == (1, 1)


def test_a_span_is_one_line_and_nothing_is_no_span() -> None:
    assert code("a`b``c") == "```a`b``c```"
    assert code("`") == "`` ` ``"
    assert code("a\nb") == "`a\\nb`"
    assert code(" ") == code("") == ""
    assert block("a\n```\n````b") == "`````text\na\n```\n````b\n`````"
