"""Pictures of what happened, as SVG or PNG by the name of the file (python3-matplotlib must be installed).

    with sim.capture() as capture:
        ...
    morgana.plots.sequence(capture, client, server, path="fetch.svg")

    trace = stream.trace()
    ...
    morgana.plots.throughput(trace, path="transfer.png")
"""
from __future__ import annotations

import os
from typing import Any, Iterable, Optional, Union

from .frames import Captured, parse

Path = Union[str, os.PathLike]

_INK, _PALE, _DATA, _CONTROL, _LOST, _AGAIN = "#222222", "#808080", "#1f6fb4", "#2a8c4a", "#c8372d", "#d9822b"


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(made)
    return made


def _save(figure: Any, path: Optional[Path]) -> Any:
    if path is not None:
        import matplotlib

        # Without the day it was made and with names that do not change: the same run is the same file.
        with matplotlib.rc_context({"svg.hashsalt": "morgana"}):
            figure.savefig(path, metadata={"Date": None} if os.fspath(path).endswith(".svg") else None)
    return figure


class _Labels:
    """What a segment says, with numbers that count from the connection's begin."""

    def __init__(self) -> None:
        self.first: dict[tuple, int] = {}
        self.sent: set[tuple] = set()

    def of(self, packet: Any) -> tuple[str, str, bool]:
        """(label, colour, whether it was sent before)."""
        from scapy.layers.inet import ICMP, IP, TCP, UDP
        from scapy.layers.l2 import ARP

        if packet.haslayer(TCP):
            return self._of_segment(packet, packet[TCP])
        if packet.haslayer(UDP):
            size = len(packet[UDP].payload)
            return f"UDP {packet[UDP].sport}→{packet[UDP].dport} {size} bytes", _DATA, False
        if packet.haslayer(ARP):
            asked = packet[ARP]
            return (f"ARP who has {asked.pdst}" if asked.op == 1 else f"ARP {asked.psrc} is here"), _PALE, False
        if packet.haslayer(ICMP) and packet[ICMP].type in (0, 8):
            return ("echo request" if packet[ICMP].type == 8 else "echo reply") + f" {packet[ICMP].seq}", _CONTROL, False
        if packet.haslayer(ICMP) or not packet.haslayer(IP):
            return packet.lastlayer().name if not packet.haslayer(ICMP) else "ICMP " + packet.sprintf("%ICMP.type%"), _PALE, False
        return packet.lastlayer().name, _PALE, False

    def _of_segment(self, packet: Any, segment: Any) -> tuple[str, str, bool]:
        network = packet.getlayer(1)
        me = (network.src, segment.sport, network.dst, segment.dport)
        peer = (network.dst, segment.dport, network.src, segment.sport)
        flags = str(segment.flags)
        if "S" in flags:
            self.first[me] = segment.seq
        total = getattr(network, "len", None)
        size = len(segment.payload)
        if hasattr(network, "ihl") and total is not None:
            size = total - 4 * network.ihl - 4 * segment.dataofs  # without Ethernet's padding
        sequence = (segment.seq - self.first.get(me, segment.seq)) % (1 << 32)
        parts = [name for letter, name in (("S", "SYN"), ("F", "FIN"), ("R", "RST")) if letter in flags]
        if size:
            parts.append(f"{sequence}..{sequence + size}")
        if "A" in flags and peer in self.first:
            parts.append(f"ack {(segment.ack - self.first[peer]) % (1 << 32)}")
        sacks = [value for name, value in segment.options if name == "SAck"]
        if sacks and peer in self.first:
            edges = [(one - self.first[peer]) % (1 << 32) for one in sacks[0]]
            parts.append("sack " + " ".join(f"{left}..{right}" for left, right in zip(edges[::2], edges[1::2])))
        if segment.window == 0 and "R" not in flags:
            parts.append("window 0")
        again = False
        if size or "S" in flags or "F" in flags:
            what = (me, sequence, size, flags)
            again = what in self.sent
            self.sent.add(what)
        colour = _LOST if "R" in flags else _CONTROL if "S" in flags or "F" in flags else _DATA if size else _PALE
        return ", ".join(parts) or "ack", colour, again


