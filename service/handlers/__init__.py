"""The Kafka side: from a record of a job topic to its committed offset.

Read in this order: `per_year` (a handler), `subscriptions`, `dispatch`, `disposition`,
`failure_handler`, `topic_consumer`, `breaker`. Beside them, `stall_detector` looks for consumers
that have stopped, and `faststream_overrides` holds everything that we change in FastStream.
"""
