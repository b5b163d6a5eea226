"""What would happen to a letter's message if it were sent now. Nothing is changed to find out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.messages import parse_job
from service.contract.topics import Topics
from service.db import ledger, preview
from service.db.dead_letters import Letter
from service.dead_letters.records import Read, read_originals
from service.domain.catalogue import entry_type
from service.domain.errors import (
    FileExpired,
    FileGone,
    JobIdConflict,
    NotJson,
    Poison,
    SchemaViolation,
    Tombstone,
    UnknownType,
    UploadError,
    UrlRefused,
    WrongSize,
)
from service.domain.model import Job, Outcome, Record, ReplaceScope
from service.domain.provider_types import ProviderType, WriteMode
from service.files.fetch import resolve_claim
from service.files.store import FileStore
from service.settings import LimitSettings

BATCH_SIZE = 20
"""Letters whose records are held in memory, and judged, at the same time."""


class Verdict(StrEnum):
    """What would become of a message. Only trying can tell `would_apply` for certain: nothing known is against it."""

    WOULD_APPLY = "would_apply"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"
    STILL_POISON = "still_poison"
    FILE_GONE = "file_gone"
    FILE_EXPIRED = "file_expired"
    NOT_JUDGED = "not_judged"
    RECORD_GONE = "record_gone"
    FOREIGN_TOPIC = "foreign_topic"

    @property
    def ends_well(self) -> bool:
        """Whether the message would not come back as a dead letter."""
        return self in {Verdict.WOULD_APPLY, Verdict.DUPLICATE, Verdict.SUPERSEDED}

    @property
    def can_be_sent(self) -> bool:
        """Whether there is something to send, and one of our own topics to send it to."""
        return self not in {Verdict.RECORD_GONE, Verdict.FOREIGN_TOPIC}


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and what it rests on, for people."""

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A letter with what was found about it; `job` is what its message reads as now."""

    letter: Letter
    finding: Finding
    original: Record | None = None
    job: Job | None = None


_APPLIES = Finding(Verdict.WOULD_APPLY)

_LOOKED_AT = {
    cause.code for cause in (NotJson, Tombstone, SchemaViolation, UnknownType, JobIdConflict)
} | {cause.code for cause in (UrlRefused, FileGone, FileExpired, WrongSize)}
"""Causes that a judge would see if they were still there."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Looks at the message, the ledger, the heads and the file, as a worker would."""

    engine: AsyncEngine
    store: FileStore
    limits: LimitSettings
    topics: Topics
    read: Read

    async def each(self, letters: Sequence[Letter]) -> AsyncIterator[Judgement]:
        """Judge letters in their order; each is looked at shortly before it is its turn."""
        for start in range(0, len(letters), BATCH_SIZE):
            batch = letters[start : start + BATCH_SIZE]
            found = await read_originals(self.read, batch)
            for judgement in await asyncio.gather(
                *(self.judge(letter, found.get(letter.id)) for letter in batch)
            ):
                yield judgement

    async def judge(self, letter: Letter, original: Record | None) -> Judgement:
        """What would become of one letter."""
        provider_type = self.topics.provider_type(letter.original_topic)
        if provider_type is None:
            said = f"{letter.original_topic} is none of this service's job topics; nothing is ever sent there"
            return Judgement(letter, Finding(Verdict.FOREIGN_TOPIC, said), original)
        if original is None:
            said = f"not at partition {letter.dlq_partition}, offset {letter.dlq_offset} of {self.topics.dead_letter}"
            return Judgement(letter, Finding(Verdict.RECORD_GONE, said))
        job, finding = await self.look_at(provider_type, original.value, letter.modules)
        if finding is _APPLIES and letter.code not in _LOOKED_AT:
            finding = Finding(
                Verdict.WOULD_APPLY, f"only trying tells whether {letter.code} is mended"
            )
        return Judgement(letter, finding, original, job)

    async def look_at(
        self, provider_type: ProviderType, value: bytes | None, modules: Sequence[int] | None = None
    ) -> tuple[Job | None, Finding]:
        """What a message reads as, and what would become of it; `modules` are those its rows are for, if known."""
        try:
            job = parse_job(provider_type, value)
        except Poison as error:
            return None, _found(error)
        return job, await self._known(job) or await self._file(job) or await self._heads(
            job, modules
        ) or _APPLIES

    async def _known(self, job: Job) -> Finding | None:
        """What the ledger says of the job's id."""
        async with self.engine.connect() as conn:
            line = await ledger.find_line(conn, job.job_id)
        if line is None:
            return None
        fingerprint, outcome = line
        if fingerprint != job.fingerprint:
            return Finding(Verdict.CONFLICT, f"job id {job.job_id} is another upload's")
        if outcome is None:
            return None
        return Finding(
            Verdict.DUPLICATE, f"job {job.job_id} has {_ended(outcome)}; it is announced again"
        )

    async def _file(self, job: Job) -> Finding | None:
        """What is wrong with the job's file, as far as that shows without reading it."""
        if job.file is None:
            return None
        try:
            location = await resolve_claim(job.file, self.store, self.limits, datetime.now(UTC))
            size = await self.store.size(location)
        except UploadError as error:
            return _found(error)
        if size not in {None, job.file.size}:
            return Finding(
                Verdict.STILL_POISON, f"the file has {size} bytes, the message says {job.file.size}"
            )
        return None

    async def _heads(self, job: Job, modules: Sequence[int] | None) -> Finding | None:
        """Which newer job has replaced the same.

        One newer head supersedes a job over the whole year, over factors, or over known modules. Of a job
        that has never come as far as its rows the modules are not known, for they are not read here: it is
        superseded for certain only where every module of the year has a newer head.
        """
        if job.mode is WriteMode.APPEND:
            return None
        among = modules if job.replace_scope is ReplaceScope.AFFECTED else None
        async with self.engine.connect() as conn:
            if job.is_factors:
                newer = await preview.factors_above(conn, job)
                return None if newer is None else _superseded(newer)
            module_type_id = entry_type(job.data_entry_type_id).module_type_id
            heads = await preview.heads_above(conn, job, module_type_id, among=among)
        if heads.highest is None:
            return None
        if (
            job.replace_scope is ReplaceScope.YEAR
            or among is not None
            or heads.above == heads.modules
        ):
            return _superseded(heads.highest)
        said = f"unless it has rows for one of the {heads.above} of {heads.modules} modules that a newer job has replaced"
        return Finding(Verdict.WOULD_APPLY, said)


def _superseded(newer: int) -> Finding:
    return Finding(Verdict.SUPERSEDED, f"by job {newer}; the tables would stay as they are")


def _ended(outcome: Outcome) -> str:
    return outcome.value if outcome is Outcome.SUCCEEDED else f"ended as {outcome.value}"


def _found(error: UploadError) -> Finding:
    match error:
        case FileGone():
            return Finding(Verdict.FILE_GONE, error.detail)
        case FileExpired():
            return Finding(Verdict.FILE_EXPIRED, error.detail)
    verdict = Verdict.STILL_POISON if isinstance(error, Poison) else Verdict.NOT_JUDGED
    return Finding(verdict, f"{error.code}: {error.detail or error.message}")
