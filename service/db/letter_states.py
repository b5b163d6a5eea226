"""The unfinished states of dead letters, as SQL text."""

from sqlalchemy import TextClause, text

from service.domain.model import UNFINISHED

_LISTED = ", ".join(f"'{state}'" for state in UNFINISHED)


def text_with_unfinished(sql: str) -> TextClause:
    """Make a statement in which `:unfinished` stands for the list of `UNFINISHED` states.

    The states are written into the SQL and are not sent as a parameter. The planner then knows
    that few letters have one of them, and uses the index even if the table is large.
    """
    return text(sql.replace(":unfinished", f"({_LISTED})"))
