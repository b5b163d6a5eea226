"""The doormen: from a record of a job topic to its offset, by way of prepare, apply and announce."""
