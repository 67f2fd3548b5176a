"""What cables of a Network carry and do: frames, faults, middleboxes."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence, Union

from .units import Time, bits_per_s, seconds, share, size_bytes

if TYPE_CHECKING:
    from .network import Network

NS = 1_000_000_000

Box = Union["Middlebox", Callable[[bytes, int], Union[None, bytes, Sequence[bytes]]]]


class Frame(bytes):
    """An Ethernet frame without its checksum. `time` is when it was sent or arrived, seconds since the network's begin."""
    time: float

    @property
    def packet(self) -> Any:
        """The same as a scapy packet."""
        from scapy.layers.l2 import Ether
        return Ether(bytes(self))


def frame_of(packet: Any) -> bytes:
    """The bytes of a frame: of bytes themselves, or of a scapy packet."""
    try:
        raw = bytes(packet)
    except TypeError:
        raise TypeError(f"{packet!r} is no frame: give bytes, or a scapy packet that begins with Ether()") from None
    if isinstance(packet, (int, bool)) or not 14 <= len(raw) <= 65_553:
        raise ValueError("a frame has 14 to 65553 bytes, from its Ethernet header on")
    return raw


class Middlebox:
    """A box of morgana.boxes, by name, with its settings."""

    def __init__(self, kind: str, /, **settings: int):
        self.kind, self.settings = kind, settings

    def __repr__(self) -> str:
        return f"<middlebox {self.kind} {self.settings}>"


def link_settings(given: Mapping[str, Any]) -> dict[str, int]:
    """What a cable does, as the runtime has it."""
    out: dict[str, int] = {}
    for name, value in given.items():
        if name == "loss":
            out["loss_millionths"] = share(value, name)
        elif name == "duplicate":
            out["duplicate_millionths"] = share(value, name)
        elif name == "reorder":
            out["reorder_millionths"] = share(value, name)
        elif name == "corrupt":
            out["corrupt_millionths"] = share(value, name)
        elif name == "delay":
            out["delay_ns"] = round(seconds(value, name) * NS)
        elif name == "jitter":
            out["delay_extra_ns"] = round(seconds(value, name) * NS)
        elif name == "reorder_delay":
            out["reorder_delay_ns"] = round(seconds(value, name) * NS)
        elif name == "rate":
            out["bits_per_s"] = bits_per_s(value, name)
        elif name == "queue":
            out["queue_bytes"] = size_bytes(value, name)
        elif name == "mtu":
            out["mtu_bytes"] = 0 if value is None else size_bytes(value, name)
        elif name == "cut":
            out["is_cut"] = int(bool(value))
        elif name == "held":
            out["is_held"] = int(bool(value))
        else:
            raise TypeError(f"a cable has no `{name}`: it has loss, duplicate, reorder, reorder_delay, corrupt, delay, jitter, "
                            "rate, queue, mtu, cut and held")
    return out


class Cable:
    """A cable of a network that is not joined yet, made by Network.cable(): give it in place of the network."""

    def __init__(self, network: "Network", boxes: Sequence[Box], link: Mapping[str, Any]):
        self.network, self.boxes, self.link = network, tuple(boxes), link_settings(link)


def filter_of(function: Any) -> Callable[[bytes, int], Union[None, bytes, Sequence[bytes]]]:
    if not callable(function):
        raise TypeError(f"{function!r} is no middlebox: give one of morgana.boxes, or a function of (frame, port)")

    def passed(frame: bytes, port: int) -> Union[None, bytes, Sequence[bytes]]:
        said = function(frame, port)
        if said is None or isinstance(said, bytes):
            return said
        if isinstance(said, (list, tuple)):
            return [frame_of(one) for one in said]
        return frame_of(said)
    return passed


class boxes:
    """Middleboxes for Network.cable(), as morgana/sim/middlebox.hpp has them."""

    @staticmethod
    def option_stripper(kind: int) -> Middlebox:
        """Overwrites TCP options of that kind: 3 window scale, 4 SACK, 8 timestamps."""
        return Middlebox("option_stripper", kind=kind)

    @staticmethod
    def mss_clamper(size: int) -> Middlebox:
        """Lowers the MSS of SYNs to `size` bytes."""
        return Middlebox("mss_clamper", bytes=size)

    @staticmethod
    def ecn_bleacher() -> Middlebox:
        """Clears the ECN bits."""
        return Middlebox("ecn_bleacher")

    @staticmethod
    def segment_splitter(size: int) -> Middlebox:
        """Cuts segments with more payload than `size` bytes."""
        return Middlebox("segment_splitter", bytes=size)

    @staticmethod
    def segment_coalescer(size: int, hold: Time = "1ms") -> Middlebox:
        """Puts segments together up to `size` bytes, holding the last one for a while."""
        return Middlebox("segment_coalescer", bytes=size, hold_ns=round(seconds(hold) * NS))

    @staticmethod
    def reset_injector(chance: float, within_window: bool = False) -> Middlebox:
        """Answers data with resets, exactly or only within the window (RFC 5961)."""
        return Middlebox("reset_injector", millionths=share(chance, "chance"), within_window=int(within_window))

    @staticmethod
    def port_translator() -> Middlebox:
        """Translates the ports of what the guest begins."""
        return Middlebox("port_translator")

    @staticmethod
    def syn_proxy() -> Middlebox:
        """Shakes hands in the guest's name first."""
        return Middlebox("syn_proxy")
