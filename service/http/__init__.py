"""The HTTP side: health, status and metrics."""
