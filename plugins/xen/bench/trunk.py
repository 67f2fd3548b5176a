"""The trunk: one stream that carries the frames of all the guest's interfaces, each frame after its length (QEMU's
`-netdev socket`) and with a tag that says whose it is (IEEE 802.1Q). Here they part: an interface is a descriptor that
carries a frame a message.

What a descriptor has no room for waits, up to a bound of each; beyond it frames are lost, so that an interface that
nobody reads does not hold up the others. A full trunk has the descriptors wait."""
import collections
import errno
import os
import struct

TAG = 0x8100
HEADER_BYTES = 12          # the two addresses, before the tag
FRAME_BYTES_MAX = 65536 + 64
# What waits for the machine, bytes; beyond it nothing is read from the descriptors.
WAITING_BYTES_MAX = 1 << 20
# What waits for a descriptor, bytes: more than a TCP connection has under way.
QUEUED_BYTES_MAX = 1 << 20
BURST_FRAMES = 64


class Queue:
    """Frames that wait for their descriptor."""

    def __init__(self):
        self.frames, self.size = collections.deque(), 0

    def put(self, frame):
        if self.size + len(frame) <= QUEUED_BYTES_MAX:
            self.frames.append(frame)
            self.size += len(frame)

    def drop_first(self):
        self.size -= len(self.frames.popleft())


class Trunk:
    def __init__(self, stream, interfaces):
        """`interfaces`: descriptors; the first has VLAN 1."""
        self.stream = stream
        self.stream.setblocking(False)
        self.descriptors = {number + 1: descriptor for number, descriptor in enumerate(interfaces)}
        self.vlans = {descriptor: vlan for vlan, descriptor in self.descriptors.items()}
        for descriptor in interfaces:
            os.set_blocking(descriptor, False)
        self.received, self.waiting = bytearray(), bytearray()
        self.queues = {vlan: Queue() for vlan in self.descriptors}

    def readable(self):
        """The descriptors whose frames there is room for."""
        return list(self.vlans) if len(self.waiting) < WAITING_BYTES_MAX else []

    def queued(self):
        """The descriptors that frames wait for."""
        return [descriptor for vlan, descriptor in self.descriptors.items() if self.queues[vlan].frames]

    def wants_to_send(self):
        return bool(self.waiting)

    def take(self, descriptor):
        """Frames of a descriptor, to the machine. A descriptor whose other end is closed is none any more."""
        tag = struct.pack(">HH", TAG, self.vlans[descriptor])
        for _ in range(BURST_FRAMES):
            try:
                frame = os.read(descriptor, FRAME_BYTES_MAX)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in (errno.ECONNREFUSED, errno.EIO, errno.ENOBUFS):   # the other end may come yet
                    break
                frame = b""
            if not frame:
                del self.descriptors[self.vlans.pop(descriptor)]
                break
            if len(frame) > HEADER_BYTES:
                self.waiting += struct.pack(">I", len(frame) + len(tag)) + frame[:HEADER_BYTES] + tag + frame[HEADER_BYTES:]
        self.send()

    def send(self):
        try:
            while self.waiting:
                del self.waiting[:self.stream.send(memoryview(self.waiting)[:1 << 18].tobytes())]
        except BlockingIOError:
            pass

    def receive(self):
        """Frames of the machine's, to their descriptors. False: the machine has closed the trunk."""
        try:
            data = self.stream.recv(1 << 18)
        except BlockingIOError:
            return True
        if not data:
            return False
        self.received += data
        begin = 0
        while len(self.received) - begin >= 4:
            size = int.from_bytes(self.received[begin:begin + 4], "big")
            if len(self.received) - begin < 4 + size:
                break
            self.hand_out(bytes(self.received[begin + 4:begin + 4 + size]))
            begin += 4 + size
        del self.received[:begin]
        return True

    def hand_out(self, frame):
        if len(frame) < HEADER_BYTES + 4 or frame[HEADER_BYTES:HEADER_BYTES + 2] != b"\x81\x00":
            return
        vlan = int.from_bytes(frame[HEADER_BYTES + 2:HEADER_BYTES + 4], "big") & 0xfff
        if vlan in self.descriptors:
            self.queues[vlan].put(frame[:HEADER_BYTES] + frame[HEADER_BYTES + 4:])
            self.give(self.descriptors[vlan])

    def give(self, descriptor):
        """Hands the frames on that wait for a descriptor, as far as it has room."""
        queue = self.queues[self.vlans[descriptor]]
        while queue.frames:
            try:
                os.write(descriptor, queue.frames[0])
            except BlockingIOError:
                return
            except OSError:
                pass            # without another end, or a frame that it does not take: it is lost
            queue.drop_first()
