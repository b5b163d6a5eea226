"""Settings come from the environment; an error names a wrong one and what was expected."""

import pytest

from service.settings import DatabaseOnly, InvalidSettings, Settings

REQUIRED = {
    "UPLOADS_DATABASE__URL": "postgresql://u:s3cret@db/carbon",
    "UPLOADS_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
    "UPLOADS_STORAGE__ROOT": "file:///srv/uploads/",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_three_settings_are_enough() -> None:
    settings = Settings.read()
    assert settings.database.url.get_secret_value() == REQUIRED["UPLOADS_DATABASE__URL"]
    assert settings.kafka.topic_prefix == "uploads"
    assert settings.storage.root == "file:///srv/uploads"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_one_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(InvalidSettings, match=f"{name}: Field required"):
        Settings.read()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("UPLOADS_HTTP__PORT", "65536", "less than or equal to 65535"),
        ("UPLOADS_HTTP__PORT", "http", "valid integer"),
        ("UPLOADS_DATABASE__URL", "mysql://u:s3cret@db/x", "postgresql://"),
        ("UPLOADS_STORAGE__ROOT", "/srv/uploads", "file:///a/directory"),
        ("UPLOADS_KAFKA__TOPIC_PREFIX", "a b", "match pattern"),
        ("UPLOADS_LOG__LEVEL", "LOUD", "'DEBUG', 'INFO'"),
        ("UPLOADS_HTTP__PROT", "80", "not permitted"),
    ],
)
def test_a_wrong_one_is_named_with_what_was_expected(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as refusal:
        Settings.read()
    assert str(refusal.value).startswith(f"{name}: ")
    assert expected in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_migrate_needs_the_database_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPLOADS_KAFKA__BOOTSTRAP_SERVERS")
    monkeypatch.delenv("UPLOADS_STORAGE__ROOT")
    assert DatabaseOnly.read().database.url.get_secret_value().endswith("/carbon")


def test_a_password_is_not_shown_by_accident() -> None:
    assert "s3cret" not in repr(Settings.read())


def test_the_example_environment_is_a_usable_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from service.docs import env_example  # noqa: PLC0415 - the test is about this function alone

    for line in env_example().splitlines():
        name, assigned, value = line.partition("=")
        if assigned and not line.startswith("#"):
            monkeypatch.setenv(name, value)
    assert Settings.read().storage.root == "file:///srv/uploads"
