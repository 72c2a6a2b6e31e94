"""What the line of a call does with what it gets, read off the code that is running."""

from __future__ import annotations

import opcode
from types import FrameType

from pipetrace.capture.places import Spot

_POP = opcode.opmap["POP_TOP"]
_CACHE = opcode.opmap["CACHE"]


def discards(spot: Spot | None, frame: FrameType | None) -> bool:
    """Tell whether the statement that makes a call throws its result away.

    Args:
        spot: The line.
        frame: Any frame inside the call.
    """
    while frame is not None and (spot is None or frame.f_code is not spot.code):
        frame = frame.f_back
    if frame is None:
        return False
    code, place = frame.f_code.co_code, frame.f_lasti + 2
    while place < len(code) and code[place] == _CACHE:
        place += 2
    return place < len(code) and code[place] == _POP
