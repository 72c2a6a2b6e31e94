"""What a forward was given is shown as a person would look at it: an image, or a row of tokens."""

from __future__ import annotations

import base64

from pipetrace.blocks import Picture, Tokens
from pipetrace.probed import InputImage, InputTokens
from pipetrace.story.figures import number, plural, shape


def picture(image: InputImage, row: int) -> Picture:
    """Return an image that a forward was given.

    >>> found = picture(InputImage(capture=0, input="input", height=1, width=2, channels=1,
    ...                            pixels=bytes([0, 255]), low=-1.0, high=1.0, shape=(1, 2)), 0)
    >>> found.label, found.pixels, found.note
    ('input, row 0', 'AP8=', '1 × 2 pixels; black is -1.000, white is 1.000')
    """
    colours = "0" if image.channels == 1 else "none of a colour"
    edges = f"black is {number(image.low)}, white is {number(image.high)}"
    if colours != "0":
        edges = f"{colours} is {number(image.low)}, all of it is {number(image.high)}"
    size = image.shape or (image.height, image.width)
    note = f"{shape(size)} pixels"
    if size != (image.height, image.width):
        note += f", shown as means over areas, {shape((image.height, image.width))}"
    return Picture(
        label=f"{image.input}, row {row}", width=image.width, height=image.height,
        channels=image.channels, pixels=base64.b64encode(image.pixels).decode("ascii"),
        note=f"{note}; {edges}",
    )  # fmt: skip


def tokens(given: InputTokens, row: int) -> Tokens:
    """Return the token ids that a forward was given, with the texts that were found for them."""
    more = given.count if given.count > len(given.ids) else 0
    note = f"texts from {given.source}" if given.texts else "no vocabulary was found"
    return Tokens(label=f"{given.input}, row {row}, {plural(given.count, 'token')}",
                  ids=given.ids, texts=given.texts, total=more, note=note)  # fmt: skip
