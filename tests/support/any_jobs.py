"""Strategies: any jobs in any order, repeated, partly invalid, between what people type."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.model_rows import MEMBER, PURCHASE, STUDENT
from tests.support.model_types import APPENDING, SOURCES, Upload
from tests.support.university import BIOLOGY, LIBRARY, PHYSICS, UNKNOWN, UNREPORTED

Place = tuple[str, int, int]
"""Unit, year and a type of the module that an upload names."""


@dataclass(frozen=True)
class Submitted:
    """An upload; a unit-specific one names the module at `place`, or None for one that does not exist."""

    upload: Upload
    place: Place | None = None


@dataclass(frozen=True)
class Typed:
    """Somebody types in an entry; or, with source NULL, it is older than the tracking of sources."""

    unit: str
    type_id: int
    source: int | None
    user: str | int


@dataclass(frozen=True)
class Again:
    """An earlier upload is delivered once more."""

    which: int


Step = Submitted | Typed | Again


def cells(**columns: str) -> st.SearchStrategy[dict[str, str]]:
    """Rows of text: for each column the cells it may hold, separated by bars; the first is the usual one."""
    given = {name: st.sampled_from(_usually_the_first(choices.split("|"))) for name, choices in columns.items()}
    blank = dict.fromkeys(columns, " ")
    return st.integers(0, 9).flatmap(lambda chance: st.fixed_dictionaries(given) if chance else st.just(blank))


def _usually_the_first(choices: list[str]) -> list[str]:
    return [*choices[:1] * 3, *choices]


UNIT = f"{PHYSICS}|{BIOLOGY}| {LIBRARY} |{UNREPORTED}|{UNKNOWN}|"
ROWS = {
    MEMBER: cells(
        unit_institutional_id=UNIT,
        name="Ann|",
        sius_code="51|99",
        user_institutional_id="1| 1 |2|3|",
        fte="1|0|0,5|1.5",
        kg_co2eq="|0",
    ),
    STUDENT: cells(unit_institutional_id=UNIT, fte="1| 2.5|-1|0,5|many|", kg_co2eq="|0|-1"),
    PURCHASE: cells(
        unit_institutional_id=UNIT,
        name='Zoë, "the" boss|x',
        total_spent_amount="12.5|1e3|x",
        purchase_institutional_code="411|",
        kg_co2eq="|7.5",
    ),
}
FACTOR_ROWS = cells(
    headcount_category="food|drink|",
    headcount_class="vegan|beef",
    headcount_subclass="|lunch",
    unit="meal|",
    number_of_unit_per_fte="210",
    ef_kg_co2eq_per_unit="1|2|x",
)
JOB_IDS = st.integers(1, 25)
PLACES: st.SearchStrategy[Place | None] = st.sampled_from(
    [(PHYSICS, 2025, MEMBER), (PHYSICS, 2025, PURCHASE), (BIOLOGY, 2025, MEMBER), (PHYSICS, 2024, MEMBER), None]
)
YEARS = st.sampled_from([2025, 2025, 2025, 2024])
ON_ROW_ERROR = st.sampled_from(["skip", "skip", "skip", "reject"])
BASED_ON = st.none() | st.none() | JOB_IDS
FACTORS = st.builds(
    Upload,
    provider_type=st.just("factors"),
    job_id=JOB_IDS,
    type_id=st.sampled_from([STUDENT, MEMBER]),
    rows=st.lists(FACTOR_ROWS, max_size=4).map(tuple),
    year=YEARS,
    on_row_error=ON_ROW_ERROR,
    based_on=BASED_ON,
).map(Submitted)


@st.composite
def entries(draw: st.DrawFn) -> Submitted:
    type_id = draw(st.sampled_from([STUDENT, MEMBER, PURCHASE]))
    provider_type = draw(st.sampled_from(list(SOURCES)))
    appends = provider_type in APPENDING
    upload = Upload(
        provider_type,
        draw(JOB_IDS),
        type_id,
        tuple(draw(st.lists(ROWS[type_id], max_size=4))),
        year=draw(YEARS),
        replace_scope="affected" if appends else draw(st.sampled_from(["affected", "affected", "year"])),
        on_row_error=draw(ON_ROW_ERROR),
        based_on=draw(BASED_ON),
    )
    return Submitted(upload, draw(PLACES) if appends else None)


ENTRIES = entries()
TYPED = st.builds(
    Typed,
    st.sampled_from([PHYSICS, BIOLOGY]),
    st.sampled_from([MEMBER, STUDENT]),
    st.sampled_from([0, None]),
    st.sampled_from([" 2 ", 2, "3"]),
)
AGAIN = st.builds(Again, st.integers(0, 9))
STEPS = st.lists(st.one_of(ENTRIES, ENTRIES, ENTRIES, FACTORS, TYPED, AGAIN), min_size=1, max_size=10)
"""What happens, in its order."""
