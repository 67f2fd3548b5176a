"""Every example does what its README says: on Unix, and those that need no network also as guests of Xen, bare without
devices and on real Xen with disks. The others on Xen: test_xen_examples.py."""
import http.client
import re
import socket
import struct
import zlib

import pytest
from support import ROOT, RUN_SECONDS, built
from test_xen_bench import FIRST_SECONDS

EXAMPLES = sorted(folder.name for folder in (ROOT / "examples").iterdir() if (folder / "unikernel.toml").exists())
HELP_SHOWN, WRONG_ARGUMENT = 63, 64
PATIENCE = {"unix": RUN_SECONDS, "xen-x86": FIRST_SECONDS}
on_both_targets = pytest.mark.parametrize("target", PATIENCE)


def example(name, target="unix"):
    return built(ROOT / "examples" / name, target)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_builds_shows_help_and_refuses_an_unknown_option(name):
    app = example(name)
    assert "--help" in app.run("--help").expect(HELP_SHOWN).output
    assert "--no-such-option" in app.run("--no-such-option=1").expect(WRONG_ARGUMENT).output


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_short_readme_with_its_commands(name):
    lines = (ROOT / "examples" / name / "README.md").read_text().splitlines()
    assert len(lines) <= 15
    assert any(line.startswith(f"    morgana run examples/{name}") for line in lines)


@on_both_targets
def test_noop_ends_at_once(target):
    example("noop", target).run().expect(0)


def test_hello_says_hello_four_times():
    assert example("hello").run().expect(0).messages("hello") == ["hello"] * 4


@on_both_targets
def test_hello_key_says_its_option(target):
    app = example("hello-key", target)
    assert app.run().expect(0).messages("hello") == ["Hello World!"] * 4
    assert app.run("--hello=Good morning").expect(0).messages("hello") == ["Good morning"] * 4
    shown = app.run("--help").output
    assert "--hello" in shown and "What to say." in shown and "Hello World!" in shown


@on_both_targets
def test_local_library_uses_its_library(target):
    assert example("local-library", target).run().expect(0).messages("hello") == ["hello from a local library"]


@on_both_targets
def test_app_info_lists_the_packages_of_its_image(target):
    lines = example("app_info", target).run().expect(0).output.splitlines()
    packages = {line.split()[0]: line for line in lines if re.fullmatch(r"\S+ \S+ \(.+\)", line)}
    assert {"llhttp", "morgana-core"} <= packages.keys()
    assert packages["llhttp"] == "llhttp 9.2.1 (MIT)"


@on_both_targets
def test_echo_server_echoes_ten_lines(target):
    said = example("task_echo_server", target).run("--delay-max=20ms").expect(0).messages("echo")
    assert len(said) == 11 and said[-1] == "Finished"
    assert all(re.fullmatch("a{1,20}", line) for line in said[:-1])
    assert len({len(line) for line in said[:-1]}) > 1   # once in 20^9 that fails by chance


@on_both_targets
def test_heads_come_before_tails_and_both_before_the_end(target):
    assert example("task_heads1", target).run().expect(0).messages("heads") == ["Heads", "Tails", "Finished"]
    assert example("task_heads2", target).run().expect(0).messages("heads") == ["Heads", "Tails", "Finished: Heads and Tails"]


@on_both_targets
@pytest.mark.parametrize("name", ["task_timeout1", "task_timeout2"])
def test_a_task_returns_or_is_cancelled(name, target):
    app = example(name, target)
    assert app.run("--delay=1ms").expect(0).messages("timeout") == ["Returned Heads"]
    assert app.run("--delay=1h").expect(0).messages("timeout") == ["Cancelled"]
    assert app.run().expect(0).messages("timeout")[0] in ("Returned Heads", "Cancelled")


def test_clock_tells_both_times_and_ends_when_asked():
    said = example("clock").run("--times=2").expect(0).messages("clock")
    assert len(said) == 2
    form = r"(\d+) ns since boot, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+00:00"
    first, second = (int(re.fullmatch(form, line)[1]) for line in said)
    assert second - first >= 10**9
    with example("clock").start() as guest:
        guest.wait_for("since boot")
        guest.stop().expect(0)


