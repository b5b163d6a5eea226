"""The bytes of an upload: where a file lies, how it is fetched, verified and decompressed."""
