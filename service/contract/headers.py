"""The names of the Kafka headers that this service writes and reads."""

CE_TYPE = "ce_type"
"""The type of an event, such as `uploads.job.completed`.

This is the only CloudEvents header that we read. The `cloudevents` library writes it together with
the other attributes of an event, each as `ce_` and the attribute's name.
"""

DLQ_PREFIX = "dlq-"
"""Every header that this service adds to a dead letter begins with this.

All other headers came with the original record, and a replay sends them again.
"""

DLQ_SCHEMA_VERSION = f"{DLQ_PREFIX}schema-version"
DLQ_ID = f"{DLQ_PREFIX}id"
DLQ_ORIGINAL_TOPIC = f"{DLQ_PREFIX}original-topic"
DLQ_ORIGINAL_PARTITION = f"{DLQ_PREFIX}original-partition"
DLQ_ORIGINAL_OFFSET = f"{DLQ_PREFIX}original-offset"
DLQ_ORIGINAL_TIMESTAMP = f"{DLQ_PREFIX}original-timestamp"
DLQ_GROUP = f"{DLQ_PREFIX}group"
DLQ_JOB_ID = f"{DLQ_PREFIX}job-id"
DLQ_SCOPE = f"{DLQ_PREFIX}scope"
DLQ_CODE = f"{DLQ_PREFIX}code"
DLQ_EXCEPTION_CLASS = f"{DLQ_PREFIX}exception-class"
DLQ_MESSAGE = f"{DLQ_PREFIX}message"
DLQ_STACK = f"{DLQ_PREFIX}stack"
DLQ_STAGE = f"{DLQ_PREFIX}stage"
DLQ_ATTEMPTS = f"{DLQ_PREFIX}attempts"
DLQ_FIRST_FAILURE = f"{DLQ_PREFIX}first-failure"
DLQ_LAST_FAILURE = f"{DLQ_PREFIX}last-failure"
DLQ_SERVICE_VERSION = f"{DLQ_PREFIX}service-version"

DLQ_REPLAY_OF = f"{DLQ_PREFIX}replay-of"
"""The id of the dead letter that was replayed. A replayed record has this header too."""

DLQ_REPLAY_COUNT = f"{DLQ_PREFIX}replay-count"
"""How many replays the upload has behind it. A replayed record has this header too."""
