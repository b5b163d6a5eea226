"""The English texts. A key is a code, or a code and a case: `wrong_size`, `wrong_size.longer`.

`Catalogue` in this package says how a message is made from them.
"""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

ERRORS = {
    # The message or its file is wrong: the record becomes a dead letter.
    "not_json": "The message is not JSON in UTF-8.",
    "not_json.breaks": "It breaks at line {line}, column {column}.",
    "tombstone": ("The message has no value; a job cannot be deleted, submit a new one instead."),
    "schema": "The message does not follow its JSON Schema.",
    "schema.not_an_object": "expected a JSON object, found {found}",
    "schema.fields": "{problems:semicolon}",
    "unknown_type": "The data entry type is not in the catalogue.",
    "unknown_type.no_such": (
        'There is no "{asked}"; expected a name or number such as {expected}.'
    ),
    "job_id_conflict": (
        "Another upload already used this job id; draw a fresh one from the sequence. "
        "The first result stays."
    ),
    "job_id_too_large": (
        "This database keeps job ids as 4-byte integers, and the id does not fit."
    ),
    "*.job_id": "Job id {job_id}.",
    "file_gone": ("The file is not where the message says; upload it again and submit a new job."),
    "file_gone.at": "{url}.",
    "file_expired": "The file's claim has expired; upload it again and submit a new job.",
    "file_expired.since": "It was good until {expires_at}.",
    "wrong_size": (
        "The file's size is not the one that the message states; "
        "it was changed or cut short after submission."
    ),
    "wrong_size.longer": "It has more than the {stated} bytes stated.",
    "wrong_size.shorter": "It has {found} bytes; {stated} were stated.",
    "wrong_sha256": (
        "The file's sha256 is not the one that the message states; it was changed after submission."
    ),
    "wrong_sha256.other": "It is {found}; {stated} was stated.",
    "url_refused": "The file's URL is not one that this service may read.",
    "url_refused.query": (
        "It has a query or a fragment; where `?` or `#` belong to the name, percent-encode them."
    ),
    "url_refused.not_percent_encoded": ("It cannot be read as a percent-encoded URL in UTF-8."),
    "url_refused.credentials": (
        "It carries a user or a password; the service has credentials of its own."
    ),
    "url_refused.unwanted_characters": (
        "It has blanks around it, or a backslash or control characters in it."
    ),
    "url_refused.relative_path": ("Its path is relative, or has an empty, `.` or `..` part."),
    "url_refused.not_below_root": "Expected a file below {root}/.",
    "url_refused.write_elsewhere": "Files are written below the storage root only.",
    "url_refused.symbolic_link": "It leads out of the storage root by a symbolic link.",
    "url_refused.not_a_file": "It names a directory or a device; expected a file.",
    "url_refused.unknown_host": (
        "Its https host is not one that the service was set up to read from."
    ),
    "url_refused.private_address": "The name of {host} leads to a private address.",
    "url_refused.redirects": "{url} redirects; name the place where the file lies.",
    "*.host_answered": "{url}: the host answered {status}.",
    "too_large": "The upload is above one of the service's caps; split it.",
    "too_large.message": ("The message has {size} bytes, at most {most}; send the rows as a file."),
    "too_large.file": "The file has {size} bytes; at most {most} are taken.",
    "too_large.decompressed": "{stored} of its bytes decompress to more than {most}.",
    "too_large.rows": "The file has more than {most} rows.",
    "too_large.columns": "The header has {found} columns, at most {most} are read.",
    "took_too_long": (
        "The job took longer than the longest that is allowed; "
        "split it, or raise the limit and replay it."
    ),
    "took_too_long.limit": "At most {seconds:g} seconds.",
    "bad_content_encoding": "The file is not what its content_encoding says.",
    "bad_content_encoding.broken_gzip": "gzip, frame {frame}: {reason}.",
    "bad_content_encoding.broken_zstd": (
        "zstd with a window of 8 MiB at most, frame {frame}: {reason}."
    ),
    "bad_content_encoding.cut_short_gzip": "gzip, frame {frame}: it is cut short.",
    "bad_content_encoding.cut_short_zstd": (
        "zstd with a window of 8 MiB at most, frame {frame}: it is cut short."
    ),
    "bad_content_encoding.unknown": "{found} is unknown; expected gzip or zstd.",
    "bad_data": "The database refused a value of this upload.",
    "unexpected": (
        "The service failed in a way it does not know, several times on the same message."
    ),
    "unexpected.at": "{where}.",
    # The failure is temporary: the job is tried again.
    "transient": (
        "Something that the service needs is away for a moment; the job is tried again in place."
    ),
    "transient.unexpected": "Unexpected {where}.",
    "database_away": "The database does not answer, or gave way to others.",
    "database_away.pool_exhausted": "No connection became free in time.",
    "database_away.connection_lost": "The connection was lost.",
    "database_away.unknown_host": "The host's name is not known.",
    "member_taken": (
        "Another job put an entry with the same unique id into a module meanwhile; "
        "the rows are checked again."
    ),
    "broker_away": "Kafka does not answer.",
    "broker_away.not_connected": "The producer is not connected.",
    "broker_away.publishing": "Publishing to {topic} failed: {error}.",
    "broker_away.no_acknowledgement": "{topic} did not acknowledge within {seconds:g} s.",
    "broker_away.reading": "{topic} cannot be read ({error}).",
    "broker_away.said": "{said}.",
    "store_away": "The object store does not answer.",
    "store_away.slow": "{url}: less than 1 MiB in {seconds:g} seconds.",
    "store_away.unresolved_host": "{url}: the host's name cannot be resolved.",
    # Every job would fail in the same way: the service stops reading until a person repairs it.
    "environment": (
        "Every job would fail alike; the service holds its partitions until someone mends it."
    ),
    "environment.unexpected_twice": "Unexpected {where}, for the second job.",
    "environment.parking_failed": "Parking failed: {where}.",
    "dead_letter_guard": (
        "The dead-letter guard has stopped parking; nothing is dropped, the messages wait."
    ),
    "dead_letter_guard.stopped": (
        "{why} Look at `uploads dead-letters list`, then `uploads dead-letters resume`."
    ),
    "dead_letter_guard.most_of_last": ("More than half of the last {count} messages were parked."),
    "dead_letter_guard.many_in_window": ("{count} messages were parked within {seconds:g} s."),
    "database_unfit": (
        "The database refuses the service itself: "
        "a privilege, a table, a column or disk space is missing."
    ),
    "store_refuses": (
        "The object store refuses the service: its credentials, "
        "or the bucket or directory of the storage root."
    ),
    "store_refuses.no_bucket": "{url}: there is no such bucket.",
    "store_refuses.permission_denied": "{url}: permission denied.",
    "disk_full": "A disk of the service is full; free space on it.",
    "disk_full.errno": "{errno}.",
    "disk_full.directory": "{directory}: {reason}.",
    "record_refused": (
        "The broker refuses a record for its size; "
        "raise `max.message.bytes` of the topic above the largest job's."
    ),
    "record_refused.topic": "Topic {topic}.",
    "no_topics": (
        "Kafka lacks the service's topics; start a worker, which creates them, "
        "or correct UPLOADS_KAFKA__TOPIC_PREFIX."
    ),
    "no_topics.missing": "There is no {topics:or}.",
    "*.sqlstate": "SQLSTATE {sqlstate} ({error}).",
    "*.sqlstate_of_object": "SQLSTATE {sqlstate} ({error}), {objects}.",
    "*.reason": "{url}: {reason}.",
}
"""Texts of errors in a job, grouped by what the service does next."""

