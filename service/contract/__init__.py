"""The contract with other programs: job messages, events, topics and header names."""
