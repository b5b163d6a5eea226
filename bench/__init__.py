"""Measurements, a command each; nothing about time is asserted in tests."""