def test_kv_ro_finds_its_secret():
    assert "matches" in example("kv_ro").run().expect(0).messages("kv_ro")[0]


# ---- disks --------------------------------------------------------------------------------------------

SECTOR = 512


def make_disk(path, sectors, fill=b"\0"):
    path.write_bytes(fill * (sectors * SECTOR))
    return ("--disk", f"storage={path}")


@on_both_targets
def test_block_passes_ten_checks(tmp_path, target):
    disk = make_disk(tmp_path / "disk.img", 64, b"\xff")
    ended = example("block", target).run(driver=disk, seconds=PATIENCE[target]).expect(0)
    assert ended.messages("block")[-1] == "10 started, 10 passed, 0 failed"
    written = (tmp_path / "disk.img").read_bytes()
    assert len(written) == 64 * SECTOR
    assert written[:SECTOR] != b"\xff" * SECTOR and written[-SECTOR:] != b"\xff" * SECTOR
    assert written[12 * SECTOR:52 * SECTOR] == b"\xff" * (40 * SECTOR)   # nothing else was touched


def test_block_counts_failures_and_says_so_in_its_status(tmp_path):
    disk, place = make_disk(tmp_path / "disk.img", 64)
    ended = example("block").run(driver=(disk, place + ",ro")).expect(1)
    assert re.search(r"10 started, \d+ passed, [1-9]\d* failed", ended.messages("block")[-1])


def test_block_refuses_a_disk_that_is_too_small(tmp_path):
    example("block").run(driver=make_disk(tmp_path / "disk.img", 8)).expect(1)


def ticket(score):
    content = b"LOTO" + struct.pack(">I", score)
    return content + struct.pack(">I", zlib.crc32(content))


def put_sector(path, number, content):
    with path.open("r+b") as disk:
        disk.seek(number * SECTOR)
        disk.write(content.ljust(SECTOR, b"\0"))


def sector(path, number):
    return path.read_bytes()[number * SECTOR:(number + 1) * SECTOR]


@on_both_targets
def test_disk_lottery_keeps_the_highest_score(tmp_path, target):
    path = tmp_path / "disk.img"
    disk = make_disk(path, 8)
    lottery = example("disk-lottery", target)
    best = 0
    for _ in range(3):
        said = lottery.run("--slot=2", driver=disk, seconds=PATIENCE[target]).expect(0).messages("lottery")[-1]
        drawn, outcome, before = re.fullmatch(r"drew (\d+): you (win|lose), the high score (?:is|was) (\d+)", said).groups()
        assert int(before) == best
        assert (outcome == "win") == (int(drawn) > best)
        best = max(best, int(drawn))
        assert sector(path, 2) == ticket(best).ljust(SECTOR, b"\0")
    assert path.read_bytes().count(b"LOTO") == 1


def test_disk_lottery_compares_scores_without_a_sign_and_resets(tmp_path):
    path = tmp_path / "disk.img"
    disk = make_disk(path, 8)
    lottery = example("disk-lottery")
    for number in (0, 1, 2):
        put_sector(path, number, ticket(0xFFFFFFFF))
    assert "you lose, the high score is 4294967295" in lottery.run("--slot=1", driver=disk).expect(0).output
    assert "you win, the high score was 0" in lottery.run("--slot=1", "--reset", driver=disk).expect(0).output
    assert sector(path, 0) == sector(path, 2) == ticket(0xFFFFFFFF).ljust(SECTOR, b"\0")
    assert "you win, the high score was 0" in lottery.run("--slot=0", "--reset-all", driver=disk).expect(0).output
    assert sector(path, 1) == sector(path, 2) == b"\0" * SECTOR


def test_disk_lottery_ends_with_5_for_a_slot_that_is_not_there(tmp_path):
    example("disk-lottery").run("--slot=8", driver=make_disk(tmp_path / "disk.img", 8)).expect(5)


@pytest.mark.parametrize("content", [b"nonsense", b"LOTO\0\0\0\1\0\0\0\0", ticket(7) + b"x"],
                         ids=["nonsense", "checksum", "not zero behind it"])
