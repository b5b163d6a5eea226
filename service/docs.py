"""The files that are generated from the code: the catalogue, the settings and the JSON Schemas.

`python -m service.docs` (or `make docs`) writes them. A test fails if a file differs from what this
module would write, so the files always agree with the code.
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
"""The values in `.env.example` of the settings that have no default."""


def rendered() -> dict[str, str]:
    """The content of every generated file, by its path below the project's root."""
    files = {
        "docs/catalogue.md": page(),
        "docs/settings.md": settings_page(),
        ".env.example": env_example(),
    }
    for name, model in _contract_models():
        files[f"docs/contract/{name}.schema.json"] = _json_schema(model)
    return files


def _contract_models() -> Iterator[tuple[str, type[BaseModel]]]:
    """The name and the class of every message and event."""
    for provider_type, message in MESSAGES.items():
        yield provider_type.value, message
    yield "completed", UploadCompleted
    yield "parked", UploadParked
    yield "progress", UploadProgress


def _json_schema(model: type[BaseModel]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema()
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def settings_page() -> str:
    """The page docs/settings.md: a table for each group of settings."""
    lines = [
        "# Settings",
        "",
        "A command reads its settings when it starts: from the environment, and from `.env` in the",
        "working directory. If one is wrong, the command ends with its name and what was expected.",
        "`uploads migrate` and `uploads check` need only the database's URL, `uploads watch` only",
        "the bootstrap servers.",
        "",
    ]
    for title, description, fields in _setting_groups():
        lines += [f"## {title}", "", description, ""]
        lines += ["| variable | default | meaning |", "|---|---|---|"]
        for name, field in fields:
            lines.append(f"| `{name}` | {_default_cell(field)} | {field.description} |")
        lines.append("")
    return "\n".join(lines)


def env_example() -> str:
    """The file `.env.example`: every variable with its default, or an example if it has none."""
    lines = [
        "# The settings of carbon-uploads; docs/settings.md says more.",
        "# A variable that is commented out has its default.",
        "",
    ]
    for title, _, fields in _setting_groups():
        lines.append(f"# {title}")
        for name, field in fields:
            lines.append(f"# {field.description}")
            if name in EXAMPLES:
                lines.append(f"{name}={EXAMPLES[name]}")
            else:
                lines.append(f"#{name}={_default_text(field)}")
        lines.append("")
    return "\n".join(lines)


def _setting_groups() -> Iterator[tuple[str, str, list[tuple[str, FieldInfo]]]]:
    """Each group's title, description and fields; a field comes with its environment variable.

    The settings that are in no group come last.
    """
    ungrouped = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            fields = [(variable((name, inner)), info) for inner, info in group.model_fields.items()]
            yield name.capitalize(), group.__doc__ or "", fields
        else:
            ungrouped.append((variable((name,)), field))
    yield "Process", "The worker as a whole.", ungrouped


def _default_cell(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    return f"`{_default_text(field) or 'none'}`"


def _default_text(field: FieldInfo) -> str:
    """The default as it is written in an environment file; empty if there is none."""
    default: Any = field.default
    if default is None or default is PydanticUndefined or default == ():
        return ""
    return str(default)


def main() -> None:
    """Write all generated files; the working directory must be the project's root."""
    for path, content in rendered().items():
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
        print(f"wrote {path}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
