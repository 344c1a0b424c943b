"""Writes the JSON Schema of every type to schemas/: `python -m shared.events.write_schemas`, after a model changed."""

from __future__ import annotations

import json

from shared.events.catalogue import CATALOGUE, SCHEMAS_DIR, schema


def main() -> None:
    for former in SCHEMAS_DIR.glob("*.json"):
        former.unlink()
    for type_ in CATALOGUE:
        text = json.dumps(schema(type_), indent=2, ensure_ascii=False)
        (SCHEMAS_DIR / f"{type_}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
