"""Dockerfiles as they are read, what of them is refused, and the text that an engine gets."""

from __future__ import annotations

import pytest

from hatchlock.sources.dockerfile.problems import NotPinned
from hatchlock.sources.dockerfile.read import Dockerfile, read_dockerfile
from hatchlock.sources.dockerfile.rewrite import for_engine

A = f"reg.example/a@sha256:{'a' * 64}"
B = f"b:1.2@sha256:{'b' * 64}"


def read(text: str, *, target: str = "", **args: str) -> Dockerfile:
    return read_dockerfile(text, file="docker/Dockerfile", args=args, target=target)


def wrong(text: str, *, target: str = "", **args: str) -> list[str]:
    return [f"{error.place}: {error}" for error in read(text, target=target, **args).problems]


def test_a_whole_file_keeps_its_lines_and_names_images_as_the_engine_does() -> None:
    found = read(
        f"# escape=`\n# comment\nARG BASE={A}\n\nfrom $BASE as Build\n"
        f"RUN one `\n  # a comment inside\n  two\nFROM build\nCOPY --chown=1 --from={B} /x /y\nCOPY --from=BUILD a b\n"
        f'RUN --mount=type=bind,from={B},target=/z z\nENTRYPOINT ["run", "it"]\n'
    )
    assert found.problems == ()
    assert found.images == (A, B)
    assert for_engine(found, {A: "AA", B: "BB"}).split("\n") == [
        *("# escape=`", "", f"ARG BASE={A}", "", "FROM AA AS build", "RUN one   two", "", ""),
        *("FROM build", "COPY --chown=1 --from=BB /x /y", "COPY --from=BUILD a b"),
        *("RUN --mount=type=bind,from=BB,target=/z z", 'ENTRYPOINT ["run", "it"]', ""),
    ]
    assert found.mounts == (12,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM a:1\n", "docker/Dockerfile:1: FROM names a:1, which is no digest"),
        (f"FROM {A}\nCOPY --from=nginx:1 / /\n", "docker/Dockerfile:2: COPY --from names nginx:1, which is no digest"),
        (f"FROM {A}\nCOPY --from=later / /\nFROM {A} AS later\n", ":2: COPY --from names later, which is no digest"),
        (f"FROM {A}\nRUN --mount=from=x:1,target=/x true\n", ":2: RUN --mount from names x:1, which is no digest"),
        (
            f"FROM {A}\nRUN --mount=type=secret,id=token true\n",
            ":2: RUN --mount=type=secret: no secret reaches a build",
        ),
        (f"FROM {A}\nRUN --mount=type=ssh true\n", ":2: RUN --mount=type=ssh: no secret reaches a build"),
        (
            f"FROM {A}\nRUN --mount=Type=secret,id=token true\n",
            ":2: RUN --mount=Type=secret,id=token: builders read it",
        ),
        (f"FROM {A}\nRUN --mount=From=x:1,target=/x true\n", ":2: RUN --mount=From=x:1,target=/x: builders read it"),
        (f"FROM {A}\nRUN --mount=from=x:1,from={A},target=/x true\n", ": builders read it in different ways"),
        (
            f"FROM {A}\nRUN --mount=type=cache,target=/x true\n",
            ":2: RUN --mount=type=cache: what builds of other projects",
        ),
        (f"FROM {A}\nRUN --network=host true\n", ":2: RUN --network=host: a build has no network"),
        (f"FROM {A}\nRUN --security=insecure true\n", ":2: RUN --security is not supported"),
        (f"FROM {A}\nADD https://x.example/y /y\n", ":2: ADD https://x.example/y would fetch while it builds"),
        (f"FROM {A}\nADD ht'tp://x.example/'y /y\n", ":2: ADD http://x.example/y would fetch while it builds"),
        (f'FROM {A}\nADD ["git@x.example:y", "/y"]\n', ":2: ADD git@x.example:y would fetch while it builds"),
        (f"FROM {A}\nENV U=http://x.example/y\nADD $U /y\n", ":3: ADD $U: it could become an address"),
        (f"FROM {A}\nCOPY --from=$X / /\n", ":2: COPY --from=$X: not every builder replaces variables there"),
        (f"FROM {A}\nCOPY --from=0 / /\n", ":2: COPY --from=0: there is no earlier stage of that number"),
        (f"# syntax=docker/dockerfile:1\nFROM {A}\n", ":1: the frontend docker/dockerfile:1 would be an image"),
        (f"FROM --platform=linux/s390x {A}\n", ":1: --platform=linux/s390x would take another platform's image"),
        (f"FROM {A}\nONBUILD RUN true\n", ":2: ONBUILD says nothing of a server's image"),
        (f"FROM {A}\nRUM true\n", ":2: there is no instruction RUM"),
        (f"RUN true\nFROM {A}\n", ":1: RUN stands before the first FROM"),
        (f"FROM {A}\nRUN one \\\\\nFROM x\n", r":2: a line that ends with \\ is continued by some builders"),
        (f"FROM {A}\nCOPY <<EOF /x\nFROM a\n", ":2: the here-document EOF has no end"),
        ("FROM $BASE\n", ":1: $BASE has no value"),
        (f"FROM {A}\nARG X={B}\nFROM $X\n", ":3: $X has no value"),
        ("FROM ${A#b}\n", ":1: ${A#…} is a form that not every builder knows"),
        ("# nothing\n", "docker/Dockerfile: it has no FROM"),
    ],
)
def test_what_is_refused_is_said_with_its_line(text: str, said: str) -> None:
    assert any(said in item for item in wrong(text)), wrong(text)


