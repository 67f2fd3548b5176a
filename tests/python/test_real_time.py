"""Worlds that run by themselves in real time, joined by sockets of frames, as networks of real guests are."""

import socket
import threading
import time

import pytest

from morgana._runtime import World

SECOND = 1_000_000_000


def outcome(world, operation, seconds=20):
    """Waits until it has one."""
    end = world.now + seconds * SECOND
    while world.now < end:
        world.run(end)
        for number, is_good, value in world.take_finished():
            if number == operation:
                if not is_good:
                    raise value
                return value
    raise AssertionError(f"operation {operation} has no outcome after {seconds} s")


@pytest.fixture
def worlds():
    """Two worlds with a host each, joined by a pair of sockets; the second has a filter of Python's in its cable."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one, two = World(1), World(2)
    passed = []

    def watch(frame, port):
        passed.append(port)
        return frame

    first, second = one.add_stack("first", {"ipv4": "10.0.0.1/24"}), two.add_stack("second", {"ipv4": "10.0.0.2/24"})
    one.join((first, -1), (one.add_descriptor("socket", left.fileno()), -1), {"delay_ns": 1_000_000})
    box = two.add_filter("watch", watch)
    two.join((second, -1), (box, 0), {})
    two.join((box, 1), (two.add_descriptor("socket", right.fileno()), -1), {})
    left.close()
    right.close()
    one.run_in_real_time()
    two.run_in_real_time()
    yield one, first, two, second, passed
    one.close()
    two.close()


def test_hosts_of_two_worlds_talk_through_a_socket(worlds):
    one, first, two, second, passed = worlds
    accepting = two.accept(second, two.listen(second, "::", 80, 10, {}), None)
    stream = outcome(one, one.connect(first, "10.0.0.2", 80, {}, 10.0))
    other = outcome(two, accepting)
    one.write(first, stream, b"hello", None)
    assert outcome(two, two.read(second, other, 5, 5, False, None)) == b"hello"
    one.pour(first, stream, 1 << 20, None)
    assert outcome(two, two.read(second, other, 1 << 20, 1 << 20, True, None)) == 1 << 20
    assert {0, 1} == set(passed)
    assert 0 < outcome(one, one.ping(first, "10.0.0.2", 56, 10.0)) < 10


def test_time_is_the_machines(worlds):
    one, *_ = worlds
    began, real = one.now, time.monotonic()
    assert one.run(began + SECOND // 10) == ("time", pytest.approx(began + SECOND // 10, abs=10 * SECOND))
    assert one.now - began >= SECOND // 10 and time.monotonic() - real >= 0.1


def test_many_threads_may_call(worlds):
    one, first, two, second, _ = worlds
    problems = []

    def call(world, host):
        try:
            for _ in range(300):
                world.now
                world.addresses(host)
                world.core_counters(host)
                world.ping(host, "10.0.0.1", 56, 1.0)
                world.take_finished()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=call, args=pair) for pair in ((one, first), (one, first), (two, second), (two, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert problems == []


def test_a_filter_may_not_call_its_own_world_and_what_it_raises_ends_a_wait():
    world = World(1)
    a, b = world.add_stack("a", {"ipv4": "10.0.0.1/24"}), world.add_stack("b", {"ipv4": "10.0.0.2/24"})
    said = []

    def bad(frame, port):
        try:
            world.now
        except RuntimeError as problem:
            said.append(str(problem))
        raise KeyError("no such frame")

    box = world.add_filter("bad", bad)
    world.join((a, -1), (box, 0), {})
    world.join((box, 1), (b, -1), {})
    world.run_in_real_time()
    world.ping(a, "10.0.0.2", 56, 5.0)
    with pytest.raises(KeyError, match="no such frame"):
        for _ in range(50):
            world.run(world.now + SECOND // 10)
            world.take_finished()
    assert said and "running" in said[0]
    world.close()
    world.close()
    with pytest.raises(RuntimeError, match="closed"):
        world.now


def test_what_is_no_socket_of_frames_is_refused():
    world = World(1)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for descriptor in (left.fileno(), 0, -1, 100_000):
        with pytest.raises(ValueError, match="no socket of messages"):
            world.add_descriptor("x", descriptor)
    world.run_in_real_time()
    with pytest.raises(RuntimeError, match="already"):
        world.run_in_real_time()
    del world  # its thread ends with it
