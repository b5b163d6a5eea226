"""What can go wrong with a job, by what must follow: park it, try again, or stop and call someone.

A class carries its `code` (for programs, on the wire and in tables). What a person reads is made from the
code, the case and the named values, in `texts`. `Refusal` is no failure: the job ends `rejected`, and its
submitter learns why.
"""

from traceback import format_tb

from service.domain.texts import Value, detail_of, message_of


def stack_frames(error: BaseException) -> str:
    """Where an error came from, innermost last, without its message: that may quote a row's values."""
    return "".join(format_tb(error.__traceback__)[-12:])


class UploadError(Exception):
    """Something went wrong with an upload.

    `case` tells apart what can be wrong under one code, and `values` are what is known about it, by the
    names that the text has for them.
    """

    code = "error"

    def __init__(self, case: str = "", /, **values: Value) -> None:
        self.case = case
        self.values = values
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole message, for a person."""
        return message_of(self.code, self.case, self.values)

    @property
    def detail(self) -> str:
        """What is known about this case alone."""
        return detail_of(self.code, self.case, self.values)


class Refusal(UploadError):
    """The upload was refused as a whole."""

    code = "refused"

    def __init__(self, code: str, case: str = "", /, **values: Value) -> None:
        self.code = code
        super().__init__(case, **values)


class Poison(UploadError):
    """This message can never succeed as it is; it is parked in the dead-letter topic."""

    code = "poison"


class NotJson(Poison):
    """The message is not JSON in UTF-8."""

    code = "not_json"


class Tombstone(Poison):
    """The message has no value; a job cannot be deleted, submit a new one instead."""

    code = "tombstone"


class SchemaViolation(Poison):
    """The message does not follow its JSON Schema."""

    code = "schema"


class UnknownType(Poison):
    """The data entry type is not in the catalogue."""

    code = "unknown_type"


class JobIdConflict(Poison):
    """Another upload already used this job id; draw a fresh one from the sequence. The first result stays."""

    code = "job_id_conflict"


class JobIdTooLarge(Poison):
    """This database keeps job ids as 4-byte integers, and the id does not fit."""

    code = "job_id_too_large"


class FileGone(Poison):
    """The file is not where the message says; upload it again and submit a new job."""

    code = "file_gone"


class FileExpired(Poison):
    """The file's claim has expired; upload it again and submit a new job."""

    code = "file_expired"


class WrongSize(Poison):
    """The file's size is not the one that the message states; it was changed or cut short after submission."""

    code = "wrong_size"


class WrongChecksum(Poison):
    """The file's sha256 is not the one that the message states; it was changed after submission."""

    code = "wrong_sha256"


class UrlRefused(Poison):
    """The file's URL is not one that this service may read."""

    code = "url_refused"


class TooLarge(Poison):
    """The upload is above one of the service's caps; split it."""

    code = "too_large"


class TookTooLong(Poison):
    """The job took longer than the longest that is allowed; split it, or raise the limit and replay it."""

    code = "took_too_long"


class BadEncoding(Poison):
    """The file is not what its content_encoding says."""

    code = "bad_content_encoding"


class BadData(Poison):
    """The database refused a value of this upload."""

    code = "bad_data"


class Unexpected(Poison):
    """The service failed in a way it does not know, several times on the same message."""

    code = "unexpected"


class Transient(UploadError):
    """Something that the service needs is away for a moment; the job is tried again in place."""

    code = "transient"


class DatabaseAway(Transient):
    """The database does not answer, or gave way to others."""

    code = "database_away"


class MemberTaken(Transient):
    """Another job put an entry with the same unique id into a module meanwhile; the rows are checked again."""

    code = "member_taken"


class BrokerAway(Transient):
    """Kafka does not answer."""

    code = "broker_away"


class StoreAway(Transient):
    """The object store does not answer."""

    code = "store_away"


class Environment(UploadError):
    """Every job would fail alike; the service holds its partitions until someone mends it."""

    code = "environment"


class GuardStopped(Environment):
    """The dead-letter guard has stopped parking; nothing is dropped, the messages wait."""

    code = "dead_letter_guard"


class DatabaseUnfit(Environment):
    """The database refuses the service itself: a privilege, a table, a column or disk space is missing."""

    code = "database_unfit"


class StoreRefuses(Environment):
    """The object store refuses the service: its credentials, or the bucket or directory of the storage root."""

    code = "store_refuses"


class DiskFull(Environment):
    """A disk of the service is full; free space on it."""

    code = "disk_full"
