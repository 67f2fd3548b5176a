"""Cables of a simulated network, and what can be wrong with them."""
from __future__ import annotations

import dataclasses
from typing import Any, Callable, Optional, Sequence, Union

from . import units


def settings(**wanted: Any) -> dict[str, Any]:
    """Keywords of a cable as the world takes them. Each direction has them:

    | keyword | |
    |---|---|
    | `delay`, `jitter` | least time of a frame; mean of a random one beyond it (order is kept) |
    | `rate`, `queue` | bits per second; bytes that wait, beyond them frames are dropped |
    | `discipline` | "drop_tail", "ecn_mark" or "codel" |
    | `loss`, `duplicate`, `corrupt`, `reorder` | shares of frames, 0 to 1; `reorder_delay`: how late such a one is at most |
    | `burst_begin`, `burst_end`, `burst_loss` | Gilbert-Elliott: chances per frame of a burst to begin and end, loss within |
    | `mtu` | larger IP packets vanish, as in a black hole |
    | `up_for`, `down_for` | a cable that flaps |
    | `cut`, `hold` | nothing passes; what would arrive waits |

    Raises TypeError for another keyword, ValueError or TypeError for a value."""
    made: dict[str, Any] = {}
    for name, value in wanted.items():
        known = _KNOWN.get(name)
        if known is None:
            raise TypeError(f"a cable has no {name!r}; it has {', '.join(_KNOWN)}")
        key, convert = known
        made[key] = convert(value, name)
    return made


def _nanoseconds(value: units.Time, what: str) -> int:
    return round(units.seconds(value, what) * 1e9)


def _word(value: object, what: str) -> str:
    if value not in ("drop_tail", "ecn_mark", "codel"):
        raise ValueError(f'{what} is "drop_tail", "ecn_mark" or "codel", not {value!r}')
    return str(value)


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{what} is True or False, not {value!r}")
    return value


_KNOWN: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "delay": ("delay_ns", _nanoseconds),
    "jitter": ("delay_extra_ns", _nanoseconds),
    "rate": ("bits_per_s", units.bits_per_s),
    "queue": ("queue_bytes", units.size_bytes),
    "discipline": ("queue", _word),
    "loss": ("loss_millionths", units.share),
    "duplicate": ("duplicate_millionths", units.share),
    "corrupt": ("corrupt_millionths", units.share),
    "reorder": ("reorder_millionths", units.share),
    "reorder_delay": ("reorder_delay_ns", _nanoseconds),
    "burst_begin": ("burst_begin_millionths", units.share),
    "burst_end": ("burst_end_millionths", units.share),
    "burst_loss": ("burst_loss_millionths", units.share),
    "mtu": ("mtu_bytes", units.size_bytes),
    "up_for": ("up_for_ns", _nanoseconds),
    "down_for": ("down_for_ns", _nanoseconds),
    "cut": ("is_cut", _flag),
    "hold": ("is_held", _flag),
}


class Link:
    """A cable between two nodes of a simulation."""

    def __init__(self, world: Any, number: int, path: Sequence[Any], switch_link: int):
        self._world = world
        self._number = number
        self._path = tuple(path)
        self._switch_link = switch_link
        self.ends = (path[0], path[-1])
        """The two nodes that it joins."""
        self.boxes = tuple(path[1:-1])
        """Those that stand in it."""

    def _side(self, sender: Any) -> Optional[int]:
        if sender is None:
            return None
        for side, end in enumerate(self.ends):
            if end is sender:
                return side
        raise ValueError(f"{sender!r} is no end of {self!r}")

    def set(self, *, sent_by: Any = None, **changes: Any) -> None:
        """Changes what is named (see `settings`), in both directions or in that of what one end sends."""
        self._world.change_link(self._number, settings(**changes), self._side(sent_by))

    def cut(self) -> None:
        """Nothing passes any more; what is under way arrives."""
        self.set(cut=True)

    def heal(self) -> None:
        """It passes frames again. Other settings stay."""
        self.set(cut=False)

    def counters(self, sent_by: Any = None) -> dict[str, int]:
        """Frames, in one direction or both: sent, delivered, bytes, lost, cut, too_large, queue_full, marked, duplicated,
        reordered, corrupted, dropped."""
        side = self._side(sent_by)
        made: dict[str, int] = {}
        for one in (0, 1) if side is None else (side,):
            for name, value in self._world.link_counters(self._number, one).items():
                made[name] = made.get(name, 0) + value
        return made

    def __repr__(self) -> str:
        return f"<cable {self.ends[0].name} - {self.ends[1].name}>"


@dataclasses.dataclass(frozen=True)
class Box:
    """What stands in a cable and changes packets, by the names of morgana/sim/middlebox.hpp. Made by the functions below."""
    kind: str
    settings: dict[str, int]


def strip_option(kind: int) -> Box:
    """Overwrites a kind of TCP option: 3 window scale, 4 and 5 SACK, 8 timestamps."""
    return Box("option_stripper", {"kind": kind})


def clamp_mss(size: int) -> Box:
    """Lowers the MSS option of SYNs."""
    return Box("mss_clamper", {"bytes": size})


def clear_ecn() -> Box:
    """Clears the ECN bits of every IP header."""
    return Box("ecn_bleacher", {})


def split_segments(size: int) -> Box:
    """Cuts segments with more payload than that."""
    return Box("segment_splitter", {"bytes": size})


def coalesce_segments(size: int, hold: units.Time = "1ms") -> Box:
    """Puts neighbouring segments together, up to that many bytes, holding the last one for a while."""
    return Box("segment_coalescer", {"bytes": size, "hold_ns": _nanoseconds(hold, "hold")})


def inject_resets(share: float, within_window: bool = False) -> Box:
    """Answers that share of data segments with a reset: exactly the number expected, or one further on (RFC 5961 3)."""
    return Box("reset_injector", {"millionths": units.share(share, "share"), "within_window": int(within_window)})


def translate_ports() -> Box:
    """Translates the ports of what the host begins; `rebind` of the simulation makes it forget."""
    return Box("port_translator", {})


def syn_proxy() -> Box:
    """Shakes hands with whoever connects, and only then with the host."""
    return Box("syn_proxy", {})


Filter = Callable[[bytes, int], Union[None, bytes, Sequence[bytes]]]
"""A box of one's own: given a frame and the side it came from (0: the first node's), it says what goes on: nothing, the
frame, others."""
