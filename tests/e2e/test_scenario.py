"""One scenario, the same on every target: three web servers behind a name, a resolver, a client that never stops asking; a
partition and its healing; a rolling restart.

    python3 -m pytest tests/e2e/test_scenario.py --morgana-target=sim"""
import pytest
from support import ROOT, built

SERVERS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
NAMES = "10.0.0.53"
CLIENT = "10.0.0.100"
APPS = ROOT / "tests/e2e/apps"
TARGETS = ["sim", "unix", "xen-x86"]
BOOT = 300      # on real Xen the first guest of a machine waits for its dom0 to be made
VISITS = 60


class Cluster:
    def __init__(self, boot, net, target):
        self._boot, self._net, self._target = boot, net, target

    def boot(self, application, address, name, *arguments):
        image = built(application, self._target, ["--network.use=direct"]).image
        return self._boot(image, networks=[self._net], name=name, arguments=[f"--network.ipv4={address}/24", *arguments])

    def serve(self, address):
        return self.boot(ROOT / "examples/static_website", address, f"web-{address[-1]}")

    def begin(self):
        names = self.boot(APPS / "name_server", NAMES, "names", f"--addresses={','.join(SERVERS)}")
        self.servers = {address: self.serve(address) for address in SERVERS}
        names.expect("answering for www.test", timeout=BOOT)
        for server in self.servers.values():
            server.expect("listening on", timeout=BOOT)
        self.client = self.boot(APPS / "visitor", CLIENT, "client", f"--servers={NAMES}")

    def visit(self):
        """The next visit's server; None when it got no page."""
        return self.client.expect(r"visitor: \w+: (?:no page.*|(\S+) gave \d+ bytes)$", timeout=BOOT)[1]

    def until(self, wanted, what):
        """Visits until those since now are as wanted."""
        seen = []
        for _ in range(VISITS):
            seen.append(self.visit())
            if wanted(seen):
                return seen
        raise AssertionError(f"in {VISITS} visits it did not come that {what}: {seen}")


@pytest.mark.morgana(targets=TARGETS, network={"delay": "2ms", "loss": 0.01})
def test_a_name_is_served_through_a_partition_and_a_rolling_restart(boot, net, morgana_target):
    here = Cluster(boot, net, morgana_target)
    here.begin()
    here.until(lambda seen: {*SERVERS} <= {*seen}, "every server is visited")

    # A server is parted from the client alone: the name's other addresses do, within a visit's time.
    lonely = here.servers[SERVERS[0]]
    net.partition(here.client, lonely)
    here.visit()    # may have begun before
    seen = here.until(lambda seen: len(seen) >= 9, "nine visits end")
    assert {*seen} == {*SERVERS[1:]}, seen
    # From everybody: no page at all, and the client is told each time.
    net.partition(here.client)
    here.visit()
    assert here.visit() is None
    net.heal()
    here.until(lambda seen: {*SERVERS} <= {*seen}, "every server is visited again")

    # One after the other restarts, in order; the name is served all the time.
    for address in SERVERS:
        assert here.servers[address].stop(timeout=60) == 0
        here.visit()    # may have been under way to it
        seen = here.until(lambda seen: len(seen) >= 4, "four visits end")
        assert {*seen} <= {*SERVERS} - {address}, seen
        here.servers[address] = here.serve(address)
        here.servers[address].expect("listening on", timeout=BOOT)
        here.until(lambda seen: address in seen, f"{address} is visited after its restart")
    assert here.client.stop(timeout=60) == 0


@pytest.mark.morgana(targets=["sim"])
def test_the_scenario_replays_from_its_seed(tmp_path, morgana_target):
    import morgana

    def lived(file):
        machines = []

        def boot(image, **how):
            machines.append(morgana.run(image, **how))
            return machines[-1]

        with morgana.Network(seed=3, delay="2ms", loss=0.05) as net, net.capture(file):
            here = Cluster(boot, net, morgana_target)
            here.begin()
            visits = [here.visit() for _ in range(10)]
            net.partition(here.client, here.servers[SERVERS[0]])
            visits += [here.visit() for _ in range(5)]
            for machine in machines:
                machine.close()
        return visits, file.read_bytes()

    first, again = lived(tmp_path / "first.pcapng"), lived(tmp_path / "again.pcapng")
    assert first == again and len(first[1]) > 10_000
