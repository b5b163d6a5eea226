"""One job, from its message to its completion event. Read `processor` first."""