REFUSALS = {
    "unknown_module": "There is no carbon report module {module}.",
    "wrong_year": "Module {module} is of {module_year}, and the job of {job_year}.",
    "wrong_module_type": (
        "Module {module} is of type {module_type}; {type} belongs to {expected}."
    ),
    "empty_file": "The file is empty; its first line must name the columns.",
    "not_utf8": (
        "The file is not UTF-8: byte 0x{byte:02X} at offset {offset}. {detail} "
        "Export it as CSV in UTF-8 (in Excel: “CSV UTF-8”) and upload it again."
    ),
    "not_utf8.utf_16": "It is UTF-16.",
    "not_utf8.damaged": ("It is UTF-8 up to there: damaged, or put together from several files."),
    "not_utf8.windows_1252": "It looks like Windows-1252.",
    "not_utf8.unknown": "Its encoding is unknown.",
    "no_rows.inline": "The job has no rows.",
    "no_rows.no_header": (
        "The file has neither a header nor rows; the first line must name the columns."
    ),
    "no_rows.header_alone": "The file has a header and no rows.",
    "no_valid_row": "None of the {total} rows is valid; nothing was changed.",
    "invalid_row": "{skipped} of {total} rows are invalid, and the job allows none.",
    "repeated_column": ("The header names {columns:code} twice; keep one column of each name."),
    "missing_column": (
        "The header lacks the required {missing:code}. {detail}; names must match exactly."
    ),
    "missing_column.all_names": "It names {found:code}",
    "missing_column.first_names": "It names {found:code}, …",
    "wrong_separator": (
        "The columns look separated by {detail}; export the file again as CSV separated by commas."
    ),
    "wrong_separator.tab": "a tab",
    "wrong_separator.character": "'{separator}'",
    "malformed_csv": "{detail}{place}",
    "malformed_csv.long_cell": (
        "a cell is longer than 128 KiB; a quote may have been opened and never closed"
    ),
    "malformed_csv.open_quote": (
        "a quoted cell is still open at the end of the file; close its quote"
    ),
    "malformed_csv.text_after_quote": (
        "text follows the closing quote of a cell; double the quotes inside it, and quote it whole"
    ),
}
"""Texts of the reasons why a whole upload is rejected."""

