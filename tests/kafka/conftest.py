"""Settings of a test's own worker: its database, its topics, its storage root."""

from pathlib import Path

import pytest

from service.settings import Settings
from tests.support.parts import Kafka
from tests.support.worker import settings_for


@pytest.fixture
def settings(database: str, kafka: Kafka, tmp_path: Path, topic_prefix: str) -> Settings:
    root = tmp_path / "storage"
    root.mkdir()
    return settings_for(database, kafka.bootstrap_servers, root, topic_prefix)
