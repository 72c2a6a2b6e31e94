"""How numbers, shapes and counts are written, the same on every line of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pipetrace.records import Mask

RARE = "as at most 1 in 20 masks is"
"""Said of what lies outside the central 95 %."""


def number(value: float) -> str:
    """Write a number with four significant digits.

    >>> [number(value) for value in (0.71604, 1, 12345.6, -0.00001234, 0)]
    ['0.7160', '1.000', '12,346', '-1.234e-5', '0']
    >>> [number(float(word)) for word in ("nan", "inf", "-inf")]
    ['NaN', 'infinity', '-infinity']
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e7 or size < 1e-4:
        digits, exponent = f"{value:.3e}".split("e")
        return f"{digits}e{int(exponent)}"
    if size >= 999.95:
        return whole(round(value))
    return f"{value:#.4g}".removesuffix(".")


def loss(value: float | None) -> str:
    """Write a loss: three decimals where that shows enough, else four significant digits.

    >>> loss(1.01234), loss(0.4301), loss(0.01234), loss(25.123), loss(None)
    ('1.012', '0.430', '0.01234', '25.12', '–')
    """
    if value is None:
        return "–"
    return f"{value:.3f}" if 0.0995 <= abs(value) < 9.9995 else number(value)


def losses(values: Sequence[float | None]) -> list[str]:
    """Write a column of losses with the same number of decimals, enough for the smallest.

    >>> losses([1.0123, 0.4301, None]), losses([0.92, 0.0379]), losses([0.5, 12345.0])
    (['1.012', '0.430', '–'], ['0.9200', '0.0379'], ['0.500', '12,345'])
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    smallest = min(sizes, default=1.0)
    decimals = min(6, max(3, 2 - math.floor(math.log10(smallest * 1.005))))
    return [
        loss(value)
        if value is None or not math.isfinite(value) or abs(value) >= 1000
        else f"{value:.{decimals}f}"
        for value in values
    ]


def accuracy(value: float | None) -> str:
    """Write an accuracy with three decimals.

    >>> accuracy(0.868), accuracy(None)
    ('0.868', '–')
    """
    return "–" if value is None else f"{value:.3f}"


def setting(value: float) -> str:
    """Write a setting the way a person writes it.

    >>> setting(0.3), setting(0.30000000000000004), setting(1e-05), setting(2.0)
    ('0.3', '0.3', '1e-05', '2')
    """
    return f"{value:.6g}"


def percent(share: float) -> str:
    """Write a share as per cent with one decimal, never rounded to nothing or to everything.

    >>> [percent(share) for share in (0.302, 0, 1, 0.0001, 0.99999)]
    ['30.2 %', '0 %', '100 %', 'under 0.1 %', 'over 99.9 %']
    """
    if math.isnan(share):
        return "NaN"
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    text = f"{share * 100:.1f} %"
    return {"0.0 %": "under 0.1 %", "100.0 %": "over 99.9 %"}.get(text, text)


def whole(count: int) -> str:
    """Write a count, grouped in threes from 10,000 on.

    >>> whole(1000), whole(12345)
    ('1000', '12,345')
    """
    return f"{count:,}" if abs(count) >= 10_000 else str(count)


def whole_number(value: float) -> str:
    """Write a number that is known to be whole.

    >>> whole_number(49.0), whole_number(float("nan"))
    ('49', 'NaN')
    """
    return whole(int(value)) if math.isfinite(value) else number(value)


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Write a count with its noun.

    >>> plural(1, "row"), plural(2, "row"), plural(3, "pass", "passes")
    ('1 row', '2 rows', '3 passes')
    """
    return f"{whole(count)} {noun if count == 1 else nouns or noun + 's'}"


def size(count: int) -> str:
    """Write a number of bytes, from 10,000 on in kB of 1000.

    >>> size(1), size(1280), size(12_800), size(438_000_000)
    ('1 byte', '1280 bytes', '12.80 kB', '438.0 MB')
    """
    if count < 10_000:
        return plural(count, "byte")
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB")):
        if count >= 999_500 * 1000 ** (power - 2):
            return f"{count / 1000**power:#.4g} {unit}"
    return f"{count / 1000:#.4g}".removesuffix(".") + " kB"


def shape(sizes: Sequence[int]) -> str:
    """Write a shape.

    >>> shape((32, 20)), shape(()), shape((1000,))
    ('32 × 20', 'one number', '1000')
    """
    return " × ".join(map(whole, sizes)) if sizes else "one number"


def seconds(value: float) -> str:
    """Write a duration.

    >>> seconds(0.01234), seconds(2.345), seconds(75), seconds(7325)
    ('12 ms', '2.3 s', '1 min 15 s', '2 h 2 min')
    """
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value >= 0.001 else "under 1 ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def listing(words: Iterable[str]) -> str:
    """Write words as a list in a sentence.

    >>> listing(["a"]), listing(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    items = list(words)
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def learning_rate(value: float) -> str:
    """Write a learning rate, which a schedule may have given many digits.

    >>> [learning_rate(value) for value in (0.1, 0.000692308, 2.5641e-05)]
    ['0.1', '0.0006923', '2.564e-05']
    """
    return f"{value:.4g}"


def relative(before: float, after: float) -> str:
    """Write how far `after` lies above or below `before`.

    >>> relative(0.5, 0.4), relative(0.5, 0.511), relative(0.5, 2.0)
    ('20.0 % lower', '2.2 % higher', '4.00 times as high')
    """
    if before <= 0 or after < 0:
        return f"{number(abs(after - before))} {'higher' if after > before else 'lower'}"
    if after >= 2 * before:
        times = after / before
        return f"{f'{times:.2f}' if times < 100 else number(times)} times as high"
    return f"{percent(abs(after - before) / before)} {'higher' if after > before else 'lower'}"


def kept(mask: Mask) -> str:
    """Write what a dropout mask kept.

    >>> kept(Mask(p=0.3, kept=448, total=640, low=425, high=471, scale=1 / 0.7))
    'kept 448 of 640 elements (70.0 %)'
    """
    share = percent(mask.kept / mask.total) if mask.total else "none"
    return f"kept {whole(mask.kept)} of {whole(mask.total)} {mask.unit} ({share})"


def expected(mask: Mask) -> str:
    """Write what independent draws would keep, and whether this mask is among the usual ones.

    >>> expected(Mask(p=0.3, kept=448, total=640, low=425, high=471, scale=1 / 0.7))
    'at p = 0.3, at least 95 % of such masks keep 425 to 471: this one is inside'
    >>> expected(Mask(p=0.3, kept=480, total=640, low=425, high=471, scale=1 / 0.7))[-48:]
    'this one is outside, as at most 1 in 20 masks is'
    """
    inside = "inside" if mask.low <= mask.kept <= mask.high else f"outside, {RARE}"
    between = f"{whole(mask.low)} to {whole(mask.high)}"
    return (
        f"at p = {setting(mask.p)}, at least 95 % of such masks keep {between}: "
        f"this one is {inside}"
    )
