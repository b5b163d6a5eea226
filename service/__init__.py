"""carbon-uploads: the upload service of a carbon-accounting application."""

__version__ = "0.1.0"
