"""Which tag a requirement means depends on the tags alone, and is always one that its bounds allow."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.sources.oci_tags import OciRequirement, UnknownTag, choose_tag, declared_oci

NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda items: ".".join(map(str, items)))
VERSIONS = st.builds("{}{}{}".format, st.sampled_from(["", "v"]), NUMBERS, st.sampled_from(["", "-alpine", "-rc.1"]))
WORDS = st.sampled_from(["latest", "edge", "main", "20240923", "1234567", "sha-1a2b3c4"])
TAGS = st.lists(VERSIONS | WORDS, min_size=1, max_size=20, unique=True)
BOUNDS = st.builds("{}{}".format, st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), NUMBERS)
REQUIREMENTS = st.builds(
    lambda suffix, bounds: declared_oci(f"app{suffix}{','.join(bounds)}"),
    st.sampled_from(["", ":alpine"]),
    st.lists(BOUNDS, min_size=1, max_size=3),
)


def outcome(requirement: OciRequirement, tags: list[str]) -> str | tuple[str, ...]:
    try:
        return choose_tag(requirement, tags, registry="example.com")
    except UnknownTag as error:
        return error.near


@settings(deadline=None)
@given(requirement=REQUIREMENTS, tags=TAGS, order=st.randoms(use_true_random=False))
def test_the_order_in_which_a_registry_lists_its_tags_does_not_matter(
    requirement: OciRequirement, tags: list[str], order: Random
) -> None:
    shuffled = list(tags)
    order.shuffle(shuffled)
    assert outcome(requirement, shuffled) == outcome(requirement, tags)


@settings(deadline=None)
@given(requirement=REQUIREMENTS, tags=TAGS)
def test_what_is_chosen_exists_and_is_allowed(requirement: OciRequirement, tags: list[str]) -> None:
    found = outcome(requirement, tags)
    named = (found,) if isinstance(found, str) else found
    assert named
    assert set(named) <= set(tags)
    assert isinstance(found, tuple) or requirement.allows(found)


@settings(deadline=None)
@given(requirement=REQUIREMENTS)
def test_a_requirement_is_read_back_from_its_text(requirement: OciRequirement) -> None:
    again = declared_oci(str(requirement))
    assert (again.reference, again.suffix, again.bounds) == (
        requirement.reference,
        requirement.suffix,
        requirement.bounds,
    )
