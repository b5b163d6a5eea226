"""The contract with other programs: messages in, events out, topics and header names."""
