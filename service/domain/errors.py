"""The errors of a job. The base class of an error says what the service does next.

- `Refusal`: no failure. The job ends `rejected`, and its submitter gets the reason.
- `Poison`: this message can never succeed. It is parked as a dead letter.
- `Transient`: the failure is temporary. The job is tried again.
- `Environment`: every job would fail. The service waits until a person has repaired the cause.

Every class has a `code` for programs, which is also in events and tables. The message for a person
is made from the code, a case and named values (`service.domain.texts`).
"""

from traceback import format_tb

from service.domain.texts import TextValue, detail_of, message_of


def stack_frames(error: BaseException) -> str:
    """The last 12 frames of an error's traceback as text, innermost last.

    The error's message is left out, because it may quote the values of a row.
    """
    return "".join(format_tb(error.__traceback__)[-12:])


class UploadError(Exception):
    """The base class of all errors of an upload.

    One code may have several cases: `wrong_size` has `longer` and `shorter`. `values` are the named
    values that the text of the case shows; each must be a JSON value.
    """

    code = "error"

    def __init__(self, case: str = "", /, **values: TextValue) -> None:
        self.case = case
        self.values = values
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole message for a person: the text of the code and of the case."""
        return message_of(self.code, self.case, self.values)

    @property
    def detail(self) -> str:
        """The text of the case alone."""
        return detail_of(self.code, self.case, self.values)


class Refusal(UploadError):
    """The whole upload is refused. This is no failure: the job ends `rejected`.

    Each refusal has a code of its own, such as `empty_file`.
    """

    code = "refused"

    def __init__(self, code: str, case: str = "", /, **values: TextValue) -> None:
        self.code = code
        super().__init__(case, **values)


class Poison(UploadError):
    """This message can never succeed as it is. It is parked in the dead-letter topic."""

    code = "poison"


class NotJson(Poison):
    """The message is not JSON in UTF-8."""

    code = "not_json"


class Tombstone(Poison):
    """The message has no value. A job cannot be deleted; submit a new one instead."""

    code = "tombstone"


class SchemaViolation(Poison):
    """The message does not follow its JSON Schema."""

    code = "schema"


class UnknownType(Poison):
    """The data entry type is not in the catalogue."""

    code = "unknown_type"


class JobIdConflict(Poison):
    """Another upload already used this job id, and its result stays.

    Submit this upload again with a new id from the sequence.
    """

    code = "job_id_conflict"


class JobIdTooLarge(Poison):
    """The job id is larger than the 4-byte integer column of this database can hold."""

    code = "job_id_too_large"


class FileGone(Poison):
    """The file is not where the message says. Upload it again and submit a new job."""

    code = "file_gone"


class FileExpired(Poison):
    """The claim check has expired. Upload the file again and submit a new job."""

    code = "file_expired"


class WrongSize(Poison):
    """The file's size is not the size in the message: it was changed or cut short meanwhile."""

    code = "wrong_size"


class WrongChecksum(Poison):
    """The file's sha256 is not the one in the message: it was changed after submission."""

    code = "wrong_sha256"


class UrlRefused(Poison):
    """This service is not allowed to read the file's URL."""

    code = "url_refused"


class TooLarge(Poison):
    """The upload exceeds a limit: a message of 1 MiB, or one of `UPLOADS_LIMITS__…`. Split it."""

    code = "too_large"


class TookTooLong(Poison):
    """The job took longer than `UPLOADS_LIMITS__JOB_SECONDS`.

    Split the upload, or raise the limit and replay the dead letter.
    """

    code = "took_too_long"


class BadContentEncoding(Poison):
    """The file cannot be decompressed as its content_encoding says."""

    code = "bad_content_encoding"


class BadData(Poison):
    """The database refused a value of this upload."""

    code = "bad_data"


class Unexpected(Poison):
    """An unknown error happened several times on the same message."""

    code = "unexpected"


class Transient(UploadError):
    """Something that the service needs does not answer at the moment; the job is tried again.

    The record's offset is not committed meanwhile, so the records after it wait.
    """

    code = "transient"


class DatabaseAway(Transient):
    """The database does not answer, or cancelled a statement because of a lock or a conflict."""

    code = "database_away"


class MemberTaken(Transient):
    """Another job inserted an entry with the same unique id into a module after our check.

    The job is tried again, and its rows are checked again.
    """

    code = "member_taken"


class BrokerAway(Transient):
    """Kafka does not answer."""

    code = "broker_away"


class StoreAway(Transient):
    """The storage, or the https host of a file, does not answer."""

    code = "store_away"


class Environment(UploadError):
    """Every job would fail in the same way.

    The service reads no further record until a person has repaired the cause.
    """

    code = "environment"


class GuardStopped(Environment):
    """The dead-letter guard has stopped parking. No message is lost: they wait in their topics."""

    code = "dead_letter_guard"


class DatabaseUnfit(Environment):
    """The database refuses the service: a privilege, a table, a column or disk space is missing."""

    code = "database_unfit"


class StoreRefuses(Environment):
    """The storage refuses the service: its credentials, or the bucket or directory of its root."""

    code = "store_refuses"


class DiskFull(Environment):
    """A disk that the service writes to is full. Free space on it."""

    code = "disk_full"
