"""What an image has of the network is chosen when it is configured: what is left out is not in the image, and where it is
asked for it is missing in so many words. The smallest website on Xen is in test_xen_network.py."""
from namespaces import OwnNamespace
from support import ROOT, RUN_SECONDS, built
from test_direct_network import HTDOCS, V4, connect, fetch, linux_side, receive_all
from test_sim_world import run as run_world

WEBSITE = ROOT / "examples/static_website"
DIRECT = ("--network.use=direct",)
WITHOUT = tuple(f"--network.{choice}=false" for choice in ("ipv6", "dhcp", "fragments", "fast_open", "prediction"))
WRONG_ARGUMENT = 64


def test_a_website_of_ipv4_alone_is_served_and_has_no_more_than_it_needs():
    app = built(WEBSITE, choices=DIRECT + WITHOUT)
    whole = built(WEBSITE, choices=DIRECT)
    sizes = [one.image.path.stat().st_size for one in (app, whole)]
    assert sizes[0] < sizes[1] - 50_000, sizes

    def work():
        linux_side()
        with app.start(driver=("--network", "tap:guest0")) as guest:
            guest.wait_for("listening on")
            assert fetch(V4, "/bench.html") == (HTDOCS / "bench.html").read_bytes()
            with connect(V4, 8080) as one:
                one.sendall(b"GET /bench.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert receive_all(one).endswith((HTDOCS / "bench.html").read_bytes())
            guest.stop().expect(0)

    OwnNamespace(work)


def test_an_option_of_what_was_left_out_is_refused_as_such():
    app = built(WEBSITE, choices=DIRECT + WITHOUT)
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