def test_disk_lottery_ends_with_6_for_a_slot_that_holds_nonsense(tmp_path, content):
    path = tmp_path / "disk.img"
    disk = make_disk(path, 8)
    put_sector(path, 0, content)
    example("disk-lottery").run(driver=disk).expect(6)
    assert sector(path, 0) == content.ljust(SECTOR, b"\0")
    example("disk-lottery").run("--reset", driver=disk).expect(0)


def test_disk_lottery_ends_with_6_when_it_cannot_write(tmp_path):
    disk, place = make_disk(tmp_path / "disk.img", 8)
    example("disk-lottery").run("--reset", driver=(disk, place + ",ro")).expect(6)


# ---- networks -----------------------------------------------------------------------------------------

def listening_port(guest):
    return int(guest.wait_for(r"listening on \S+:(\d+)\n")[1])


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=RUN_SECONDS)


def test_network_reads_one_piece_and_closes():
    with example("network").start("--port=0") as guest:
        port = listening_port(guest)
        for text in (b"hello", b"again"):
            with connect(port) as peer:
                mine = peer.getsockname()[1]
                peer.sendall(text)
                assert peer.recv(1) == b""
            guest.wait_for(rf"new connection from \S*127\.0\.0\.1\S*:{mine}\n")
            guest.wait_for(f"read 5 bytes: {text.decode()}")
        guest.stop().expect(0)


@pytest.fixture(scope="module")
def website():
    with example("static_website").start("--port=0") as guest:
        yield listening_port(guest)
        guest.stop().expect(0)


def fetch(port, path, method="GET", **fields):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


HTDOCS = ROOT / "examples/static_website/htdocs"


@pytest.mark.parametrize("file", sorted(str(path.relative_to(HTDOCS)) for path in HTDOCS.rglob("*") if path.is_file()))
def test_website_serves_every_file_as_it_is(website, file):
    response, body = fetch(website, f"/{file}")
    assert response.status == 200
    assert body == (HTDOCS / file).read_bytes()
    types = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    assert response.headers["Content-Type"] == types[(HTDOCS / file).suffix]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.headers["Date"])
    again, nothing = fetch(website, f"/{file}", If_None_Match=response.headers["ETag"])
    assert again.status == 304 and nothing == b""
    head, nothing = fetch(website, f"/{file}", "HEAD")
    assert head.status == 200 and nothing == b"" and head.headers["Content-Length"] == str(len(body))


def test_website_has_an_index_a_redirect_a_404_and_ranges(website):
    assert fetch(website, "/")[1] == (HTDOCS / "index.html").read_bytes()
    response, _ = fetch(website, "/about")
    assert response.status == 301 and response.headers["Location"] == "/about/"
    response, body = fetch(website, "/no-such-page")
    assert response.status == 404 and body == (HTDOCS / "404.html").read_bytes()
    response, body = fetch(website, "/bench.html", Range="bytes=10-19")
    assert response.status == 206 and body == (HTDOCS / "bench.html").read_bytes()[10:20]
    assert fetch(website, "/bench.html", Range="bytes=612-")[0].status == 416
    assert fetch(website, "/", "POST")[0].status == 405


def test_the_page_of_the_benchmark_has_612_bytes():
    assert (HTDOCS / "bench.html").stat().st_size == 612


def test_website_answers_pipelined_requests_in_order(website):
    request = "GET /{} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
    with connect(website) as peer:
        peer.sendall((request.format("bench.html", "") * 40 + request.format("no", "Connection: close\r\n")).encode())
        answer = b""
        while chunk := peer.recv(65536):
            answer += chunk
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 40
    assert answer.rindex(b"HTTP/1.1 404") > answer.rindex(b"HTTP/1.1 200")
    assert answer.count((HTDOCS / "bench.html").read_bytes()) == 40


def test_website_refuses_a_smuggled_request(website):
    with connect(website) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                     b"GET /bench.html HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = b""
        while chunk := peer.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1


def test_website_serves_many_connections_at_once(website):
    peers = [connect(website) for _ in range(100)]
    try:
        for peer in peers:
            peer.sendall(b"GET /bench.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        for peer in peers:
            answer = b""
            while chunk := peer.recv(65536):
                answer += chunk
            assert answer.endswith((HTDOCS / "bench.html").read_bytes())
    finally:
        for peer in peers:
            peer.close()
