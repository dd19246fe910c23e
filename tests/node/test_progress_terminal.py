"""What is left on a terminal when a node stops."""

import sys

from tests.wallet.screen import CTRL_C, Screen

PROGRAM = """
import asyncio
from rich.console import Console
from node.progress import Screen

class Fixed(Screen):
    def picture(self):
        return self.framed("as wide as the terminal", "A title")

try:
    asyncio.run(Fixed(None, Console()).run())
except KeyboardInterrupt:
    print("Stopped")
"""


def test_nothing_of_the_frame_stays_after_ctrl_c() -> None:
    with Screen([sys.executable, "-c", PROGRAM], columns=60) as screen:
        screen.until("as wide as the terminal")
        screen.press(CTRL_C)
        assert screen.ended() == 0
        assert screen.text().split() == ["Stopped"], screen.text()
