from __future__ import annotations

import pytest

from hatchlock.engines.tagged import ImageFacts
from hatchlock.images.config import KEY_LABEL
from hatchlock.resources.image_tags import ImageTags

KEY, TAG, LOCAL = "f" * 64, "hatchlock/p/a:f", "hatchlock/p/a:f-local"
RIGHT = ImageFacts(id="sha256:" + "1" * 64, labels={KEY_LABEL: KEY})
COMMITTED = ImageFacts(id="sha256:" + "2" * 64, labels={KEY_LABEL: KEY})
STRANGE = ImageFacts(id="sha256:" + "3" * 64)


def changed(tags: ImageTags, image: ImageFacts, *, is_labelled: bool = True) -> tuple[str, str] | None:
    return tags.changed([TAG, LOCAL], {TAG: RIGHT, LOCAL: image}, key=KEY, is_labelled=is_labelled)


def test_what_was_loaded_is_known_by_its_id_from_then_on() -> None:
    first = ImageTags({})
    assert changed(first, RIGHT) is None
    later = ImageTags(first.ids)
    assert changed(later, RIGHT) is None
    assert changed(later, COMMITTED) == ("image 111111111111", "image 222222222222")
    assert later.ids == first.ids  # what was right stays known, until something else is loaded


@pytest.mark.parametrize(("image", "found"), [(RIGHT, False), (COMMITTED, False), (STRANGE, True)])
def test_without_an_id_the_label_decides(image: ImageFacts, found: bool) -> None:
    assert (changed(ImageTags({}), image) is not None) == found


def test_an_image_that_is_taken_as_it_is_may_say_the_key_under_which_it_was_assembled() -> None:
    assert changed(ImageTags({}), STRANGE, is_labelled=False) is None
    other = ImageFacts(id=STRANGE.id, labels={KEY_LABEL: "e" * 64})
    assert changed(ImageTags({}), other, is_labelled=False) is None
    assert changed(ImageTags({LOCAL: RIGHT.id}), other, is_labelled=False) is not None


def test_what_is_loaded_anew_may_have_another_id() -> None:
    tags = ImageTags({TAG: RIGHT.id, LOCAL: RIGHT.id})
    tags.renewed(LOCAL)
    assert changed(tags, COMMITTED) is None
    assert tags.ids == {TAG: RIGHT.id, LOCAL: COMMITTED.id}
