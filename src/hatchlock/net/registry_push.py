"""The push half of the OCI distribution specification 1.1: what is missing is sent, and nothing else.

A push goes to the registry that the reference names, never to its mirrors.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from hatchlock.address import ImageReference
from hatchlock.digest import canonical_json, oci_digest
from hatchlock.net.registry import INDEX_TYPES, MANIFEST_TYPES, Manifest
from hatchlock.net.registry_errors import ImageProblem, ImageUnreachable
from hatchlock.net.registry_places import Place, Places
from hatchlock.net.registry_session import Session
from hatchlock.net.registry_wire import Answer

__all__ = ["PushRefused", "Pusher"]

_ATTEMPTS = 3
_ANSWER_AT_MOST = 4 << 20
_SAID_AT_MOST = 1000
_OK = 200
_NOT_FOUND = 404
_ACCEPTED = 202
_STORED = frozenset({200, 201, 204})
_SERVERS_FAULT = 500
_TOO_LARGE = 413


@dataclass(kw_only=True, eq=False)
class PushRefused(ImageProblem):
    """A registry that does not take what it is sent.

    Attributes:
        what: What was sent: `a layer`, `the manifest`, ….
        status: HTTP's.
        said: The registry's own words; "" for none.
    """

    code: ClassVar[str] = "push-refused"

    what: str
    status: int
    said: str = ""

    def _sentence(self) -> str:
        words = f": {self.said}" if self.said else ""
        return f"{self.registry} does not take {self.what} of {self.image} (status {self.status}){words}"

    def _hint(self) -> str:
        if "DIGEST_INVALID" in self.said:
            return "what arrives there are other bytes than were sent: look for a proxy on the way, and push again"
        if self.status >= _SERVERS_FAULT:
            return "its disk may be full, or it is failing: its own log says more; then push again"
        if self.status == _TOO_LARGE:
            return "it, or a proxy before it, limits how large a layer may be"
        return "check the repository's name, and that this registry may be pushed to"


class Pusher:
    """The registries, as who stores images there sees them. May be used from several threads.

    Every method raises:
        LoginNeeded, WrongLogin, NoAccess: The registry does not let us.
        ImageUnreachable: It does not answer, or breaks off, also when asked again.
        PushRefused: It does not take it.

    Args:
        environ: The user's variables: credentials (`HOME`, `DOCKER_CONFIG`), proxies, certificate files.
        default_host: The registry of references without one.
        plain_http: Hosts (`host[:port]`) to which http is spoken, without any login; loopback always is.
    """

    def __init__(
        self, *, environ: Mapping[str, str], default_host: str, plain_http: frozenset[str] = frozenset()
    ) -> None:
        self._places = Places(default_host=default_host, plain_http=plain_http, mirrors={})
        self._session = Session(environ, actions="pull,push")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def blob(self, reference: ImageReference, digest: str, size: int, source: bytes | Path) -> bool:
        """Store a blob, and return whether it had to be sent.

        An upload that breaks off is begun again, a few times.

        Args:
            reference: The image that it belongs to.
            digest: `sha256:…` of its bytes, which the registry compares.
            size: Their number.
            source: They, or the file that has them.
        """
        place = self._places.own(reference)
        with self._asked(place, reference, f"{place.url}/blobs/{digest}", method="HEAD") as answer:
            if answer.status == _OK:
                return False
            if answer.status != _NOT_FOUND:
                raise _refused(place, reference, "a question for a layer", answer)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._upload(place, reference, digest, size, source)
            except (ImageUnreachable, PushRefused) as error:
                if attempt == _ATTEMPTS or not _is_passing(error):
                    raise
            else:
                break
        return True

    def _upload(self, place: Place, reference: ImageReference, digest: str, size: int, source: bytes | Path) -> None:
        url = f"{place.url}/blobs/uploads/"
        with self._asked(place, reference, url, method="POST", headers={"Content-Length": "0"}) as answer:
            if answer.status != _ACCEPTED:
                raise _refused(place, reference, "a layer", answer)
            target = _location(url, answer.headers.get("Location", ""))
        if not target:
            why = "it does not say where a layer is to be sent, or not to an https address"
            raise ImageUnreachable(image=str(reference), registry=place.host, why=why, pushing=True)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        target += f"{'&' if urlsplit(target).query else '?'}digest={digest}"
        asked = self._asked(place, reference, target, method="PUT", headers=headers, body=source, repeat=False)
        with asked as answer:
            if answer.status not in _STORED:
                raise _refused(place, reference, "a layer", answer)

    def manifest(self, reference: ImageReference, manifest: Manifest) -> bool:
        """Store a manifest or index under the reference's tag, or under its own digest; return whether it had to be sent.

        What it names has to be there already.
        """
        place = self._places.own(reference)
        name = reference.tag or manifest.digest
        if self._digest(place, reference, name) != manifest.digest:
            self._put(place, reference, name, manifest)
            return True
        return False

    def attach(self, reference: ImageReference, artefact: Manifest, subject: str) -> bool:
        """Store an artefact's manifest that has a subject, so that it is found from there; return whether anything was sent.

        Where the registry does not list what refers to a manifest, the list is kept as the specification says: as an index
        under the tag `sha256-…`.

        Args:
            reference: The image.
            artefact: The manifest; its blobs are there already.
            subject: The digest of the manifest that it is about.
        """
        place = self._places.own(reference)
        is_new = self._digest(place, reference, artefact.digest) != artefact.digest
        if is_new:
            is_listed = self._put(place, reference, artefact.digest, artefact)
        else:
            with self._asked(place, reference, f"{place.url}/referrers/{subject}") as answer:
                is_listed = answer.status == _OK
        if is_listed:
            return is_new
        return self._list_ourselves(place, reference, artefact, subject) or is_new

    def _list_ourselves(self, place: Place, reference: ImageReference, artefact: Manifest, subject: str) -> bool:
        tag = subject.replace(":", "-")
        known = self._listed(place, reference, tag)
        if any(item.get("digest") == artefact.digest for item in known):
            return False
        document = json.loads(artefact.data)
        item = {
            "mediaType": artefact.media_type,
            "digest": artefact.digest,
            "size": len(artefact.data),
            "artifactType": document["artifactType"],
        }
        data = canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": [*known, item]})
        index = Manifest(digest=oci_digest(data), media_type=INDEX_TYPES[0], data=data)
        self._put(place, reference, tag, index)
        return True

    def _listed(self, place: Place, reference: ImageReference, tag: str) -> list[dict[str, Any]]:
        url = f"{place.url}/manifests/{tag}"
        with self._asked(place, reference, url, headers={"Accept": INDEX_TYPES[0]}) as answer:
            if answer.status == _NOT_FOUND:
                return []
            data = answer.read(_ANSWER_AT_MOST)
        try:
            return [item for item in json.loads(data)["manifests"] if isinstance(item, dict)]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            why = f"what it has under the tag {tag} is no index, so nothing can be added to it"
            raise ImageUnreachable(image=str(reference), registry=place.host, why=why, pushing=True) from error

    def _digest(self, place: Place, reference: ImageReference, name: str) -> str:
        """Return the digest of what is there under a tag or digest; "" if nothing is, or the registry does not say it."""
        headers = {"Accept": ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))}
        url = f"{place.url}/manifests/{name}"
        with self._asked(place, reference, url, method="HEAD", headers=headers) as answer:
            if answer.status not in (_OK, _NOT_FOUND):
                raise _refused(place, reference, "a question for the manifest", answer)
            found = answer.headers.get("Docker-Content-Digest", "") if answer.status == _OK else ""
            return found or (name if answer.status == _OK and name.startswith("sha256:") else "")

    def _put(self, place: Place, reference: ImageReference, name: str, manifest: Manifest) -> bool:
        """Store a manifest, and return whether the registry says that it lists it below its subject."""
        url = f"{place.url}/manifests/{name}"
        headers = {"Content-Type": manifest.media_type}
        with self._asked(place, reference, url, method="PUT", headers=headers, body=manifest.data) as answer:
            if answer.status not in _STORED:
                raise _refused(place, reference, "the manifest", answer)
            stored = answer.headers.get("Docker-Content-Digest", "") or manifest.digest
            if stored != manifest.digest:
                why = f"it stored the manifest as {stored}, and what was sent is {manifest.digest}"
                raise ImageUnreachable(image=str(reference), registry=place.host, why=why, pushing=True)
            return "OCI-Subject" in answer.headers

    @contextlib.contextmanager
    def _asked(
        self,
        place: Place,
        reference: ImageReference,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | Path | None = None,
        repeat: bool = True,
    ) -> Iterator[Answer]:
        try:
            with self._session.ask(
                place, str(reference), url, headers or {}, method=method, body=body, repeat=repeat
            ) as answer:
                yield answer
        except ImageProblem as error:
            if error.pushing:
                raise
            raise replace(error, pushing=True) from error


def _location(url: str, said: str) -> str:
    """Return where a layer is to be sent; "" if that is no address, or one over http where it was asked over https."""
    try:
        target = urljoin(url, said)
        parts = urlsplit(target)
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return ""
    known = ("https", "http") if url.startswith("http:") else ("https",)
    return target if is_address and parts.scheme in known and target != url else ""


def _is_passing(error: ImageUnreachable | PushRefused) -> bool:
    """Whether an upload may go better when it is begun again: it broke off, or the registry forgot that it began."""
    if isinstance(error, PushRefused):
        return error.status == _NOT_FOUND and "BLOB_UPLOAD" in error.said
    return not error.answered


def _refused(place: Place, reference: ImageReference, what: str, answer: Answer) -> PushRefused:
    said = "; ".join(_words(answer.read(_ANSWER_AT_MOST)))[:_SAID_AT_MOST]
    return PushRefused(
        image=str(reference), registry=place.host, what=what, status=answer.status, said=said, pushing=True
    )


def _words(data: bytes) -> Iterator[str]:
    """Yield what an answer says of its errors, as the specification has it: code, message, and details that are text."""
    try:
        for item in json.loads(data)["errors"]:
            parts = [item.get("code"), item.get("message"), item.get("detail")]
            text = " ".join(part if isinstance(part, str) else json.dumps(part) for part in parts if part)
            yield " ".join(text.split())  # one line: it must not look like words of ours
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
