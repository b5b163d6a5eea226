"""Kafka as the service talks to it: how to connect, the producer, the topics it creates, and the readers."""
