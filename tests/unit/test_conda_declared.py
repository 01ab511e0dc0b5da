"""`conda:` requirements: what people may write, one normal form, and what rattler understands by it."""

from __future__ import annotations

import pytest
import rattler
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.address import BadSource
from hatchlock.manifest.load import loads
from hatchlock.sources.conda.declared import CondaRequirement, declared_conda

FORMS = {
    "numpy": "numpy",
    "NumPy": "numpy",
    " numpy  ": "numpy",
    "numpy *": "numpy",
    "numpy>=1.20": "numpy>=1.20",
    "numpy >=1.20": "numpy>=1.20",
    "numpy >= 1.20 , < 2": "numpy>=1.20,<2",
    "numpy~=1.26": "numpy~=1.26",
    "numpy!=1.26.3": "numpy!=1.26.3",
    "numpy 1.8|1.9": "numpy==1.8|==1.9",
    "python=3.12": "python=3.12",
    "python 3.12.*": "python=3.12",
    "python 3.12": "python==3.12",
    "python==3.12.4": "python==3.12.4",
    "numpy 1.26.* py311*": "numpy =1.26 py311*",
    "numpy=1.26.4=py311_0": "numpy ==1.26.4 py311_0",
    "python_abi 3.11.* *_cp311": "python_abi =3.11 *_cp311",
    "colomoto::maboss>=2.5.0": "colomoto::maboss>=2.5.0",
    "conda-forge/label/rc::numpy": "conda-forge/label/rc::numpy",
    "_libgcc_mutex 0.1 conda_forge": "_libgcc_mutex ==0.1 conda_forge",
    "openssl 1.1.1w": "openssl==1.1.1w",
    "r-base": "r-base",
}


@pytest.mark.parametrize(("text", "normal"), FORMS.items(), ids=list(FORMS))
def test_each_way_to_write_a_requirement_has_one_normal_form(text: str, normal: str) -> None:
    requirement = declared_conda(text)
    assert str(requirement) == normal
    assert declared_conda(normal) == requirement


@pytest.mark.parametrize("text", FORMS)
def test_a_manifest_takes_each_of_them(text: str) -> None:
    head = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
    loaded = loads(f'{head}[environments.e]\ndependencies = ["conda:{text}"]\n', shown="m")
    assert loaded.manifest.environments["e"].dependencies[0].spec == text.strip()


def test_channel_name_version_and_build_are_told_apart() -> None:
    expected = CondaRequirement(name="maboss", version=">=2.5", build="py*", channel="colomoto")
    assert declared_conda("colomoto::MaBoSS >=2.5 py*") == expected


@pytest.mark.parametrize("text", [form for form in FORMS if "::" not in form and " , " not in form])
def test_rattler_reads_the_same_into_the_normal_form_as_into_what_was_written(text: str) -> None:
    ours = rattler.MatchSpec(declared_conda(text).spec)
    theirs = rattler.MatchSpec(text.strip())
    assert (ours.version or "*", ours.build) == (theirs.version or "*", theirs.build)


@given(
    st.sampled_from(["==", "!=", ">=", "<=", "~=", "=", ">", "<"]),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,2}){0,2}", fullmatch=True),
)
def test_every_operator_survives_being_written_and_read(operator: str, version: str) -> None:
    requirement = declared_conda(f"numpy {operator} {version}")
    assert requirement.version == operator + version
    assert declared_conda(str(requirement)) == requirement
    rattler.MatchSpec(requirement.spec)


REFUSED = {
    "": "names no package",
    ">=1.2": "names no package",
    "numpy[version='>=1']": "in brackets",
    "numpy (>=1,<2)": "in brackets",
    "numpy >=1 py311 extra": "more than a version and a build",
    "numpy >=": "no version",
    "numpy >=1,": "no version",
    "numpy >=1;os": "no version",
    "numpy 1.0 py-311": "no build string",
    "__glibc>=2.17": "fact of the platform",
    "numpy/../x": "cannot be the name",
    "-numpy": "cannot be the name",
    "https://example.com/chan::numpy": "a channel has a name there",
    "../x::numpy": "cannot be the name of a channel",
    "::numpy": "cannot be the name of a channel",
    "conda-forge/linux-64::numpy": "directory of a platform",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items(), ids=list(REFUSED))
def test_what_is_no_requirement_is_refused_with_advice(text: str, why: str) -> None:
    with pytest.raises(BadSource) as caught:
        declared_conda(text)
    assert why in str(caught.value)
    assert caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_a_requirement_or_refused(text: str) -> None:
    try:
        requirement = declared_conda(text)
    except BadSource:
        return
    assert declared_conda(str(requirement)) == requirement
