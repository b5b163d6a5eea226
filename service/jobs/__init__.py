"""What happens to one job, from its message to its completion event. Read `processor` first."""
