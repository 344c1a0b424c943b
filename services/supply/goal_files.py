"""Reads goals from YAML files, and names file, line and field of whatever is wrong in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from services.supply.goals import Goal

MAX_FAULTS: Final = 50  # told at once


class _Words(yaml.SafeLoader):
    """YAML 1.1 reads the key `on` as true; in goals it is a word, and there are no true and false."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the loader's own table, less one row
        first: [row for row in rows if row[0] != "tag:yaml.org,2002:bool"]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class BadGoals(Exception):
    """A goals file is wrong; each line of the message names file, line and field, and says what is wrong."""


def load_goals(folder: Path) -> list[Goal]:
    """The goals of every *.yaml in `folder`, by id. Raises BadGoals, with every fault of a file at once."""
    found: dict[str, Goal] = {}
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise BadGoals(f"{folder}: no *.yaml with goals")
    for path in files:
        for line, goal in _read(path):
            if goal.goal in found:
                raise BadGoals(f"{path}:{line}: goal: the goal {goal.goal} is defined twice")
            found[goal.goal] = goal
    return [found[name] for name in sorted(found)]


def _read(path: Path) -> list[tuple[int, Goal]]:
    """The goals of a file, each with the line on which it begins."""
    try:
        text = path.read_text(encoding="utf-8")
        node, told = yaml.compose(text, _Words), yaml.load(text, _Words)
        _refuse_repeated_keys(path, node)
        goals = TypeAdapter(list[Goal]).validate_python(told)
    except UnicodeDecodeError as error:
        raise BadGoals(f"{path}:1: not UTF-8: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadGoals(f"{path}:{mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise BadGoals(f"{path}:1: {error}") from None
    except ValidationError as error:
        raise BadGoals("\n".join(_fault(path, node, dict(item)) for item in error.errors()[:MAX_FAULTS])) from None
    return [(_line_of(node, (number,)), goal) for number, goal in enumerate(goals)]


def _fault(path: Path, node: yaml.Node | None, error: dict[str, Any]) -> str:
    place: tuple[Any, ...] = error["loc"]
    if error["type"] == "value_error" and len(place) == 1:
        field = getattr(error["ctx"]["error"], "field", None)
        place = place if field is None else (*place, *field.split("."))
    named = ".".join(str(part) for part in place[1:]) or "goal"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{path}:{_line_of(node, place)}: {named}: {message}"


def _line_of(node: yaml.Node | None, place: Sequence[Any]) -> int:
    """The line of what lies at `place`, or of the nearest thing around it that is there."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        else:
            break
    return line


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """Of two values under one key YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadGoals(f"{path}:{key.start_mark.line + 1}: {key.value}: stands twice")
            seen.add(key.value)
            _refuse_repeated_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(path, item)
