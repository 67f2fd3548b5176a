"""The runtime: stacks, hosts and networks of the simulator. Private: use the classes of `morgana`."""
from typing import Any, Callable, Optional, Sequence, Union

class World:
    """Nodes and links, as morgana/sim/world.hpp has them. Nodes and links are numbers; times are nanoseconds since
    the world's begin. All of it belongs to the thread that made it, which every method checks (RuntimeError),
    except while run_in_real_time() has it in a thread of its own: methods then take turns with that thread.

    Settings of links are a dict of whole numbers: delay_ns, delay_extra_ns, bits_per_s, queue_bytes, loss_millionths,
    duplicate_millionths, reorder_millionths, reorder_delay_ns, corrupt_millionths, mtu_bytes, is_cut, is_held; an
    unknown one is a ValueError."""

    def __init__(self, seed: int) -> None: ...
    @property
    def seed(self) -> int: ...
    @property
    def now(self) -> int: ...
    @property
    def trace_hash(self) -> int: ...
    @property
    def problem(self) -> str: ...
    def add_switch(self, name: str, ports: int) -> int: ...
    def add_guest(self, name: str, image: str, arguments: Sequence[str], memory_bytes: int,
                  networks: Sequence[tuple[str, Optional[bytes], int]],
                  disks: Sequence[tuple[str, bytes, int, bool]], replay: str) -> int:
        """An image of the target `sim`; networks are (name, MAC or None, MTU), disks (name, bytes, sector bytes, read
        only). Raises ValueError with the loader's words."""
    def guest_console(self, node: int, offset: int) -> bytes:
        """What it printed from `offset` on."""
    def guest_end(self, node: int) -> Optional[tuple[str, int, str]]:
        """None while it runs; then ("finished" | "crashed" | "out-of-memory" | "hung", status, crash report)."""
    def guest_stop(self, node: int) -> None: ...
    def guest_memory(self, node: int) -> dict[str, int]: ...
    def kill(self, node: int) -> None:
        """Pulls its plug; its cables stay and swallow what arrives."""
    def add_port(self, name: str) -> int:
        """A node with one port whose frames Python sends and takes."""
    def send(self, node: int, frame: bytes) -> None: ...
    def take(self, node: int) -> list[tuple[int, bytes]]:
        """(time, frame) of what arrived at a port since the last call."""
    def add_descriptor(self, name: str, descriptor: int) -> int:
        """A node with one port that is a socket of Ethernet frames; for run_in_real_time()."""
    def add_box(self, name: str, kind: str, settings: dict[str, Any]) -> int:
        """A middlebox of morgana/sim/middlebox.hpp by its class's name; port 0 towards its host."""
    def add_filter(self, name: str,
                   function: Callable[[bytes, int], Union[None, bytes, Sequence[bytes]]]) -> int:
        """A node with two ports: function(frame, port it came in at) says what goes on at the other one. What it
        raises ends the wait that runs the world."""
    def join(self, a: tuple[int, int], b: tuple[int, int], settings: dict[str, int]) -> int: ...
    def change_link(self, link: int, settings: dict[str, int], side: Optional[int] = None) -> None:
        """What is not named stays; both directions, or that from `a` (0) or `b` (1)."""
    def link_counters(self, link: int, side: int) -> dict[str, int]: ...
    def capture(self, path: str, nodes: Sequence[int]) -> None:
        """Frames that these nodes send, from now on (pcap)."""
    def run(self, until: int, is_done: Optional[Callable[[], bool]] = None) -> bool:
        """Events up to that time, without Python's lock; is_done is asked whenever a guest printed or ended or a
        frame arrived at a port. True when it said so."""
    def run_in_real_time(self) -> None: ...
    def close(self) -> None: ...
