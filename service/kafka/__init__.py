"""Kafka as the service talks to it: connection, producer, topics, and the readers of single
topics.
"""
