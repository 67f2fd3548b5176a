"""What a keep-alive request and a connection cost a guest on real Xen, in instructions at its own addresses: the figures of
docs/benchmarks.md, counted as tests/bench/xen/measure.py counts them, with fewer of each."""
import http.client
import os
import sys

import pytest

from support import ROOT
from test_direct_network import V4
from test_xen_bench import RUN_SECONDS
from test_xen_network import direct

sys.path.insert(0, str(ROOT / "tests/bench/xen"))
from measure import Counter, measured   # noqa: E402  (found by the line above)

REQUESTS, CONNECTIONS = 60, 20
# A little above what was measured: a date, a neighbour or a timer is in it, and of a connection how many frames a wake-up of the
# guest takes, which is up to the machine.
REQUEST_INSTRUCTIONS, CONNECTION_INSTRUCTIONS = 4_250, 17_000


@pytest.fixture
def counter(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"])
    return Counter(tmp_path)


def test_a_request_and_a_connection_cost_a_guest_on_xen_no_more_than_promised(tmp_path, counter):
    found = []

    def request(of):
        of.request("GET", "/bench.html")
        assert len(of.getresponse().read()) == 612

    def connection():
        one = http.client.HTTPConnection(V4, 8080, timeout=RUN_SECONDS)
        request(one)
        one.close()

    def each(work, times):
        before = counter.read()
        for _ in range(times):
            work()
        found.append((counter.read() - before) / times)

    def work():
        peer = http.client.HTTPConnection(V4, 8080, timeout=RUN_SECONDS)
        request(peer)
        each(lambda: request(peer), REQUESTS)
        connection()
        each(connection, CONNECTIONS)

    measured(direct(ROOT / "examples/static_website", tmp_path), "listening on", work)
    print(f"\na request: {found[0]:,.0f}, a connection: {found[1]:,.0f} instructions")
    assert found[0] <= REQUEST_INSTRUCTIONS
    assert found[1] <= CONNECTION_INSTRUCTIONS
