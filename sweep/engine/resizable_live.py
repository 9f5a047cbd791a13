"""A live display that stays whole when its terminal changes size."""

from typing import Any

from rich.console import ConsoleRenderable
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType


class ResizableLive(Live):
    """rich's `Live`, drawn on an empty screen after a change of size.

    `Live` goes up as many lines as it wrote. In a terminal that has become narrower those take more lines than that,
    and the upper ones would stay.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As `Live`."""
        super().__init__(*arguments, **options)
        self._drawn_for = self.console.size

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """As `Live`, from the upper left corner if the size is another than last time."""
        result = super().process_renderables(renderables)
        size = self.console.size
        if size != self._drawn_for and self.console.is_interactive and result:
            # The first is what would move up to the display's beginning.
            result[0] = Control(ControlType.HOME, ControlType.CLEAR)
        self._drawn_for = size
        return result
