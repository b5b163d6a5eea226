"""Hypothesis strategies: jobs in any order, repeated, partly invalid, mixed with manual rows."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tests.support.model_rows import MEMBER, PURCHASE, STUDENT
from tests.support.model_types import APPENDING, SOURCES, ModelJob
from tests.support.university import BIOLOGY, LIBRARY, PHYSICS, UNKNOWN, UNREPORTED

NamedModule = tuple[str, int, int]
"""The module that an upload names, as unit, year and one of the module's types."""


@dataclass(frozen=True)
class Submitted:
    """An upload is sent.

    A unit-specific upload names the module `named`, or if that is None, one that does not exist.
    """

    upload: ModelJob
    named: NamedModule | None = None


@dataclass(frozen=True)
class Typed:
    """Somebody types in an entry. With source NULL the entry is older than source tracking."""

    unit: str
    type_id: int
    source: int | None
    user: str | int


@dataclass(frozen=True)
class Again:
    """An earlier upload is delivered once more."""

    which: int


@dataclass(frozen=True)
class Clash:
    """Another upload takes the job id of an earlier one."""

    which: int


Step = Submitted | Typed | Again | Clash


def mostly(usual: list[str], rare: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(usual * (1 + 8 * len(rare) // len(usual)) + rare)


def cells(**columns: tuple[list[str], list[str]]) -> st.SearchStrategy[dict[str, str]]:
    """Rows of text from each column's usual and rare cells; one row in 16 is blank."""
    filled = st.fixed_dictionaries({name: mostly(*choices) for name, choices in columns.items()})
    blank = st.just(dict.fromkeys(columns, " "))
    return st.integers(0, 15).flatmap(lambda chance: filled if chance else blank)


UNIT = [PHYSICS, PHYSICS, BIOLOGY, f" {LIBRARY} "], [UNREPORTED, UNKNOWN, ""]
ROWS = {
    MEMBER: cells(
        unit_institutional_id=UNIT,
        name=(["Ann"], [""]),
        sius_code=(["51"], ["99"]),
        user_institutional_id=(["1", " 1 ", "2", "3", "4"], [""]),
        fte=(["1", "0"], ["0,5", "1.5"]),
        kg_co2eq=(["", "0"], []),
    ),
    STUDENT: cells(
        unit_institutional_id=UNIT,
        fte=(["1", " 2.5"], ["0,5", "many", ""]),
        kg_co2eq=(["", "0"], ["-1"]),
    ),
    PURCHASE: cells(
        unit_institutional_id=UNIT,
        name=(['Zoë, "the" boss'], [""]),
        total_spent_amount=(["12.5", "1e3"], ["x"]),
        purchase_institutional_code=(["411"], [""]),
        kg_co2eq=([""], ["7.5"]),
    ),
}
FACTOR_ROWS = cells(
    headcount_category=(["food", "drink"], [""]),
    headcount_class=(["vegan", "beef"], []),
    headcount_subclass=(["", "lunch"], []),
    unit=(["meal"], [""]),
    number_of_unit_per_fte=(["210"], []),
    ef_kg_co2eq_per_unit=(["1", "2"], ["x"]),
)
JOB_IDS = st.integers(1, 30)
UPLOADS = st.builds(
    ModelJob,
    provider_type=st.just("factors"),
    job_id=JOB_IDS,
    type_id=st.just(STUDENT),
    rows=st.just(()),
    year=st.sampled_from([2025] * 5 + [2024]),
    on_row_error=st.sampled_from(["skip"] * 5 + ["reject"]),
    based_on=st.none() | st.none() | JOB_IDS,
)


def some_rows(
    row: st.SearchStrategy[dict[str, str]],
) -> st.SearchStrategy[tuple[dict[str, str], ...]]:
    """One to four rows; one time in 16 there are none."""
    some = st.lists(row, min_size=1, max_size=4).map(tuple)
    return st.integers(0, 15).flatmap(lambda chance: some if chance else st.just(()))


@st.composite
def entries(draw: st.DrawFn, provider_types: list[str], types: list[int]) -> Submitted:
    type_id = draw(st.sampled_from(types))
    upload = replace(
        draw(UPLOADS),
        provider_type=draw(st.sampled_from(provider_types)),
        type_id=type_id,
        rows=draw(some_rows(ROWS[type_id])),
    )
    if upload.provider_type not in APPENDING:
        return Submitted(
            replace(upload, replace_scope=draw(st.sampled_from(["affected", "affected", "year"])))
        )
    fitting = (PHYSICS, upload.year, type_id)
    modules = [
        *[fitting] * 8,
        (BIOLOGY, upload.year, type_id),
        (PHYSICS, 2024, type_id),
        (PHYSICS, 2025, 20),
        None,
    ]
    return Submitted(upload, draw(st.sampled_from(modules)))


@st.composite
def factors(draw: st.DrawFn) -> Submitted:
    type_id = draw(st.sampled_from([STUDENT, STUDENT, MEMBER]))
    return Submitted(replace(draw(UPLOADS), type_id=type_id, rows=draw(some_rows(FACTOR_ROWS))))


@st.composite
def stories(draw: st.DrawFn) -> list[Step]:
    """Steps in order, of few provider types and types each time, so that jobs share scopes."""
    provider_types = draw(
        st.lists(st.sampled_from(list(SOURCES)), min_size=1, max_size=3, unique=True)
    )
    types = draw(
        st.sampled_from([[MEMBER], [STUDENT], [PURCHASE], [MEMBER, STUDENT], [STUDENT, PURCHASE]])
    )
    uploads = draw(st.sampled_from([factors(), *[entries(provider_types, types)] * 3]))
    story = draw(st.lists(st.one_of(*[uploads] * 5, TYPED, AGAIN, CLASH), min_size=5, max_size=14))
    job_ids = iter(draw(st.lists(JOB_IDS, min_size=len(story), max_size=len(story), unique=True)))
    return [numbered(step, next(job_ids)) for step in story]


def numbered(step: Step, job_id: int) -> Step:
    if isinstance(step, Submitted):
        return replace(step, upload=replace(step.upload, job_id=job_id))
    return step


TYPED = st.builds(
    Typed,
    st.sampled_from([PHYSICS, BIOLOGY]),
    st.sampled_from([MEMBER, STUDENT]),
    st.sampled_from([0, None]),
    st.sampled_from([" 2 ", 2, "3"]),
)
AGAIN = st.builds(Again, st.integers(0, 9))
CLASH = st.builds(Clash, st.integers(0, 9))
