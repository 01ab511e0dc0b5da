"""Whatever a Dockerfile looks like: an engine gets the instructions that were read, and no image that was not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hatchlock.sources.dockerfile.read import read_dockerfile
from hatchlock.sources.dockerfile.rewrite import for_engine

IMAGE = f"a@sha256:{'a' * 64}"
OURS = f"sha256:{'1' * 64}"

_pieces = st.sampled_from(
    [
        *("\\", "\\\n", "\n", " ", "\t", "#", "# c\n", "\r\n", "`", "$B", "${B:-x}", "'", '"', "<<E", "E\n", "=", "--"),
        *(
            "FROM",
            f"FROM {IMAGE}\n",
            f"FROM {IMAGE} AS s\n",
            "FROM s\n",
            "COPY --from=s ",
            f"COPY --from={IMAGE} ",
            "RUN",
        ),
        *("RUN --mount=type=tmpfs,target=/x x\n", f"RUN --mount=from={IMAGE} x\n", "ARG B=1\n", "CMD [", '"x"', "]\n"),
        *("# escape=`\n", "ADD x y\n", "ENTRYPOINT e\n", "x:1", "scratch"),
    ]
)
_texts = st.lists(_pieces, max_size=14).map("".join) | st.text(max_size=40)


@given(_texts, st.sampled_from(["", f"FROM {IMAGE} AS s\n", f"# escape=`\nFROM {IMAGE}\n"]))
def test_an_engine_reads_what_was_read(text: str, head: str) -> None:
    read = read_dockerfile(head + text, file="Dockerfile", args={})
    if read.problems:
        return
    written = for_engine(read, {IMAGE: OURS})
    again = read_dockerfile(written.replace(OURS, IMAGE), file="Dockerfile", args={})
    assert again.problems == ()
    assert [(item.line, item.name) for item in again.instructions] == [
        (item.line, item.name) for item in read.instructions
    ]
    assert again.stages == read.stages
    assert again.images == read.images
    assert again.documents == read.documents
    named = [line.split()[1] for line in written.split("\n") if line.startswith("FROM ")]
    stages = {stage.name for stage in read.stages} | {"scratch", OURS}
    heredocs = {line for item in read.instructions for line in item.documents}
    assert {name for name in named if f"FROM {name}" not in heredocs} <= stages or heredocs
