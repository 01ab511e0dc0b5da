"""Which Python files of an image get bytecode on this machine, and what decides on them."""

from __future__ import annotations

from hatchlock.engines.bytecode import LIBRARY, BytecodePart
from hatchlock.images.assemble import Composed
from hatchlock.realise.tree import ROOT
from hatchlock.resources.image_spec import ImageSpec

__all__ = ["bytecode_parts"]

_WITH_INTERPRETER = ("system", "conda")


def bytecode_parts(spec: ImageSpec, image: Composed) -> tuple[BytecodePart, ...]:
    """Return what is compiled together, so that each is compiled as seldom as can be.

    What is below Python's own layer: the interpreter's library, the same for all images of one base. Python's packages. And
    projects, of which only the changed one's image has to be compiled anew, and of that only they.

    Args:
        spec: An image with `is_compiled`.
        image: The same, put together.
    """
    env = spec.environment
    if env is None:
        return ()
    layers = dict(zip(image.concerns, image.layers, strict=True))
    interpreter = (
        spec.base.config,
        *(layer.diff_id for layer in image.below),
        *(layers[name] for name in _WITH_INTERPRETER if name in layers),
    )
    conda = (f"{env.conda.root}/lib",) if env.conda else ()
    packages = (*interpreter, layers["python"])
    parts = [
        BytecodePart(directories=(LIBRARY, *conda), inputs=interpreter),
        BytecodePart(directories=(f"{ROOT}/lib",), inputs=packages),
    ]
    if sources := tuple(f"{ROOT}/{item.path}" for item in env.projects if item.ecosystem in {"python", "hatch"}):
        parts.append(BytecodePart(directories=sources, inputs=(*interpreter, layers["application"])))
    return tuple(parts)
