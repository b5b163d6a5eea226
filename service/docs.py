"""The pages that are rendered from the code, so that they cannot say anything else than it does.

`python -m service.docs` (or `make docs`) writes them; a test compares them with what would be written.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.contract.events import UploadCompleted, UploadParked, UploadProgress
from service.contract.messages import MESSAGES
from service.domain.catalogue.pages import page
from service.settings import Settings, variable

EXAMPLES = {
    "UPLOADS_DATABASE__URL": "postgresql://uploads:secret@localhost:5432/carbon",
    "UPLOADS_KAFKA__BOOTSTRAP_SERVERS": "localhost:9092",
    "UPLOADS_STORAGE__ROOT": "file:///srv/uploads",
}
"""What `.env.example` says for the settings that have no default."""


def rendered() -> dict[str, str]:
    """Every generated file, by its path from the project's root."""
    files = {
        "docs/catalogue.md": page(),
        "docs/settings.md": settings_page(),
        ".env.example": env_example(),
    }
    for name, model in _messages():
        files[f"docs/contract/{name}.schema.json"] = _schema(model)
    return files


def _messages() -> Iterator[tuple[str, type[BaseModel]]]:
    for provider_type, message in MESSAGES.items():
        yield provider_type.value, message
    yield "completed", UploadCompleted
    yield "parked", UploadParked
    yield "progress", UploadProgress


def _schema(model: type[BaseModel]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema()
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def settings_page() -> str:
    """The settings as a page, a table a group."""
    lines = [
        "# Settings",
        "",
        "Read from the environment, and from `.env` in the working directory, when a command starts. A wrong one is",
        "refused then, with its name and what was expected. `uploads migrate` and `uploads check` need the database's",
        "URL alone, `uploads watch` the bootstrap servers.",
        "",
    ]
    for title, said, fields in _groups():
        lines += [f"## {title}", "", said, "", "| variable | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {_default(field)} | {field.description} |" for name, field in fields
        ]
        lines.append("")
    return "\n".join(lines)


def env_example() -> str:
    """Every variable with its default, those without one filled in."""
    lines = [
        "# Settings of carbon-uploads; docs/settings.md says more. Those commented out have their default.",
        "",
    ]
    for title, _, fields in _groups():
        lines.append(f"# {title}")
        for name, field in fields:
            lines.append(f"# {field.description}")
            lines.append(
                f"{name}={EXAMPLES[name]}" if name in EXAMPLES else f"#{name}={_plain(field)}"
            )
        lines.append("")
    return "\n".join(lines)


def _groups() -> Iterator[tuple[str, str, list[tuple[str, FieldInfo]]]]:
    alone = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            fields = [(variable((name, leaf)), info) for leaf, info in group.model_fields.items()]
            yield name.capitalize(), group.__doc__ or "", fields
        else:
            alone.append((variable((name,)), field))
    yield "Process", "The worker as a whole.", alone


def _default(field: FieldInfo) -> str:
    return "**required**" if field.is_required() else f"`{_plain(field) or 'none'}`"


def _plain(field: FieldInfo) -> str:
    default: Any = field.default
    if default is None or default is PydanticUndefined or default == ():
        return ""
    return str(default)


def main() -> None:
    """Write all generated files below the working directory."""
    for path, content in rendered().items():
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
        print(f"wrote {path}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