def test_all_is_said_at_once_in_the_order_of_lines() -> None:
    text = "FROM a:1\nADD http://x /x\nFROM b:2\nRUN --mount=type=ssh true\n"
    assert [item.partition(":")[2].partition(":")[0] for item in wrong(text)] == ["1", "2", "3", "4"]


def test_an_image_that_is_not_pinned_is_hinted_at_with_the_digest_that_is_known() -> None:
    (error,) = read("FROM a:1\n").problems
    assert isinstance(error, NotPinned)
    error.digest = f"sha256:{'c' * 64}"
    assert error.hint == f"write a:1@sha256:{'c' * 64}, which is what the registry has now"


def test_args_are_those_that_are_declared() -> None:
    assert read("ARG B\nFROM $B\n", B=A).images == (A,)
    assert read("ARG B=x:1\nARG C=${B}\nFROM $C\n", B=A).images == (A,)
    assert read(f"ARG V\nFROM {A}${{V:+x}}\n").images == (A,)
    assert wrong(f"FROM {A}\nARG NAME\n", NAM="x") == ["docker/Dockerfile: args has NAM, which it declares nowhere"]


@pytest.mark.parametrize(("target", "number"), [("", 2), ("one", 0), ("ONE", 0), ("1", 1)])
def test_a_target_is_a_stage_by_name_or_number(target: str, number: int) -> None:
    text = f"FROM {A} AS one\nFROM one AS two\nFROM scratch\n"
    assert (read(text, target=target).target, wrong(text, target=target)) == (number, [])


def test_a_target_that_is_not_there_is_refused() -> None:
    assert wrong(f"FROM {A} AS one\n", target="oen") == ["docker/Dockerfile: it has no stage oen"]


@pytest.mark.parametrize("blank", ["\xa0", "\f", "\v", "\x1c"])
def test_nothing_that_is_taken_away_makes_the_engine_join_lines(blank: str) -> None:
    """Joined with the line above, `<<EOF` would stand in quotes, and the engine would take what follows for instructions."""
    said = wrong(f"FROM {A}\nRUN echo ' \\{blank}\nRUN <<EOF '\nFROM evil:latest\nEOF\n")
    assert said[0] == "docker/Dockerfile:2: it ends with \\ and a blank that some builders skip and others do not"


