"""The HTTP side of a worker: health, status and metrics."""
