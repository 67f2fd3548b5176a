"""Wrong use of the runtime's module: an exception each time, never a crash, never a hang."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from morgana._runtime import World
from morgana.simulation import Simulation


def pair():
    sim = Simulation(seed=7)
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")
    return sim, server, client, sim.link(server, client, delay="1ms")


def test_nothing_works_after_close():
    sim, server, client, cable = pair()
    listening = server.listen(80)
    port = sim.port("port")
    capture = sim.capture()
    stream = sim.run(client.connect(server, 80))
    sim.close()
    sim.close()
    uses = [lambda: sim.now, lambda: sim.host("x"), lambda: server.addresses, lambda: server.listen(80), lambda: stream.info,
            lambda: stream.local, lambda: cable.cut(), lambda: cable.counters(), lambda: capture.pcapng(), lambda: capture.frames,
            lambda: port.send(bytes(20)), lambda: server.crash(), lambda: sim.run_for(1), lambda: server.log,
            lambda: sim.trace_hash, lambda: listening.local, lambda: stream.shutdown()]
    for use in uses:
        with pytest.raises(RuntimeError, match="closed"):
            use()
    stream.close()
    listening.close()


def test_sockets_are_closed_once_and_useless_then():
    sim, server, client, _ = pair()
    listening = server.listen(80)

    async def story():
        one, other = await asyncio.gather(client.connect(server, 80), listening.accept())
        reading = asyncio.ensure_future(other.read())
        accepting = asyncio.ensure_future(listening.accept())
        await asyncio.sleep(1)
        other.close()
        other.close()
        listening.close()
        for waiting in (reading, accepting):
            with pytest.raises(OSError):
                await waiting
        for use in (other.read, other.write, listening.accept):
            with pytest.raises(OSError, match="closed"):
                await (use(b"x") if use == other.write else use())
        for use in (lambda: other.info, lambda: other.abort(), lambda: other.set(no_delay=True), lambda: listening.local):
            with pytest.raises(OSError, match="closed"):
                use()
        server.listen(80).close()
        assert await one.read() == b""

    sim.run(story())


def test_another_thread_is_told_so():
    sim, server, client, _ = pair()
    said = []

    def use():
        for what in (lambda: sim.now, lambda: sim.close(), lambda: server.listen(80), lambda: sim.run_for(1)):
            try:
                what()
                said.append("nothing")
            except RuntimeError as problem:
                said.append(str(problem))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(30)
    assert len(said) == 4 and all("belongs to the thread that made it" in one for one in said)
    assert sim.now == 0


def test_a_simulation_runs_without_pythons_lock():
    sim, server, client, _ = pair()
    counted = [0]
    ended = threading.Event()

    def count():
        while not ended.is_set():
            counted[0] += 1

    async def bulk():
        listening = server.listen(80)
        one, other = await asyncio.gather(client.connect(server, 80), listening.accept())
        begin = counted[0]
        await asyncio.gather(one.send_zeros(50_000_000), other.discard(50_000_000))
        return counted[0] - begin

    thread = threading.Thread(target=count)
    thread.start()
    try:
        assert sim.run(bulk()) > 0
    finally:
        ended.set()
        thread.join(30)


def test_a_fork_has_no_simulation_of_its_parent():
    sim, server, _, _ = pair()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sim.now
            said = "nothing"
        except RuntimeError as problem:
            said = str(problem)
        try:
            said += str(Simulation(seed=1).now)  # its own works
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    said = os.read(read, 1000).decode()
    assert os.waitpid(child, 0)[1] == 0
    assert "belongs to the process that made it" in said and said.endswith("0.0")
    assert sim.now == 0


INTERRUPTED = """
import asyncio, os, signal, threading
from morgana.simulation import Simulation
signal.signal(signal.SIGINT, signal.default_int_handler)    # a shell starts what it puts into the background without
sim = Simulation(seed=7)
server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")
sim.link(server, client, delay="1ms")
async def forever():
    listening = server.listen(80)
    one, other = await asyncio.gather(client.connect(server, 80), listening.accept())
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await asyncio.gather(one.send_zeros(1 << 50), other.discard(1 << 50))
    finally:
        print("cancelled", flush=True)
