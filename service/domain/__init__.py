"""The words of the domain: what a job is, what it may touch, how it ends, and what can go wrong.

Needs nothing but the standard library.
"""
