"""rattler, asked through the relay: the one module of the sources that imports it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import rattler
from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError

from hatchlock.address import BadSource, Kind
from hatchlock.sources.base import BadAnswer, MissingHash, UnknownPackage
from hatchlock.sources.conda.channels import CondaChannel
from hatchlock.sources.conda.declared import CondaRequirement
from hatchlock.sources.conda.explain import CondaUnsolvable, reasons
from hatchlock.sources.conda.platforms import NOARCH
from hatchlock.sources.conda.records import CondaRecord, python_names
from hatchlock.sources.conda.relay import Relay

__all__ = ["Gateway", "Question", "usual_address"]

_ENDINGS = (".conda", ".tar.bz2")
_MILLISECOND = timedelta(milliseconds=1)


def usual_address(name: str) -> str:
    """Return the address of a channel at the place where rattler looks for channels by themselves."""
    return rattler.Channel(name).base_url


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What to solve.

    Attributes:
        requirements: What is wanted.
        channels: From where, the first one first.
        platform: For which platform.
        subdir: Its directory in channels.
        virtual: Name, version and build of its virtual packages.
        preferred: Name -> versions, or `version=build`, to take where one of them will do, the first one first.
        exclude_newer: Builds of this moment or later do not exist; nor do those whose time is not known.
    """

    requirements: tuple[CondaRequirement, ...]
    channels: tuple[CondaChannel, ...]
    platform: str
    subdir: str
    virtual: tuple[tuple[str, str, str], ...]
    preferred: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude_newer: datetime | None = None