try:
    sim.run(forever(), deadline="10000h")
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(sim.run(client.ping(server)) > 0)
sim.close()
"""


def test_ctrl_c_ends_a_run_and_leaves_the_simulation_whole():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout.split() == [b"cancelled", b"interrupted", b"True"]


def test_a_signal_handler_that_calls_into_a_running_simulation_is_refused():
    sim, server, client, _ = pair()
    said = []

    def handle(*_):
        try:
            sim.now
        except RuntimeError as problem:
            said.append(str(problem))
        try:
            sim.close()
        except RuntimeError as problem:
            said.append(str(problem))

    async def bulk():
        listening = server.listen(80)
        one, other = await asyncio.gather(client.connect(server, 80), listening.accept())
        await asyncio.gather(one.send_zeros(200_000_000), other.discard(200_000_000))

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        sim.run(bulk())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert any("running" in one for one in said)
    assert sim.now > 0


def test_a_filter_that_is_given_a_frame_may_not_close_its_simulation():
    sim, server, client, _ = pair()
    said = []

    def closes(frame, side):
        for what in (sim._world.close, lambda: sim._world.now, lambda: sim._world.inject(box._number, bytes(20))):
            try:
                what()
            except RuntimeError as problem:
                said.append(str(problem))
        return frame

    other = sim.host("other", "10.0.1.1/24")
    box = sim.link(other, sim.port("port"), through=[closes]).boxes[0]
    sim._world.inject(box._number, bytes(60))
    assert len(said) == 3 and all("running" in one for one in said)
    sim.run_for(1)
    assert sim.now == 1 and len(said) > 3


def test_coroutines_outside_their_simulation_are_told_so():
    sim, server, client, _ = pair()
    with pytest.raises(RuntimeError, match="belongs to a simulation"):
        asyncio.run(client.ping(server))

    async def inner():
        sim.run(client.ping(server))

    with pytest.raises(RuntimeError, match="await instead"):
        sim.run(inner())

    async def closes():
        sim.close()

    with pytest.raises(RuntimeError, match="close"):
        sim.run(closes())
    with pytest.raises(TypeError, match="coroutine"):
        sim.run(lambda: None)
    other = Simulation(seed=1)
    with pytest.raises(ValueError, match="no node of this simulation"):
        other.link(server, other.host("x", "10.0.0.1/24"))


NUMBERS = [-(1 << 70), -1, 0, 1, 255, 65_535, 65_536, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 64) - 1, 1 << 70]
ODD = [None, "", "x" * 100_000, "\0", "10.0.0.1", b"", bytes(20), 1.5, float("nan"), float("inf"), [], {}, {"a": 1}, object(), True]


def test_whatever_is_passed_to_the_module_nothing_crashes():
    """Every method with odd values in every place: an exception or a value, and the world still works."""
    import random

    chance = random.Random(7)
    methods = [name for name in dir(World) if not name.startswith("_")
               and name not in ("close", "run", "run_in_real_time", "add_descriptor")]
    sim, server, client, _ = pair()
    world = sim._world
    stream = sim.run(_connect(server, client))
    good = [0, 1, server._number, client._number, stream._number, "10.0.0.1", "10.0.0.0/24", {}, 0.1, b"x" * 60, (0, -1)]
    outcomes = {"raised": 0, "gave": 0}
    for _ in range(6000):
        name = chance.choice(methods)
        what = getattr(world, name)
        if not callable(what):
            continue
        arguments = [chance.choice(chance.choice([NUMBERS, ODD, good])) for _ in range(chance.randrange(8))]
        if name in ("set_clock", "jump", "kill", "boot") and chance.random() < 0.9:
            continue
        try:
            what(*arguments)
            outcomes["gave"] += 1
        except (TypeError, ValueError, RuntimeError, OSError, OverflowError):
            outcomes["raised"] += 1
        if chance.random() < 0.01:
            world.run(world.now + 10_000_000)
    assert outcomes["gave"] > 20 and outcomes["raised"] > 1000
    sim.close()
    fresh, server, client, _ = pair()
    assert fresh.run(client.ping(server)) > 0


async def _connect(server, client):
    listening = server.listen(80)
    stream, _ = await asyncio.gather(client.connect(server, 80), listening.accept())
    return stream


def test_the_constructor_checks_its_seed():
    for wrong in (-1, 1 << 64, "7", 1.5, True):
        with pytest.raises((TypeError, ValueError)):
            Simulation(seed=wrong)
    assert 0 <= Simulation().seed < 1 << 64


def _memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_simulations_leave_nothing_behind():
    def once():
        sim, server, client, _ = pair()
        capture = sim.capture()

        async def story():
            listening = server.listen(80)
            one, other = await asyncio.gather(client.connect(server, 80), listening.accept())
            await asyncio.gather(one.send_zeros(200_000), other.discard(200_000))
            asyncio.ensure_future(other.read())

        sim.run(story())
        len(capture.frames)
        if once.closes:
            sim.close()
        once.closes = not once.closes

    once.closes = True
    for _ in range(10):
        once()
    gc.collect()
    before = _memory()
    for _ in range(60):
        once()
    gc.collect()
    assert _memory() - before < 20 << 20
