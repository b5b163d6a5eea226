"""What would happen to a dead letter's message if it were sent now.

A judge reads the message, the ledger, the heads and the size of the file. It changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.messages import parse_job
from service.contract.topics import Topics
from service.db import fences, ledger
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
from service.files.fetch import locate_file
from service.files.store import FileStore
from service.settings import LimitSettings

BATCH_SIZE = 20
"""How many letters are judged at the same time, with their records in memory."""


class Verdict(StrEnum):
    """What would become of a message.

    `would_apply` means that nothing is known against it: only sending it tells for certain.
    """

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
        """Whether the record is still there, and its topic is a job topic of this service."""
        return self not in {Verdict.RECORD_GONE, Verdict.FOREIGN_TOPIC}


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and in `detail` the reason for it, in words for a person."""

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A letter with what was found about it.

    `original` is its record, None if that is gone. `job` is the job that its message can be read as
    now, None if it can't.
    """

    letter: Letter
    finding: Finding
    original: Record | None = None
    job: Job | None = None


_APPLIES = Finding(Verdict.WOULD_APPLY)

_CODES_THAT_A_JUDGE_CHECKS = {
    error.code
    for error in (
        NotJson,
        Tombstone,
        SchemaViolation,
        UnknownType,
        JobIdConflict,
        UrlRefused,
        FileGone,
        FileExpired,
        WrongSize,
    )
}
"""Errors that a judge finds again if their cause is still there."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells what would become of messages. `read` reads records of the dead-letter topic."""

    engine: AsyncEngine
    store: FileStore
    limits: LimitSettings
    topics: Topics
    read: Read

    async def judge_letters(self, letters: Sequence[Letter]) -> AsyncIterator[Judgement]:
        """Judge letters in their order, in small batches: each is judged shortly before it is sent.

        Raises `BrokerAway`, and what the database raises.
        """
        for start in range(0, len(letters), BATCH_SIZE):
            batch = letters[start : start + BATCH_SIZE]
            originals = await read_originals(self.read, batch)
            judgements = await asyncio.gather(
                *(self.judge_letter(letter, originals.get(letter.id)) for letter in batch)
            )
            for judgement in judgements:
                yield judgement

    async def judge_letter(self, letter: Letter, original: Record | None) -> Judgement:
        """Tell what would become of one letter, whose record is `original`."""
        provider_type = self.topics.provider_type(letter.original_topic)
        if provider_type is None:
            detail = (
                f"{letter.original_topic} is none of this service's job topics; "
                "nothing is ever sent there"
            )
            return Judgement(letter, Finding(Verdict.FOREIGN_TOPIC, detail), original)

        if original is None:
            detail = (
                f"not at partition {letter.dlq_partition}, offset {letter.dlq_offset} "
                f"of {self.topics.dead_letter}"
            )
            return Judgement(letter, Finding(Verdict.RECORD_GONE, detail))

        job, finding = await self.judge_message(provider_type, original.value, letter.modules)
        if finding == _APPLIES and letter.code not in _CODES_THAT_A_JUDGE_CHECKS:
            detail = f"only trying tells whether {letter.code} is mended"
            finding = Finding(Verdict.WOULD_APPLY, detail)
        return Judgement(letter, finding, original, job)

    async def judge_message(
        self, provider_type: ProviderType, value: bytes | None, modules: Sequence[int] | None = None
    ) -> tuple[Job | None, Finding]:
        """Return the job that a message can be read as, and what would become of it.

        `modules` are the ids of the modules that its rows are for, None if they are not known.
        """
        try:
            job = parse_job(provider_type, value)
        except Poison as error:
            return None, _finding_of_error(error)

        finding = await self._check_ledger(job)
        if finding is None:
            finding = await self._check_file(job)
        if finding is None:
            finding = await self._check_heads(job, modules)
        return job, finding or _APPLIES

    async def _check_ledger(self, job: Job) -> Finding | None:
        """Find out whether the job's id is another job's, or the job has ended before."""
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
            Verdict.DUPLICATE,
            f"job {job.job_id} has {_describe_end(outcome)}; it is announced again",
        )

    async def _check_file(self, job: Job) -> Finding | None:
        """Find out what is wrong with the job's file, as far as that shows without reading it."""
        if job.file is None:
            return None
        try:
            location = await locate_file(job.file, self.store, self.limits, datetime.now(UTC))
            size = await self.store.size(location)
        except UploadError as error:
            return _finding_of_error(error)
        # an https host may not tell the size
        if size is None or size == job.file.size:
            return None
        return Finding(
            Verdict.STILL_POISON, f"the file has {size} bytes, the message says {job.file.size}"
        )

    async def _check_heads(self, job: Job, modules: Sequence[int] | None) -> Finding | None:
        """Find out whether a newer job has replaced the same rows.

        A job over factors, over the whole year or over known modules is superseded by one newer
        head. If the modules are not known, because the job has never come as far as its rows, it is
        superseded for certain only when every module of the year has a newer head: its rows are not
        read here.
        """
        if job.mode is WriteMode.APPEND:
            return None
        if job.is_factors:
            return await self._check_factor_head(job)

        known_modules = modules if job.replace_scope is ReplaceScope.AFFECTED else None
        module_type_id = entry_type(job.data_entry_type_id).module_type_id
        async with self.engine.connect() as conn:
            heads = await fences.heads_above(conn, job, module_type_id, among=known_modules)
        if heads.highest is None:
            return None

        is_over_year = job.replace_scope is ReplaceScope.YEAR
        if is_over_year or known_modules is not None or heads.above == heads.modules:
            return _superseded_by(heads.highest)
        detail = (
            f"unless it has rows for one of the {heads.above} of {heads.modules} modules "
            "that a newer job has replaced"
        )
        return Finding(Verdict.WOULD_APPLY, detail)

    async def _check_factor_head(self, job: Job) -> Finding | None:
        async with self.engine.connect() as conn:
            head = await fences.factors_above(conn, job)
        return None if head is None else _superseded_by(head)


def _superseded_by(job_id: int) -> Finding:
    return Finding(Verdict.SUPERSEDED, f"by job {job_id}; the tables would stay as they are")


def _describe_end(outcome: Outcome) -> str:
    return outcome.value if outcome is Outcome.SUCCEEDED else f"ended as {outcome.value}"


def _finding_of_error(error: UploadError) -> Finding:
    match error:
        case FileGone():
            return Finding(Verdict.FILE_GONE, error.detail)
        case FileExpired():
            return Finding(Verdict.FILE_EXPIRED, error.detail)
        case Poison():
            verdict = Verdict.STILL_POISON
        case _:
            # The store does not answer, for example: that says nothing about the message.
            verdict = Verdict.NOT_JUDGED
    return Finding(verdict, f"{error.code}: {error.detail or error.message}")
