"""Why there is no solution, in sentences. What rattler says is made in `test_conda_solve`; here are its rarer forms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hatchlock.sources.conda.explain import CondaUnsolvable, reasons

DEEP = """\
Cannot solve the request because of: The following packages are incompatible
├─ app * can be installed with any of the following options:
│  └─ app 1.0 | 1.1 would require
│     └─ web >=3, which can be installed with any of the following options:
│        └─ web 3.0 would require
│           └─ ssl >=3, which can be installed with any of the following options:
│              └─ ssl 3.1
└─ old * cannot be installed because there are no viable options:
   ├─ old 2.0 would require
   │  └─ ssl <3, which cannot be installed because there are no viable options:
   │     ├─ ssl 1.1.1a, which conflicts with the versions reported above.
   │     └─ ssl 1.1.1b, which conflicts with the versions reported above.
   ├─ old 1.0 would require
   │  └─ __osx >=11, for which no candidates were found.
   └─ old 0.9 is excluded because candidate not in requested channel: 'mine'
"""


def test_each_branch_is_one_clause_from_who_needs_to_what_is_wrong() -> None:
    assert reasons(DEEP) == (
        "app 1.0 | 1.1 needs web >=3, web 3.0 needs ssl >=3",
        "old 2.0 needs ssl <3, which conflicts with that",
        "old 1.0 needs macOS >=11, which the platform does not have",
        "old 0.9 is excluded because candidate not in requested channel: 'mine'",
    )


def test_more_than_eight_reasons_are_counted() -> None:
    lines = [f"No candidates were found for p{number} *." for number in range(11)]
    found = reasons("Cannot solve the request because of: " + "\n".join(lines))
    assert found[0] == "there is no p0"
    assert len(found) == 9
    assert found[-1] == "and 3 more such reasons"


def test_one_requirement_and_several_are_said_differently() -> None:
    def error(*requirements: str) -> str:
        channels = ("main", "extra")[: len(requirements)]
        return str(
            CondaUnsolvable(requirements=requirements, platform="linux/amd64", channels=channels, reasons=("a", "b"))
        )

    assert error("conda:x") == "conda:x cannot be had on linux/amd64 from the channel main: a; b"
    assert error("conda:x", "conda:y").startswith(
        "conda:x, conda:y cannot be had together on linux/amd64 from the channels main, extra: "
    )


@given(st.text(alphabet="│├└─ ab*>=1.,:\n", max_size=200))
def test_no_text_of_rattlers_stops_the_explanation(text: str) -> None:
    for reason in reasons(text):
        assert "\n" not in reason
