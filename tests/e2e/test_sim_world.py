"""`morgana run -t sim --world FILE`: images of applications in one simulated network, with faults, repeatable by seed."""
import re

import pytest
from scapy.layers.inet import IP, TCP
from scapy.utils import PcapReader
from support import ROOT, built

DIRECT = ["--network.use=direct"]
DRIVER_FAILED = 125

# A server that loses power between two clients, and a client that is cut off while it connects.
CALAMITIES = """
lasts = "30s"
pcap = "world.pcap"

[[host]]
name = "web"
arguments = ["--network.ipv4=10.0.0.1/24"]
link = { delay = "5ms", loss_ppm = 20000 }

[[host]]
name = "first"
image = "fetch.sim.so"
arguments = ["--network.ipv4=10.0.0.2/24", "--host=10.0.0.1", "--port=8080"]
link = { delay = "5ms", loss_ppm = 20000 }
starts = false

[[host]]
name = "second"
image = "fetch.sim.so"
arguments = ["--network.ipv4=10.0.0.3/24", "--host=10.0.0.1", "--port=8080"]
starts = false

[[event]]
at = "1s"
do = "boot"
host = "first"
[[event]]
at = "4s"
do = "crash"
host = "web"
[[event]]
at = "5s"
do = "boot"
host = "second"
[[event]]
at = "6s"
do = "boot"
host = "web"
[[event]]
at = "15s"
do = "cut"
host = "first"
[[event]]
at = "16s"
do = "boot"
host = "first"
[[event]]
at = "18s"
do = "heal"
host = "first"
[[event]]
at = "25s"
do = "stop"
host = "web"
"""


@pytest.fixture(scope="module")
def images():
    website = built(ROOT / "examples/static_website", "sim", choices=DIRECT)
    fetch = built(ROOT / "examples/fetch", "sim", choices=DIRECT)
    return website, next(fetch.build_folder.rglob("fetch.sim.so"))


def run(images, folder, text, seed=3):
    website, fetch = images
    folder.mkdir(exist_ok=True)
    (folder / "world.toml").write_text(text)
    if not (folder / "fetch.sim.so").exists():
        (folder / "fetch.sim.so").symlink_to(fetch)
    return website.run(driver=("--world", folder / "world.toml", "--seed", str(seed)))


def said_by(host, output):
    return re.findall(rf"^{host} \| (.*)$", output, re.MULTILINE)


def test_clients_are_served_through_loss_a_crash_and_a_cut(images, tmp_path):
    output = run(images, tmp_path, CALAMITIES).expect(0).output
    assert sum("listening on" in line for line in said_by("web", output)) == 2
    assert sum("200 OK" in line for line in said_by("first", output)) == 2
    assert sum("200 OK" in line for line in said_by("second", output)) == 1
    # The server came back at 6 s, and the first client was cut off until 18 s.
    second = float(re.search(r"^second \| ended with status 0 at (\d+) ms$", output, re.MULTILINE)[1])
    first = [float(ms) for ms in re.findall(r"^first \| ended with status 0 at (\d+) ms$", output, re.MULTILINE)]
    assert second > 6000 and first[0] < 4000 and first[1] > 18000


def test_one_seed_gives_one_capture_byte_for_byte_in_another_process(images, tmp_path):
    seen = {}
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        output = run(images, tmp_path / name, CALAMITIES, seed).expect(0).output
        seen[name] = output, (tmp_path / name / "world.pcap").read_bytes()
    assert seen["one"] == seen["again"]
    assert seen["one"][1] != seen["other"][1]
    with PcapReader(str(tmp_path / "one/world.pcap")) as capture:
        resets = [packet for packet in capture if TCP in packet and IP in packet]
    assert {packet[IP].src for packet in resets} >= {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_a_client_that_stays_cut_off_ends_in_an_error_and_so_does_the_run(images, tmp_path):
    never_healed = re.sub(r'\[\[event\]\]\nat = "18s"\ndo = "heal"\nhost = "first"\n', "", CALAMITIES)
    assert never_healed != CALAMITIES
    ended = run(images, tmp_path, never_healed)
    assert ended.code != 0
    assert any("fetch: start: connect: no way to that address" in line for line in said_by("first", ended.output))


@pytest.mark.parametrize("wrong, line", [
    ('do = "crash"', 'do = "crush"'),
    ('host = "second"', 'host = "secind"'),
    ('delay = "5ms"', 'delay = "5 parsecs"'),
    ('image = "fetch.sim.so"', 'image = "lost.sim.so"'),
], ids=["event", "host", "duration", "image"])
def test_a_world_that_makes_no_sense_is_refused_with_its_place(images, tmp_path, wrong, line):
    text = CALAMITIES.replace(wrong, line)
    ended = run(images, tmp_path, text)
    number = 1 + next(number for number, one in enumerate(text.splitlines()) if line in one)
    assert ended.code == DRIVER_FAILED, ended.output
    assert f"world.toml:{number}:" in ended.output, ended.output