def _arrows(frames: Iterable[Captured], left: str, right: str) -> list[tuple[Captured, Optional[Captured]]]:
    """Each frame one of the two sent, with its arrival at the other; None when it never came."""
    waiting: dict[tuple[str, bytes], list[int]] = {}
    found: list[list[Any]] = []
    for one in frames:
        if one.host not in (left, right):
            continue
        other = right if one.host == left else left
        if one.sent:
            waiting.setdefault((other, one.data), []).append(len(found))
            found.append([one, None])
        else:
            senders = waiting.get((one.host, one.data))
            if senders:
                found[senders.pop(0)][1] = one
    return [(sent, came) for sent, came in found]


def sequence(capture: Any, left: Any, right: Any, path: Optional[Path] = None, *, begin: float = 0.0,
             end: float = float("inf"), background: bool = False, most: int = 80) -> Any:
    """A sequence diagram of what two hosts sent each other, time downwards: what was lost ends in a cross, what was sent
    again is marked. `capture` is a Capture or a list of its frames; `begin` and `end` are seconds; at most `most` arrows are
    drawn, and the title says how many are not. Gives matplotlib's figure."""
    from .frames import is_background

    names = [getattr(one, "name", one) for one in (left, right)]
    frames = capture if isinstance(capture, list) else capture.frames
    arrows = [(sent, came) for sent, came in _arrows(frames, *names)
              if begin <= sent.time <= end and (background or not is_background(sent.data))]
    labels = _Labels()
    said = [labels.of(parse(sent.data)) for sent, _ in arrows]
    hidden = max(0, len(arrows) - most)
    arrows, said = arrows[:most], said[:most]
    if not arrows:
        raise ValueError(f"{names[0]} and {names[1]} sent each other nothing between {begin} s and {end} s")

    # Rows, not time, are what is equally far apart: else a pause of seconds hides what happens in milliseconds. What one
    # side sends at one moment gets a row each.
    at, before = 0.0, arrows[0][0].time
    last_sent: dict[str, float] = {}
    # What came is before what it caused; but nothing arrives before it was sent.
    moments = sorted([(sent.time, 1, i) for i, (sent, _) in enumerate(arrows)] +
                     [(came.time, 0 if came.time > sent.time else 2, i) for i, (sent, came) in enumerate(arrows)
                      if came is not None])
    begin_of: dict[int, float] = {}
    end_of: dict[int, float] = {}
    for moment, kind, i in moments:
        if moment > before:
            at += 0.5 + (0.5 if moment - before > 0.2 else 0.0)
            before = moment
        if kind != 1:
            end_of[i] = at
            continue
        side = arrows[i][0].host
        at = max(at, last_sent.get(side, -1.0) + 0.5)
        begin_of[i] = last_sent[side] = at
    arrived = dict(end_of)
    for i, begin_row in begin_of.items():
        if i in arrived:
            end_of[i] = max(end_of[i], begin_row + 0.15)
        else:  # as steep as its neighbours that came through
            near = sorted((abs(begin_of[j] - begin_row), j) for j in arrived if arrows[j][0].host == arrows[i][0].host)
            fall = arrived[near[0][1]] - begin_of[near[0][1]] if near else 0.5
            end_of[i] = begin_row + 0.55 * max(0.3, fall)
    bottom = max(end_of.values()) + 0.6

    figure = _figure(9, max(3.0, 1.2 + 0.46 * bottom))
    axes = figure.add_subplot()
    axes.set_xlim(-0.24, 1.24)
    axes.set_ylim(bottom, -1.2)
    axes.axis("off")
    for x, name in ((0, names[0]), (1, names[1])):
        axes.plot([x, x], [-0.35, bottom], color=_INK, linewidth=1.2, solid_capstyle="butt")
        axes.text(x, -0.6, name, ha="center", va="bottom", fontsize=11, fontweight="bold", color=_INK)
    # What was sent when the capture nearly ended may be under way: nobody knows that it was lost.
    flights = [came.time - sent.time for sent, came in arrows if came is not None]
    known_until = frames[-1].time - max(flights, default=0.0)
    shown: dict[str, str] = {}
    for i, ((sent, came), (label, colour, again)) in enumerate(zip(arrows, said)):
        rightward = sent.host == names[0]
        x0, x1 = (0.0, 1.0) if rightward else (1.0, 0.0)
        top, end_row = begin_of[i], end_of[i]
        if again:
            label, colour = label + "  (again)", _AGAIN
        if came is None:
            is_lost = sent.time <= known_until
            label, colour = (label + "  (lost)", _LOST) if is_lost else (label + "  (under way)", colour)
            x1 = x0 + 0.55 * (x1 - x0)
            axes.plot([x0, x1], [top, end_row], color=colour, linewidth=1.3, zorder=2, linestyle="-" if is_lost else ":")
            if is_lost:
                axes.plot([x1], [end_row], marker="x", color=colour, markersize=8, markeredgewidth=2, zorder=4)
        else:
            axes.annotate("", (x1, end_row), (x0, top), zorder=2,
                          arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0})
        # Near its sender, where it cannot lie upon what comes from the other side.
        along = 0.28
        share = along / (0.55 if came is None else 1.0)
        axes.text(x0 + (along if rightward else -along), top + (end_row - top) * share, label, ha="center", va="center",
                  fontsize=8.5, color=colour, zorder=3,
                  bbox={"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none"})
        time = _milliseconds(sent.time)
        if shown.get(sent.host) != time:
            shown[sent.host] = time
            axes.text(-0.02 if rightward else 1.02, top, time, ha="right" if rightward else "left", va="center",
                      fontsize=7.5, color=_PALE)
    title = f"{names[0]} and {names[1]}, from {_milliseconds(arrows[0][0].time)}"
    if hidden:
        title += f" ({hidden} more frames are not drawn)"
    axes.set_title(title, fontsize=10, color=_INK)
    return _save(figure, path)


