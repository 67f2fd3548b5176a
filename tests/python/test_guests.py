"""Simulated guests: images as hosts of a simulation, without the driver. tests/unit/targets/sim/images/odd.cpp is the image."""

import os

import pytest

from morgana.simulation import Simulation

ODD = os.path.join(os.environ.get("MORGANA_SIM_IMAGES", "build/tests/images"), "odd.sim.so")


def odd(sim, name, what, *more):
    return sim.guest(name, ODD, [f"--what={what}", *more], networks=["network"])


def test_a_guest_prints_in_virtual_time_and_ends():
    sim = Simulation(seed=7)
    guest = odd(sim, "one", "count", "--times=3")
    assert sim.run(guest.expect("1000 ms")).group() == "1000 ms"
    assert sim.now == 1 and guest.end is None
    end = sim.run(guest.wait())
    assert (end.how, end.status, end.report) == ("finished", 3, "")
    assert guest.lines == ["0 ms", "1000 ms", "2000 ms"] and sim.now == 3


def test_a_guest_that_crashes_leaves_a_report_and_boots_again():
    sim = Simulation(seed=9)
    guest = odd(sim, "odd one", "null")
    end = sim.run(guest.wait())
    assert (end.how, end.status) == ("crashed", 70)
    assert end.report.startswith("reason: fault") and "seed 9" in end.report and end.report in guest.console
    guest.boot()
    assert guest.end is None and guest.console == ""
    assert sim.run(guest.wait()).how == "crashed"


def test_a_guest_stops_in_order_or_loses_power():
    sim = Simulation(seed=7)
    orderly, other = odd(sim, "orderly", "stop"), odd(sim, "other", "stop")
    sim.run_for(1)
    orderly.stop()
    other.crash()
    assert sim.run(orderly.wait()).status == 0
    assert orderly.lines[-1] == "stopping"
    assert not other.has_power and other.console == "" and other.end is None
    with pytest.raises(RuntimeError, match="power"):
        other.stop()
    other.boot()
    with pytest.raises(RuntimeError, match="runs already"):
        other.boot()


def test_guests_hear_each_other_over_cables_that_are_cut_and_heal():
    sim = Simulation(seed=7)
    ping, echo = odd(sim, "ping", "ping", "--times=4"), odd(sim, "echo", "echo")
    cable = sim.link(ping, echo, delay="10ms")
    sim.at(0.015, ping.cut)
    sim.at(30, ping.heal)
    end = sim.run(ping.wait(timeout="100s"))
    assert end.how == "finished", ping.console
    assert cable.counters()["cut"] > 0
    assert ping.memory["heap_bytes_max"] > 0


def test_a_wait_in_vain_shows_the_console():
    sim = Simulation(seed=7)
    guest = odd(sim, "one", "count", "--times=2")
    with pytest.raises(AssertionError, match="1000 ms"):
        sim.run(guest.expect("5000 ms", timeout="1500ms"))
    with pytest.raises(AssertionError, match="ended .finished, status 2."):
        sim.run(guest.expect("5000 ms", timeout="60s"))


def test_what_is_no_image_is_said(tmp_path):
    sim = Simulation(seed=7)
    (tmp_path / "no.sim.so").write_bytes(b"\x7fELF" + bytes(100))
    for path in (tmp_path / "no.sim.so", tmp_path / "missing.sim.so", "/usr/bin/python3"):
        with pytest.raises(ValueError):
            sim.guest("x", path)
    with pytest.raises(ValueError, match="64 KiB"):
        sim.guest("x", ODD, memory=1)
    with pytest.raises(ValueError, match="sectors"):
        sim.guest("x", ODD, disks={"disk": b"123"})


def test_the_same_seed_is_the_same_run_of_guests():
    def run(seed):
        sim = Simulation(seed=seed)
        ping, echo = odd(sim, "ping", "ping", "--times=5"), odd(sim, "echo", "echo")
        sim.link(ping, echo, delay="10ms", jitter="3ms")
        capture = sim.capture()
        drawn = odd(sim, "drawn", "random")
        sim.run(ping.wait())
        found = (ping.console, drawn.console, capture.pcapng(), sim.trace_hash)
        sim.close()
        return found

    assert run(3) == run(3)
    assert run(3)[1:] != run(4)[1:]
