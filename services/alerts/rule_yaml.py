"""Reads a YAML list and knows the line of every field in it, so that a fault can be named with file and line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from shared.errors import Fault, Invalid

# The names that an item may have: the value of the first that is there tells it from the others of its file.
TITLES: Final = ("rule", "inhibit", "test")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Item:
    """One item of a file's list."""

    file: str
    node: yaml.Node
    value: Any

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.value) if isinstance(self.value, dict) else frozenset()

    @property
    def place(self) -> str:
        return f"{self.file}:{self.node.start_mark.line + 1}"

    def fault(self, path: Sequence[str | int], code: str, detail: str) -> Fault:
        """A fault of the field at `path`, named `file:line title field`."""
        title = next((str(self.value[name]) for name in TITLES if name in self.keys), "")
        named = (f"{self.file}:{self._line(path)}", title, ".".join(str(part) for part in path))
        return Fault(" ".join(part for part in named if part), code, detail)

    def validated(self, model: type[Model]) -> Model:
        """The item as `model`. Raises Invalid with every fault."""
        try:
            return model.model_validate(self.value)
        except ValidationError as error:
            found = [self.fault(problem["loc"], problem["type"], problem["msg"]) for problem in error.errors()]
            raise Invalid(found) from None

    def _line(self, path: Sequence[str | int]) -> int:
        """The line of the field, or of the innermost part around it that is written here (`<<` takes over others)."""
        node, line = self.node, self.node.start_mark.line
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return int(line) + 1


def items(name: str, text: str, faults: list[Fault]) -> list[Item]:
    """The items of a file; what makes it no list of items is added to `faults`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = name if mark is None else f"{name}:{mark.line + 1}"
        faults.append(Fault(place, "yaml", str(getattr(error, "problem", None) or error)))
        return []
    if not isinstance(root, yaml.SequenceNode):
        faults.append(Fault(name, "shape", "a file of rules is a list of rules"))
        return []
    return [Item(name, node, value) for node, value in zip(root.value, values, strict=True)]


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line and node of a key or index."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and str(part).isdecimal() and int(part) < len(node.value):
        child = node.value[int(part)]
        return child.start_mark.line, child
    return None