def _milliseconds(time: float) -> str:
    return f"{time * 1000:,.3f}".rstrip("0").rstrip(".").replace(",", "\u202f") + " ms"


def throughput(trace: Any, path: Optional[Path] = None, *, title: str = "") -> Any:
    """What a connection did over time, of a `Trace`: above, what was acknowledged, in Mbit/s; below, the congestion window,
    the slow-start threshold and what is in flight, in KiB, with marks where segments were sent again. Gives matplotlib's
    figure."""
    samples = trace.samples
    if len(samples) < 3:
        raise ValueError(f"{len(samples)} samples are no course of time: trace a transfer that takes longer")
    times = [time for time, _ in samples]
    figure = _figure(9, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 3])
    acknowledged = [one.bytes_acknowledged for _, one in samples]
    # Over a twentieth of it all: single samples would only show the beat of acknowledgments.
    width = max(1, len(samples) // 20)
    rates, middles = [], []
    for i in range(width, len(samples)):
        length = times[i] - times[i - width]
        if length > 0:
            rates.append((acknowledged[i] - acknowledged[i - width]) * 8e-6 / length)
            middles.append((times[i] + times[i - width]) / 2)
    upper.plot(middles, rates, color=_DATA, linewidth=1.6)
    upper.fill_between(middles, rates, color=_DATA, alpha=0.12, linewidth=0)
    upper.set_ylim(bottom=0)
    upper.set_ylabel("acknowledged, Mbit/s")
    upper.set_title(title or f"{trace.name}", fontsize=11)

    windows = [one.congestion_window_bytes / 1024 for _, one in samples]
    highest = max(windows)
    # A threshold that was never set is no line.
    thresholds = [one.slow_start_threshold_bytes / 1024 for _, one in samples]
    thresholds = [value if value <= 1.5 * highest else float("nan") for value in thresholds]
    lower.fill_between(times, [one.bytes_in_flight / 1024 for _, one in samples], color=_PALE, alpha=0.3, linewidth=0,
                       label="in flight")
    lower.plot(times, windows, color=_INK, linewidth=1.5, label="congestion window")
    lower.plot(times, thresholds, color=_CONTROL, linewidth=1.2, linestyle="--", label="slow-start threshold")
    again = [times[i] for i in range(1, len(samples))
             if samples[i][1].segments_retransmitted > samples[i - 1][1].segments_retransmitted]
    if again:
        lower.plot(again, [0] * len(again), linestyle="none", marker="|", color=_LOST, markersize=12, clip_on=False,
                   label="sent again")
    lower.set_ylim(bottom=0)
    lower.set_ylabel("KiB")
    lower.set_xlabel("time, s")
    lower.legend(fontsize=8.5, frameon=False, ncols=4, loc="upper right")
    lower.set_ylim(top=lower.get_ylim()[1] * 1.12)
    for axes in (upper, lower):
        axes.grid(True, color="#e6e6e6", linewidth=0.7)
        axes.set_axisbelow(True)
        for edge in ("top", "right"):
            axes.spines[edge].set_visible(False)
    return _save(figure, path)
