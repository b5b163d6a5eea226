"""The domain: jobs, their results, provider types, the catalogue of upload types, errors and texts.

It imports the standard library only, so every other package may import it.
"""
