"""The script of the story: eleven messages, what each one shows, and how its job must end."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from service.demo import files
from service.demo.author import Author, OutgoingJob
from service.demo.university import UNIT_WITHOUT_REPORT, UNITS, YEAR, University
from service.domain.model import Outcome
from service.domain.provider_types import ProviderType

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
JOB_IDS = 10
"""How many job ids the script uses: one of its eleven messages is sent twice."""


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One message on its topic, and how its job must end.

    `repeats` is the number (from 1) of the step that sent the same message. `adds_nothing` means
    that there must be as many rows afterwards as before.
    """

    title: str
    text: str
    message: OutgoingJob
    outcome: Outcome = Outcome.SUCCEEDED
    repeats: int | None = None
    adds_nothing: bool = False


class Script:
    """Eleven steps about the other purchases of one year."""

    def __init__(self, university: University, author: Author) -> None:
        self._random = Random(YEAR + 1)
        self._modules = university.modules
        self._units = list(university.modules)
        self._author = author

    def steps(self) -> Iterator[StoryStep]:
        """Yield the steps in order; the file of a step is written when the step is asked for."""
        year = self._purchases(10_000, self._units)
        files.spoil_eight_rows(year, UNIT_WITHOUT_REPORT)

        first = self._year_file(year)
        yield first
        late_job_id = self._author.reserve_job_id()  # used by a message that is sent much later
        yield self._year_file_again(year)
        yield self._unit_file()
        yield self._rows_in_message()
        yield from self._synchronisations()
        yield from self._factors()
        yield self._redelivery(first)
        yield self._late_job(late_job_id)
        yield self._only_wrong_rows()

    def _purchases(self, count: int, units: list[str]) -> list[files.Row]:
        return files.purchases(self._random, count, units)

    def _year_file(self, rows: list[files.Row]) -> StoryStep:
        return StoryStep(
            "A year of purchases in one file",
            "The back office uploads the other purchases of all units, as spreadsheets write them: "
            "accents, quotes, commas and newlines in cells, and eight wrong rows. The good rows "
            "replace what the last such file put there; the wrong ones are skipped and reported. "
            "What people typed in stays.",
            self._author.message_with_file(CSV_PER_YEAR, f"Achats {YEAR}.csv", rows),
            Outcome.PARTIAL,
        )

    def _year_file_again(self, rows: list[files.Row]) -> StoryStep:
        return StoryStep(
            "The same file again",
            "Somebody uploads the file once more, under a new job id. Its rows take the place of "
            "the first ones: no purchase counts twice.",
            self._author.message_with_file(CSV_PER_YEAR, f"Achats {YEAR} (1).csv", rows),
            Outcome.PARTIAL,
            adds_nothing=True,
        )

    def _unit_file(self) -> StoryStep:
        unit = self._units[7]
        return StoryStep(
            "One unit adds a file of its own",
            f"{UNITS[unit]} uploads purchases that only this unit knows. Such a file is a "
            "supplement: its rows are appended to the unit's own module, and nothing is replaced.",
            self._author.message_with_file(
                ProviderType.CSV_MODULE_UNIT_SPECIFIC,
                "Complément de l'atelier.csv",
                self._purchases(24, []),
                carbon_report_module_id=self._modules[unit],
            ),
        )

    def _rows_in_message(self) -> StoryStep:
        rows = self._purchases(90, self._units[10:13])
        return StoryStep(
            "A program sends rows without a file",
            "The message carries the rows itself. They belong to three units: the program's older "
            "rows of these three units are replaced, and those of all other units stay.",
            self._author.message_with_rows(ProviderType.API_MODULE_PER_YEAR, rows),
        )

    def _synchronisations(self) -> Iterator[StoryStep]:
        external = ProviderType.EXTERNAL_INTEGRATION
        rows = self._purchases(1_500, self._units)
        yield StoryStep(
            "The finance system synchronises",
            "Every night the finance system sends all its purchases. Tonight's rows replace last "
            "night's.",
            self._author.message_with_rows(external, rows),
        )
        yield StoryStep(
            "The finance system synchronises again",
            "Nothing is new tonight. If a second synchronisation only added rows, the university's "
            "footprint would double overnight; here the number of rows stays the same.",
            self._author.message_with_rows(external, rows),
            adds_nothing=True,
        )

    def _factors(self) -> Iterator[StoryStep]:
        factors = files.factors(added=8)
        yield StoryStep(
            "New factors",
            "Factors turn a purchase into kg CO2e. A file holds all factors of one type and year. "
            "Other tables refer to a factor by its id, so a factor that is in the old set and in "
            "the new one keeps its id.",
            self._author.message_with_file(ProviderType.FACTORS, f"Facteurs {YEAR}.csv", factors),
        )
        corrected_factors = files.factors(dropped=2, added=10, corrected=12)
        yield StoryStep(
            "Corrected factors",
            "The file has other values for twelve factors, leaves out two article groups and adds "
            "two: again, every factor that stays keeps its id.",
            self._author.message_with_file(
                ProviderType.FACTORS, f"Facteurs {YEAR}, corrigés.csv", corrected_factors
            ),
        )

    def _redelivery(self, first: StoryStep) -> StoryStep:
        return StoryStep(
            "Kafka delivers a message twice",
            "A worker died after its commit in PostgreSQL, before its commit of the offset in "
            "Kafka: the message of step 1 comes again. The ledger answers it with the first event, "
            "byte for byte. No row moves, although step 2 has replaced the rows since.",
            first.message,
            first.outcome,
            repeats=1,
        )

    def _late_job(self, job_id: int) -> StoryStep:
        rows = self._purchases(500, self._units)
        return StoryStep(
            "An older job arrives late",
            "This job was accepted before the file of step 2, and its message was delayed. Applied "
            "now, it would bring back what has been corrected since. The higher job id wins, in "
            "whatever order the jobs arrive.",
            self._author.message_with_file(
                CSV_PER_YEAR, "Achats, première version.csv", rows, job_id=job_id
            ),
            Outcome.SUPERSEDED,
        )

    def _only_wrong_rows(self) -> StoryStep:
        rows = files.with_decimal_commas(self._purchases(400, self._units))
        return StoryStep(
            "A file without one good row",
            "The file was exported with decimal commas: 12,50 is never read as 1250, nor as 12. "
            "Without one good row, a replace would only delete the year's rows. So the job is "
            "rejected, and the old rows stay.",
            self._author.message_with_file(CSV_PER_YEAR, "Achats, virgules.csv", rows),
            Outcome.REJECTED,
        )
