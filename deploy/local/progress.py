"""Shows what a start is waiting for and how long each step took: live on a terminal, a plain line each elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

# Tells what a running step is at.
Detail = Callable[[str], None]
NAME_WIDTH: Final = 26


class Steps(Protocol):
    """Where the steps of a start are shown. Steps may run side by side in several threads."""

    def step(self, name: str) -> AbstractContextManager[Detail]: ...

    def say(self, text: str) -> None: ...


class SilentSteps:
    """For tests and for whoever shows progress in a way of its own."""

    @contextmanager
    def step(self, name: str) -> Iterator[Detail]:
        yield lambda text: None

    def say(self, text: str) -> None:
        pass


class PlainSteps:
    """One line a step when it is done, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, name: str) -> Iterator[Detail]:
        began = time.monotonic()
        yield lambda text: None
        self.say(f"{name:<{NAME_WIDTH}} {time.monotonic() - began:5.1f} s")

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class LiveSteps:
    """A line with spinner and seconds for each step, on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def step(self, name: str) -> Iterator[Detail]:
        task = self._progress.add_task(name, total=1, detail="")
        yield lambda text: self._show(task, text)
        self._progress.update(task, completed=1, detail="")

    def _show(self, task: TaskID, text: str) -> None:
        self._progress.update(task, detail=text[:60])

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)


@contextmanager
def shown(console: Console) -> Iterator[Steps]:
    """Progress that fits where `console` writes to."""
    if not console.is_terminal:
        yield PlainSteps(console)
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield LiveSteps(progress)
