"""Pages of indexes that speak only HTML (PEP 503, with the attributes of PEP 592, 658 and 714)."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

__all__ = ["read_html"]


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.api_version = "1.0"
        self.files: list[dict[str, Any]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == "pypi:repository-version":
            self.api_version = found.get("content") or self.api_version
        if tag == "a" and found.get("href"):
            self.files.append(_file(found))


def _file(attributes: dict[str, str | None]) -> dict[str, Any]:
    url, fragment = urldefrag(attributes["href"] or "")
    metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    return {
        "filename": unquote(urlsplit(url).path.rpartition("/")[2]),
        "url": url,
        "hashes": dict([fragment.split("=", 1)]) if "=" in fragment else {},
        "requires-python": attributes.get("data-requires-python"),
        "yanked": (attributes["data-yanked"] or True) if "data-yanked" in attributes else False,
        "gpg-sig": attributes.get("data-gpg-sig") == "true",
        "provenance": attributes.get("data-provenance"),
        "core-metadata": dict([metadata.split("=", 1)]) if metadata and "=" in metadata else bool(metadata),
    }


def read_html(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the version of the API and the files of a page, with the keys that PEP 691 has for them."""
    anchors = _Anchors()
    anchors.feed(text)
    anchors.close()
    return anchors.api_version, anchors.files