ROW_ERRORS = {
    "required": 'The value is missing; write one, such as "{example}".',
    "nested_value": '"{cell}" is neither a text nor a number; give a plain value.',
    "nul_character": '"{cell}" holds a NUL character; remove it.',
    "not_finite.no_number": '"{cell}" is no finite number; expected {bounds}.',
    "not_finite.too_large": '"{cell}" is too large to be stored; expected {bounds}.',
    "not_an_integer": '"{cell}" has a fraction; expected a whole number {bounds}.',
    "out_of_bounds.value": '"{cell}" is out of bounds; expected {bounds}.',
    "out_of_bounds.sum": (
        "{terms:plus} = {sum} is more than the {maximum:g} {measure}; lower one of {columns}."
    ),
    "decimal_comma.alone": '"{cell}" has a decimal comma; write {with_point}.',
    "decimal_comma.or_thousands": (
        '"{cell}" has a decimal comma; write {with_point}, '
        "or {without_commas} if it stands between thousands."
    ),
    "not_a_number.separators": (
        '"{cell}" has separators between its digits; write {without_commas}.'
    ),
    "not_a_number.other": (
        '"{cell}" is not a number in decimal notation; write it like {example}.'
    ),
    "not_in_list.none_close": '"{cell}" is not in the list: {listed}.',
    "not_in_list.close": '"{cell}" is not in the list: {listed} (did you mean {close}?).',
    "bad_date.form": '"{cell}" is not a date like {example}; write YYYY-MM-DD.',
    "bad_date.no_such_day": (
        '"{cell}" is no day of the calendar, or no time of day; correct it, as YYYY-MM-DD.'
    ),
    "unknown_unit": (
        '"{cell}" is no unit that the application knows; '
        "correct the institutional id, or create the unit first."
    ),
    "unit_without_report": (
        '"{cell}" has no calculator report of {year}; '
        "create the report first, or leave the row out."
    ),
    "duplicate.earlier_row": (
        '"{cell}" is already in row {earlier_row}, for the same module; keep one of them.'
    ),
    "duplicate.stored_entry": (
        '"{cell}" is already in this module, in an entry that this upload does not replace; '
        "keep one of them."
    ),
    "duplicate.same_factor": ("row {earlier_row} has the same {columns:and}; keep one of them."),
}
"""Texts of the reasons why a row is skipped."""

