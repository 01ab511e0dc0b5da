from __future__ import annotations

from hatchlock.lock.model import Environment


def test_an_environment_knows_its_packages_on_one_platform_and_on_any() -> None:
    environment = Environment(
        name="time",
        private=True,
        runtime="process",
        packages=("pypi:b@1", "pypi:c@1"),
        platform_packages={"linux/amd64": ("pypi:a@1",), "darwin/arm64": ("pypi:d@2",)},
    )
    assert environment.everywhere == {"pypi:a@1", "pypi:b@1", "pypi:c@1", "pypi:d@2"}
    assert environment.on("linux/amd64") == ("pypi:a@1", "pypi:b@1", "pypi:c@1")
    assert environment.on("linux/arm64") == ("pypi:b@1", "pypi:c@1")
