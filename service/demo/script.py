"""The script of the story: eleven messages, what each stands for, and how it must end."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from service.demo import files
from service.demo.author import Author, Message
from service.demo.university import CLOSED, UNITS, YEAR, University
from service.domain.model import Outcome
from service.domain.provider_types import ProviderType

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
JOB_IDS = 10
"""How many the script uses, since one of its eleven messages is sent twice."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One message on its topic, and how it must end.

    `repeats` is the number of the scene that sent the same message, from 1; `adds_nothing` says that there must
    be as many rows as before.
    """

    title: str
    text: str
    message: Message
    outcome: Outcome = Outcome.SUCCEEDED
    repeats: int | None = None
    adds_nothing: bool = False


class Script:
    """Eleven scenes about the other purchases of one year."""

    def __init__(self, university: University, author: Author) -> None:
        self._random = Random(YEAR + 1)
        self._modules = university.modules
        self._units = list(university.modules)
        self._author = author

    def scenes(self) -> Iterator[Scene]:
        """The scenes in their order, with their files written when they are asked for."""
        year = self._purchases(10_000)
        files.spoil(year, CLOSED)
        yield (first := self._the_year(year))
        late = self._author.set_aside()
        yield self._the_year_again(year)
        yield self._one_unit()
        yield self._a_program()
        yield from self._synchronisations()
        yield from self._factors()
        yield self._redelivery(first)
        yield self._too_late(late)
        yield self._all_wrong()

    def _purchases(self, count: int, units: list[str] | None = None) -> list[files.Row]:
        return files.purchases(self._random, count, self._units if units is None else units)

    def _the_year(self, rows: list[files.Row]) -> Scene:
        return Scene(
            "A year of purchases in one file",
            "The back office uploads the other purchases of all units, as spreadsheets write them: accents, quotes, "
            "commas and newlines in cells, and eight wrong rows. The good rows replace what the last such file put "
            "there; the wrong ones are skipped and reported. What people typed in stays.",
            self._author.file(CSV_PER_YEAR, f"Achats {YEAR}.csv", rows),
            Outcome.PARTIAL,
        )

    def _the_year_again(self, rows: list[files.Row]) -> Scene:
        return Scene(
            "The same file again",
            "Somebody uploads it once more, under a new job id. Its rows take the place of the first ones: "
            "no purchase counts twice.",
            self._author.file(CSV_PER_YEAR, f"Achats {YEAR} (1).csv", rows),
            Outcome.PARTIAL,
            adds_nothing=True,
        )

    def _one_unit(self) -> Scene:
        unit = self._units[7]
        return Scene(
            "One unit adds a file of its own",
            f"{UNITS[unit]} uploads what only it knows. Such a file is a supplement: its rows are appended "
            "to the unit's own module, and nothing is replaced.",
            self._author.file(
                ProviderType.CSV_MODULE_UNIT_SPECIFIC,
                "Complément de l'atelier.csv",
                self._purchases(24, []),
                carbon_report_module_id=self._modules[unit],
            ),
        )

    def _a_program(self) -> Scene:
        units = self._units[10:13]
        return Scene(
            "A program sends rows without a file",
            "The rows are in the message. They are of three units, so the program's older rows of these three are "
            "replaced, and those of all other units stay.",
            self._author.rows(ProviderType.API_MODULE_PER_YEAR, self._purchases(90, units)),
        )

    def _synchronisations(self) -> Iterator[Scene]:
        external, rows = ProviderType.EXTERNAL_INTEGRATION, self._purchases(1_500)
        yield Scene(
            "The finance system synchronises",
            "Every night another system sends all that it knows. Tonight's rows replace last night's.",
            self._author.rows(external, rows),
        )
        yield Scene(
            "The finance system synchronises again",
            "It knows nothing new. Where a second sync only adds, a university's footprint doubles overnight; here "
            "the number of rows stays the same.",
            self._author.rows(external, rows),
            adds_nothing=True,
        )

    def _factors(self) -> Iterator[Scene]:
        yield Scene(
            "New factors",
            "Factors turn a purchase into kg CO2e. A file holds all of one type and year. Other tables point at "
            "them, so a factor that is in the old set and in the new one keeps its id.",
            self._author.file(ProviderType.FACTORS, f"Facteurs {YEAR}.csv", files.factors(added=8)),
        )
        yield Scene(
            "Corrected factors",
            "Other values for twelve, two article groups gone, two new ones: again, what stays keeps its id.",
            self._author.file(
                ProviderType.FACTORS,
                f"Facteurs {YEAR}, corrigés.csv",
                files.factors(dropped=2, added=10, corrected=12),
            ),
        )

    def _redelivery(self, first: Scene) -> Scene:
        return Scene(
            "Kafka delivers a message twice",
            "A worker died after its commit, before Kafka knew: the message of step 1 comes again. The ledger answers "
            "it with the first event, byte for byte. No row moves, although step 2 has replaced them since.",
            first.message,
            first.outcome,
            repeats=1,
        )

    def _too_late(self, job_id: int) -> Scene:
        return Scene(
            "An older job arrives late",
            "Accepted before the file of step 2, it was stuck on its way. Applied now, it would bring back what has "
            "been corrected since. The higher job id wins, whatever the order of arrival.",
            self._author.file(
                CSV_PER_YEAR, "Achats, première version.csv", self._purchases(500), job_id=job_id
            ),
            Outcome.SUPERSEDED,
        )

    def _all_wrong(self) -> Scene:
        rows = files.with_decimal_commas(self._purchases(400))
        return Scene(
            "A file without one good row",
            "Exported with decimal commas: 12,50 is never taken for 1250, nor for 12. A replace that had nothing to "
            "put there would wipe the year, so the old rows stay.",
            self._author.file(CSV_PER_YEAR, "Achats, virgules.csv", rows),
            Outcome.REJECTED,
        )
