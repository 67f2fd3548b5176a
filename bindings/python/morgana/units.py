"""Times, sizes and rates as people write them."""
from __future__ import annotations

import math
import re
from typing import Optional, Union

Time = Union[int, float, str]
Size = Union[int, str]
Rate = Union[int, float, str]

_TIMES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RATES = {"bit/s": 1, "kbit/s": 1_000, "Mbit/s": 1_000_000, "Gbit/s": 1_000_000_000}


def _number(value: object, units: dict, what: str, example: str) -> float:
    if isinstance(value, bool):
        raise TypeError(f"{what} is a number or a text such as {example!r}, not {value!r}")
    if isinstance(value, (int, float)):
        number = float(value)
    elif isinstance(value, str):
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z/]+)\s*", value)
        if not found or found[2] not in units:
            raise ValueError(f"{value!r} is no {what}: write for example {example!r} (units: {', '.join(units)})")
        number = float(found[1]) * units[found[2]]
    else:
        raise TypeError(f"{what} is a number or a text such as {example!r}, not {value!r}")
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{value!r} is no {what}: it is not between 0 and what a machine can count")
    return number


def seconds(value: Time, what: str = "time") -> float:
    """`0.5`, `3` or `"20ms"` as seconds. Raises TypeError or ValueError with an example."""
    return _number(value, _TIMES, what, "20ms")


def size_bytes(value: Size, what: str = "size") -> int:
    """`4096` or `"64 MiB"` as bytes."""
    return int(_number(value, _SIZES, what, "64 MiB"))


def bits_per_s(value: Optional[Rate], what: str = "rate") -> int:
    """`1e6` or `"10Mbit/s"` as bits per second; None is 0, which is no limit."""
    return 0 if value is None else int(_number(value, _RATES, what, "10Mbit/s"))


def share(value: float, what: str) -> int:
    """A probability as millionths."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} is a number from 0 to 1, not {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{what} is a number from 0 to 1, not {value!r}")
    return round(value * 1_000_000)
