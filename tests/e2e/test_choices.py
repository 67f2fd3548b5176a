"""What an image has of the network and of its packages is chosen when it is configured: what is left out is not in the image,
and where it is asked for it is missing in so many words. The smallest website on Xen is in test_xen_network.py."""
import socket
import subprocess

from namespaces import OwnNamespace
from support import ROOT, RUN_SECONDS, built
from test_direct_network import HTDOCS, V4, connect, fetch, linux_side, receive_all
from test_sim_world import run as run_world

WEBSITE = ROOT / "examples/static_website"
DIRECT = ("--network.use=direct",)
WITHOUT = tuple(f"--network.{choice}=false" for choice in ("ipv6", "dhcp", "fragments", "fast_open", "prediction"))
PLAIN = ("--morgana-http.parser=false",)
WRONG_ARGUMENT = 64
PAGE = (HTDOCS / "bench.html").read_bytes()
REQUEST = b"GET /bench.html HTTP/1.1\r\nHost: x\r\n\r\n"
BROWSER = (b"GET /bench.html HTTP/1.1\r\nHost: 10.0.0.2:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\n"
           b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: de,en;q=0.5\r\n"
           b"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\nPriority: u=0, i\r\n\r\n")


def answers(wire, pieces=1):
    """All that the website says to `wire` until it or the client, which has nothing more to say, ends the connection."""
    with connect(V4, 8080) as one:
        step = -(-len(wire) // pieces)
        for at in range(0, len(wire), step):
            one.sendall(wire[at:at + step])
        one.shutdown(socket.SHUT_WR)
        return receive_all(one)


def check_plain_requests():
    """What a website without the parser takes and refuses."""
    assert answers(REQUEST * 100).count(PAGE) == 100
    assert answers(BROWSER * 2).count(PAGE) == 2
    assert answers(REQUEST + BROWSER, pieces=60).count(PAGE) == 2
    assert answers(b"GET /bench.html HTTP/1.0\r\n\r\n" * 2).count(PAGE) == 1
    done = subprocess.run(["curl", "-sS", "--fail", "--max-time", str(RUN_SECONDS), f"http://{V4}:8080/bench.html"],
                          stdout=subprocess.PIPE, check=True)
    assert done.stdout == PAGE
    for refused, status in ((b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"501"),
                            (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"501"),
                            (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"413"),
                            (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", b"505"),
                            (b"GET / HTTP/1.1\r\n\r\n", b"400"),
                            (b"GET /" + b"a" * 8000, b"414"),
                            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 17000, b"431")):
        said = answers(REQUEST + refused + REQUEST)
        assert said.count(PAGE) == 1 and said.count(b"HTTP/1.1 " + status) == 1 and said.count(b"HTTP/1.1") == 2, said


def test_a_website_of_ipv4_alone_is_served_and_has_no_more_than_it_needs():
    app = built(WEBSITE, choices=DIRECT + WITHOUT + PLAIN)
    whole = built(WEBSITE, choices=DIRECT)
    sizes = [one.image.path.stat().st_size for one in (app, whole)]
    assert sizes[0] < sizes[1] - 50_000, sizes

    def work():
        linux_side()
        with app.start(driver=("--network", "tap:guest0")) as guest:
            guest.wait_for("listening on")
            assert fetch(V4, "/bench.html") == PAGE
            check_plain_requests()
            guest.stop().expect(0)

    OwnNamespace(work)


def test_an_option_of_what_was_left_out_is_refused_as_such():
    app = built(WEBSITE, choices=DIRECT + WITHOUT + PLAIN)
    done = app.run("--network.ipv6=2001:db8::2/64").expect(WRONG_ARGUMENT)
    assert "--network.ipv6=2001:db8::2/64: this image was configured without it" in done.output
    assert "--network.ipv6" not in app.run("--help", seconds=RUN_SECONDS).output


def test_hosts_of_the_simulator_have_no_more_either(tmp_path):
    website = built(WEBSITE, "sim", choices=DIRECT + WITHOUT)
    client = next(built(ROOT / "examples/fetch", "sim", choices=DIRECT).build_folder.rglob("fetch.sim.so"))
    output = run_world((website, client), tmp_path, '''
lasts = "10s"
[[host]]
name = "web"
arguments = ["--network.ipv4=10.0.0.1/24"]
[[host]]
name = "client"
image = "fetch.sim.so"
arguments = ["--network.ipv4=10.0.0.2/24", "--host=10.0.0.1", "--port=8080"]
''').expect(0).output
    assert "200 OK" in output
