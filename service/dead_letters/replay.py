"""Replay: judge the messages of dead letters, and send those again that would end well."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from service.db.dead_letters import Filter, Letter
from service.dead_letters.audit import ActionReport, OperatorAction, audited
from service.dead_letters.pace import Pace, PaceKeeper
from service.dead_letters.records import replay_record
from service.dead_letters.select import select_letters, selects_only
from service.dead_letters.send import Sender, end_abandoned_claims
from service.dead_letters.verdict import Finding, Judge, Judgement, Verdict
from service.domain.errors import UploadError
from service.domain.model import LetterState
from service.jobs.outbox import Publish

REPLAYABLE = (LetterState.OPEN, LetterState.SENT, LetterState.QUARANTINED)
"""The states of letters that may be replayed.

A sent letter may be sent once more, because its message can be lost on its way.
"""

Sending = Literal["sent", "taken", "held_back"]
"""What became of a letter that a replay has reached.

`taken` means that it has changed since it was read: another operator was faster, or its job has
ended. `held_back` means that it was not sent, because it would come back. A letter whose sending
failed has none of these: the replay stops there, and the audit lists the letter as `in_doubt`.
"""

TellSending = Callable[[Judgement, Sending], None]


@dataclass(frozen=True, slots=True)
class JudgedLetter:
    """A letter with what was found about it, and what became of it if it was to be sent.

    Its record is left out, because the records of a whole replay may not fit into the memory.
    """

    letter: Letter
    finding: Finding
    sending: Sending | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the facts for programs about one letter of a replay."""
        letter = self.letter
        return {
            "id": letter.id,
            "job_id": letter.job_id,
            "code": letter.code,
            "topic": letter.original_topic,
            "parked_at": letter.parked_at,
            "replay_count": letter.replay_count,
            "verdict": self.finding.verdict,
            "detail": self.finding.detail,
            "sending": self.sending,
        }


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The report of a replay, and the letters that it reached before its end."""

    report: ActionReport
    letters: Sequence[JudgedLetter]

    @property
    def is_complete(self) -> bool:
        """Whether every selected letter was sent, and nothing stopped the replay."""
        report = self.report
        return report.stopped is None and report.count("sent") == len(report.selected)


TellProgress = Callable[[JudgedLetter, int], None]
"""Called with each letter that the replay has reached, and the number of all selected letters."""


def require_replayable(letter_filter: Filter) -> None:
    """Raise `ValueError` if the filter can select letters that may not be replayed."""
    if not selects_only(letter_filter, REPLAYABLE):
        raise ValueError("open, sent and quarantined letters are replayed, no others")


async def preview_replay(judge: Judge, letter_filter: Filter) -> list[JudgedLetter]:
    """Judge the letters that a filter selects, and change nothing.

    Raises `NoSuchLetter` and `BrokerAway`.
    """
    letters = await _select_letters(judge, letter_filter)
    return [
        JudgedLetter(judgement.letter, judgement.finding)
        async for judgement in judge.judge_letters(letters)
    ]


async def run_replay(
    judge: Judge,
    publish: Publish,
    letter_filter: Filter,
    action: OperatorAction,
    *,
    pace: Pace,
    force: bool,
    tell: TellProgress,
) -> ReplayResult:
    """Replay the letters that a filter selects, with a line in the audit.

    With `force`, letters are sent too whose message would come back. Raises `ValueError` if the
    filter can select letters that may not be replayed, `NoSuchLetter`, and what the database
    raises. What stops the replay later is in its report.
    """
    require_replayable(letter_filter)
    await end_abandoned_claims(judge.engine, actor=action.actor)
    letters = await _select_letters(judge, letter_filter)
    reached: list[JudgedLetter] = []

    def note_and_tell(judgement: Judgement, sending: Sending) -> None:
        reached.append(JudgedLetter(judgement.letter, judgement.finding, sending))
        tell(reached[-1], len(letters))

    async with audited(judge.engine, action, [letter.id for letter in letters]) as report:
        sender = Sender(judge.engine, publish, judge.topics, action.actor, report.action_id)
        await replay_letters(
            sender, judge, letters, report, pace=pace, force=force, tell=note_and_tell
        )
    return ReplayResult(report, reached)


async def replay_letters(
    sender: Sender,
    judge: Judge,
    letters: Sequence[Letter],
    report: ActionReport,
    *,
    pace: Pace,
    force: bool,
    tell: TellSending,
) -> None:
    """Send the letters whose message would end well now; with `force`, all that can be sent.

    The report gets what became of each letter, and what stopped the replay early.
    """
    keeper = PaceKeeper(sender.engine, pace)
    try:
        async for judgement in judge.judge_letters(letters):
            sending = await _send_judged(sender, judgement, report, force=force)
            tell(judgement, sending)
            if sending == "sent":
                await keeper.wait_after(judgement.letter.id)
        await keeper.wait_for_last_wave()
    except UploadError as error:
        report.stopped = error.message


async def _send_judged(
    sender: Sender, judgement: Judgement, report: ActionReport, *, force: bool
) -> Sending:
    letter, verdict, original = judgement.letter, judgement.finding.verdict, judgement.original
    if original is None or not _may_be_sent(verdict, force=force):
        report.note(verdict.value, letter.id)
        return "held_back"

    job = judgement.job if verdict.ends_well else None
    try:
        is_sent = await sender.send(letter, replay_record(letter, original), job=job)
    except UploadError:
        report.note("in_doubt", letter.id)
        raise

    sending: Sending = "sent" if is_sent else "taken"
    report.note(sending, letter.id)
    return sending


def _may_be_sent(verdict: Verdict, *, force: bool) -> bool:
    return verdict.ends_well or (force and verdict.can_be_sent)


async def _select_letters(judge: Judge, letter_filter: Filter) -> list[Letter]:
    async with judge.engine.connect() as conn:
        return await select_letters(conn, letter_filter)