@pytest.mark.parametrize(
    "text",
    [
        r"RUN cat <<\EOF",
        "RUN cat << EOF",
        'RUN cat <<E"O"F',
        "RUN cat <<$EOF",
        'RUN cat <<"E F"',
        "RUN echo ${ <<EOF",
        "RUN echo ${x:-y <<EOF }",
        "RUN echo \x1c<<EOF",
        "RUN echo ' <<EOF ' <<EOF \"",
        r"COPY <<EOF \x /y",
    ],
)
def test_what_builders_may_not_agree_on_is_no_here_document(text: str) -> None:
    """Who takes it for one reads on behind its end, where another one reads instructions."""
    said = wrong(f"FROM {A}\n{text}\nEOF\nFROM evil:latest\n")
    assert "docker/Dockerfile:2: its here-document is read in different ways by different builders" in said


def test_a_here_document_ends_where_the_engine_ends_it() -> None:
    assert wrong(f"FROM {A}\nRUN <<EOF\nEOF\r\r\nFROM evil:latest\nRUN <<EOF\nEOF\n")[0].startswith(
        "docker/Dockerfile:4: FROM"
    )


@pytest.mark.parametrize(
    "text",
    [
        "RUN <<EOF",
        'RUN cat <<-"EOF" > "$HOME/a b"',
        "COPY <<'EOF' ${DIR}/x",
        "RUN python3 - 3<<EOF && true",
        "RUN [ <<EOF ]",
    ],
)
def test_here_documents_as_people_write_them_are_read(text: str) -> None:
    assert wrong(f"FROM {A}\n{text}\nFROM nowhere\nEOF\nRUN x <<<word\nRUN echo $((1<<2)) 'a <<EOF'\n") == []


def test_here_documents_are_no_instructions() -> None:
    found = read(f"FROM {A}\nRUN <<-'ONE' cat <<TWO\nFROM x\n\tONE\nTWO\nCMD [\"a\"]\n")
    assert found.problems == ()
    assert [item.name for item in found.instructions] == ["FROM", "RUN", "CMD"]
    assert found.documents == (2,)
    assert for_engine(found, {A: "A"}).split("\n")[1:6] == [
        "RUN <<-'ONE' cat <<TWO",
        "FROM x",
        "\tONE",
        "TWO",
        'CMD ["a"]',
    ]


@pytest.mark.parametrize(
    ("text", "entrypoint", "command"),
    [
        (f"FROM {A}\n", None, None),
        (f'FROM {A}\nCMD ["c"]\n', None, ("c",)),
        (f'FROM {A}\nENTRYPOINT ["e"]\n', ("e",), ()),
        (f'FROM {A}\nCMD ["c"]\nENTRYPOINT ["e"]\n', ("e",), ("c",)),
        (f'FROM {A} AS x\nCMD ["c"]\nFROM x\nENTRYPOINT ["e"]\n', ("e",), ()),
        (f'FROM {A} AS x\nENTRYPOINT ["e"]\nFROM x\nCMD ["c"]\n', ("e",), ("c",)),
        (f'FROM {A} AS x\nENTRYPOINT ["e"]\nFROM {B}\n', None, None),
    ],
)
def test_what_the_image_starts(text: str, entrypoint: tuple[str, ...] | None, command: tuple[str, ...] | None) -> None:
    image, *starts = read(text).starts()
    assert image == (B if B in text else A)
    assert [start and start.words for start in starts] == [entrypoint, command]


def test_text_for_a_shell_is_told_from_a_list() -> None:
    _, entrypoint, command = read(f"FROM {A}\nENTRYPOINT run it\nCMD ['a']\n").starts()
    assert [start and start.is_shell for start in (entrypoint, command)] == [True, True]