REQUESTS = {
    "bad_request.module_needed": "{provider_type} needs the module to append to.",
    "bad_request.no_module": "{provider_type} takes no module.",
    "bad_request.no_scope": "{provider_type} knows no scope to choose.",
    "bad_request.no_inline_rows": (
        "JSON rows go with --provider {provider_types}; save the rows as CSV for {provider_type}."
    ),
    "bad_request.not_a_file": ("Expected a regular file; save what the pipe gives to one first."),
    "bad_request.not_json": "It is not JSON: it breaks at line {line}, column {column}.",
    "bad_request.not_a_list": (
        'Expected a list of objects, one for each row: [{{"name": "…"}}, …].'
    ),
    "bad_request.too_large": (
        "The rows take more than 1 MiB, which is too much for a message; save them as CSV instead."
    ),
    "no_such_letter": (
        "No dead letter can be chosen by this id; "
        "`uploads dead-letters list --all --state all` shows every one."
    ),
    "no_such_letter.other_state": ("{letter} is {standing}; expected one that is {expected:or}."),
    "no_such_letter.too_short": (
        '"{given}" is too short; give {shortest} characters of it at least.'
    ),
    "no_such_letter.none": 'There is none that begins with "{given}".',
    "no_such_letter.several": ('There are several that begin with "{given}"; give more of it.'),
    "came_back": (
        "A letter that was sent first came back as a dead letter; the rest was not sent."
    ),
    "came_back.letters": "It was {letters}.",
    "not_ended": (
        "The letters that were sent first have not ended in time; the rest was not sent. "
        "Look whether a worker runs."
    ),
    "not_ended.waited": "Waited {seconds:g} s.",
    "foreign_topic": ("This is none of the service's job topics; nothing is ever sent there."),
    "foreign_topic.name": "{topic}",
    "not_editable": (
        "This letter's message can't be edited; submit the upload again and discard the letter."
    ),
    "not_editable.not_json": "It is not JSON.",
    "not_editable.not_an_object": "Expected a JSON object, found {found}.",
    "not_editable.record_gone": "Its record is no longer in the dead-letter topic.",
    "bad_edit": "The edit can't be made.",
    "bad_edit.job_id": "A copy always has a fresh job id; leave job_id out.",
    "bad_edit.based_on_nothing": (
        "The original names no job id, so nothing says what the copy may replace: "
        "add --set based_on=ID."
    ),
    "bad_edit.no_such_field": (
        "There is no {path} to set: {name} names no field and no item of a list."
    ),
    "bad_edit.sequence_behind": (
        "upload_job_id_seq gave {drawn}, and the original is {original}: whoever numbered that "
        "did not draw from the sequence. Set the sequence above every job id."
    ),
}
"""Texts for commands that cannot do what an operator or an uploader asks for."""

TEXTS: Mapping[str, str] = {**ERRORS, **REFUSALS, **ROW_ERRORS, **REQUESTS}


def bounds(minimum: float, maximum: float, measure: str) -> str:
    """A range in words: `at least 0 and at most 168 hours`. An infinite maximum is left out."""
    upper = "" if maximum == inf else f" and at most {maximum:g}"
    return f"at least {minimum:g}{upper} {measure}".rstrip()


def _bounds_phrase(values: Mapping[str, Any]) -> str:
    return bounds(values["minimum"], values.get("maximum", inf), values.get("measure", ""))


def _place_phrase(values: Mapping[str, Any]) -> str:
    """Where the reading of a file stopped; empty if it stopped in the header."""
    after_row = values.get("after_row")
    if after_row is None:
        return ""
    if after_row == 0:
        return " (in the first row)"
    return f" (after data row {after_row})"


def _standing_phrase(values: Mapping[str, Any]) -> str:
    """The state of a dead letter, who changed it, since when, and the reason if one was given."""
    by = f" by {values['by']}" if values.get("by") else ""
    why = f" ({values['reason']})" if values.get("reason") else ""
    return f"{values['state']}{by} since {values['since']}{why}"


PHRASES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "bounds": _bounds_phrase,
    "place": _place_phrase,
    "standing": _standing_phrase,
}
"""Functions for parts of a sentence, by the name that a text uses: `{bounds}`."""