class Gateway:
    """Solves. One question at a time.

    Args:
        relay: Answers for the channels; it is being served.
        scratch: An empty directory for what rattler writes; nothing of it is wanted again.
        named: Returns the channel that a requirement names.
    """

    def __init__(self, relay: Relay, scratch: Path, named: Callable[[str], CondaChannel]) -> None:
        self._relay = relay
        self._scratch = scratch
        self._named = named
        config = rattler.Config.from_toml(
            f"authentication-override-file = {json.dumps(str(scratch / 'none.json'))}\n"
            f"[proxy-config]\nhttp = {json.dumps(relay.proxy)}\nhttps = {json.dumps(relay.proxy)}\n"
        )
        self._client = rattler.Client.from_config(config, max_retries=0)
        self._sharded = True
        self._gateways: dict[bool, rattler.Gateway] = {}

    def solve(self, question: Question) -> tuple[CondaRecord, ...]:
        """Return the packages that satisfy a question and all they need, sorted by name.

        Raises:
            CondaUnsolvable: There are none.
            UnknownPackage: No channel has a required name.
            BadSource: A requirement is none to rattler.
            MissingHash: A channel gives no SHA-256 for a file.
            BadAnswer: A channel's files are not of their format.
            Refused, Unreachable: A channel cannot be asked.
        """
        self._relay.forget_failures()
        try:
            found = asyncio.run(self._solve(question))
        except GatewayError as error:
            if self._sharded and self._relay.led_away and not self._relay.failures:
                # whole lists never lie on another host than their channel
                self._sharded = False
                return self.solve(question)
            raise self._failure(question, error) from error
        except SolverError as error:
            raise self._unsolvable(question, error) from error
        return tuple(sorted((self._record(question, record) for record in found), key=lambda record: record.name))

    def _gateway(self) -> rattler.Gateway:
        if self._sharded not in self._gateways:
            config = rattler.SourceConfig(cache_action="no-cache", sharded_enabled=self._sharded)
            self._gateways[self._sharded] = rattler.Gateway(self._scratch, default_config=config, client=self._client)
        return self._gateways[self._sharded]

    def _channels(self, question: Question) -> list[rattler.Channel]:
        return [rattler.Channel(self._relay.address(channel)) for channel in question.channels]

    async def _solve(self, question: Question) -> list[rattler.RepoDataRecord]:
        specs = [self._spec(requirement) for requirement in question.requirements]
        gateway = self._gateway()
        # rattler would keep a build of exactly this moment
        before = question.exclude_newer.astimezone(UTC) - _MILLISECOND if question.exclude_newer else None
        return await rattler.solve(
            self._channels(question),
            specs,
            gateway=gateway,
            platforms=[rattler.Subdir(question.subdir), rattler.Subdir(NOARCH)],
            locked_packages=await self._locked(question, gateway, before),
            virtual_packages=[
                rattler.GenericVirtualPackage(
                    rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
                )
                for name, version, build in question.virtual
            ],
            channel_priority=rattler.ChannelPriority.Strict,
            exclude_newer=before,
            channel_relations="disabled",
        )

    def _spec(self, requirement: CondaRequirement) -> rattler.MatchSpec:
        channel = self._named(requirement.channel) if requirement.channel else None
        prefix = f"{self._relay.address(channel)}::" if channel else ""
        try:
            return rattler.MatchSpec(prefix + requirement.spec)
        except InvalidMatchSpecError as error:
            raise BadSource(text=f"conda:{requirement}", why=_first_line(error)) from error

    async def _locked(
        self, question: Question, gateway: rattler.Gateway, before: datetime | None
    ) -> list[rattler.RepoDataRecord]:
        names = sorted(question.preferred)
        if not names:
            return []
        found = await self._query(question, gateway, names)
        locked: dict[str, rattler.RepoDataRecord] = {}
        for records in found:
            # strict priority: what a later channel has of a name does not count
            owned = {record.name.normalized for record in records}.intersection(names)
            names = [name for name in names if name not in owned]
            for name in owned:
                own = [record for record in records if record.name.normalized == name]
                if kept := _kept(own, question.preferred[name], before):
                    locked[name] = kept
        return [locked[name] for name in sorted(locked)]

    async def _query(
        self, question: Question, gateway: rattler.Gateway, names: Sequence[str]
    ) -> list[list[rattler.RepoDataRecord]]:
        found = await gateway.query(
            self._channels(question),
            [rattler.Subdir(question.subdir), rattler.Subdir(NOARCH)],
            names,
            recursive=False,
            channel_relations="disabled",
        )
        return list(found)

    def _record(self, question: Question, record: rattler.RepoDataRecord) -> CondaRecord:
        channel = self._channel_of(question, record)
        facts = json.loads(record.to_json())
        stem = f"{record.name.normalized}-{record.version}-{record.build}"
        if record.file_name not in {f"{stem}{ending}" for ending in _ENDINGS}:
            raise BadAnswer(
                what=f"the file {record.file_name} of the channel {channel.name}",
                why=f"a package {stem} would be in a file of that name, ending in {' or '.join(_ENDINGS)}",
            )
        if not record.sha256:
            raise MissingHash(file=record.file_name, index=channel.name)
        return CondaRecord(
            name=record.name.normalized,
            version=str(record.version),
            build=str(record.build),
            subdir=record.subdir,
            channel=channel.name,
            file=record.file_name,
            sha256=record.sha256.hex(),
            size=record.size or 0,
            depends=tuple(record.depends),
            licence=record.license or "",
            python_names=python_names(
                name=record.name.normalized,
                depends=record.depends,
                noarch=facts.get("noarch") or "",
                purls=facts.get("purls") or (),
            ),
        )

    def _channel_of(self, question: Question, record: rattler.RepoDataRecord) -> CondaChannel:
        for channel in question.channels:
            if unquote(record.url) == f"{self._relay.address(channel)}/{record.subdir}/{record.file_name}":
                return channel
        raise BadAnswer(
            what=f"the file {record.file_name} of a conda channel",
            why="it is kept at another address than its channel's",
        )

    def _failure(self, question: Question, error: Exception) -> Exception:
        if self._relay.failures:
            # one answer of several; the least, so that it is the same every time
            return min(self._relay.failures, key=str)
        names = ", ".join(channel.name for channel in question.channels)
        return BadAnswer(
            what=f"what the conda channels ({names}) say of their packages",
            why=self._clean(question, _first_line(error)),
        )

    def _unsolvable(self, question: Question, error: SolverError) -> Exception:
        channels = tuple(channel.name for channel in question.channels)
        names = sorted({requirement.name for requirement in question.requirements})
        gateway = self._gateway()
        found = asyncio.run(self._query(question, gateway, names))
        known = {record.name.normalized for records in found for record in records}
        for requirement in question.requirements:
            if requirement.name not in known:
                return UnknownPackage(kind=Kind.CONDA, name=requirement.name, index=", ".join(channels))
        return CondaUnsolvable(
            requirements=tuple(sorted(f"{Kind.CONDA}:{requirement}" for requirement in question.requirements)),
            platform=question.platform,
            channels=channels,
            reasons=reasons(self._clean(question, str(error))),
        )

    def _clean(self, question: Question, text: str) -> str:
        for channel in question.channels:
            address = self._relay.address(channel)
            text = text.replace(f"{address}/", f"{channel.name}/")
        return text


def _kept(
    records: Sequence[rattler.RepoDataRecord], preferred: Sequence[str], before: datetime | None
) -> rattler.RepoDataRecord | None:
    """The first of the preferred versions that there still is."""
    for wanted in preferred:
        version, _, build = wanted.partition("=")
        for record in sorted(records, key=lambda item: (-item.build_number, item.subdir, item.file_name)):
            is_same = str(record.version) == version and build in {"", str(record.build)}
            if is_same and _is_old_enough(record, before):
                return record
    return None


def _is_old_enough(record: rattler.RepoDataRecord, before: datetime | None) -> bool:
    when = record.indexed_timestamp or record.timestamp
    return before is None or (when is not None and when.astimezone(UTC) <= before)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
