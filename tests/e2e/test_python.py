"""The Python package: driver, machines and networks of real guests, used well and wrongly. Simulations have tests/python."""
import gc
import os
import pathlib
import re
import shutil
import signal
import threading

import pytest
from support import MORGANA, ROOT, RUN_SECONDS, Process, built

import morgana

APPS = ROOT / "tests/e2e/apps"


def endings():
    return built(APPS / "endings").image


# ---- the driver -----------------------------------------------------------------------------------------

def test_a_configuration_is_told_as_objects_and_nothing_is_written(tmp_path):
    app = morgana.App(ROOT / "examples/static_website", output=tmp_path / "build")
    made = app.configure("unix", {"port": 8081, "morgana-http.parser": False}, choices={"network": "direct"})
    assert (made.name, made.target) == ("static-website", "unix")
    network = next(device for device in made.graph if device.name == "network")
    assert network.concept == "net::stack" and network.implementation == "direct" and network.path == ("start", "network")
    assert network.needs == {"device": "network_device"}
    port = next(option for option in made.options if option.name == "port")
    assert (port.stage, port.value, port.help) == ("configure", "8081", "Port to listen on; 0: any free one.")
    http = next(package for package in made.packages if package.name == "morgana-http")
    assert http.choices == {"parser": "false"}
    assert "[target.unix]" in made.lock and "virtual-time" not in made.capabilities
    assert any("main.gen.cpp" in line for line in app.dry_run("unix"))
    assert not (tmp_path / "build").exists()


def test_mistakes_are_exceptions_with_their_places(tmp_path):
    with pytest.raises(morgana.ConfigureError) as caught:
        morgana.App(tmp_path).configure()
    assert caught.value.code == "no-description" and "morgana new" in caught.value.diagnostics[0].help[0]
    (tmp_path / "unikernel.toml").write_text('name = "odd"\nnmae = "odd"\n')
    with pytest.raises(morgana.ConfigureError) as caught:
        morgana.App(tmp_path).configure("unix")
    [one] = caught.value.diagnostics
    assert (one.code, one.line, one.column) == ("unknown-name", 2, 1) and one.file.endswith("unikernel.toml")
    with pytest.raises(morgana.ConfigureError, match="there is no target `unxi`"):
        morgana.App(ROOT / "examples/hello").configure("unxi")


def test_the_compilers_words_are_in_a_build_error(tmp_path):
    (tmp_path / "unikernel.toml").write_text('name = "odd"\n')
    (tmp_path / "unikernel.hpp").write_text('#include "morgana/app.hpp"\n'
                                            'inline morgana::task<> start(morgana::console auto& console) {\n'
                                            '  console.write(nonsense); co_return;\n}\n')
    with pytest.raises(morgana.BuildError, match="nonsense"):
        morgana.App(tmp_path).build("unix")


def test_an_image_knows_its_bytes_and_reasons():
    image = built(ROOT / "examples/hello").image
    assert image.size == image.path.stat().st_size == sum(piece.size for piece in image.pieces)
    assert ".text" in image.sections
    assert "the target unix always has it" in image.why("morgana-core")
    with pytest.raises(morgana.BuildError) as caught:
        image.why("morgana-cor")
    assert caught.value.code == "unknown-name"


def test_steps_are_reported_and_what_the_callback_raises_comes_out(tmp_path):
    app = morgana.App(ROOT / "examples/hello", output=tmp_path)
    steps = []
    app.configure("unix", progress=lambda *step: steps.append(step))
    assert "reading the entry point" in [what for what, _, _ in steps]

    def refuse(*step):
        raise KeyError(step)
    with pytest.raises(KeyError):
        app.configure("unix", progress=refuse)


# ---- machines -------------------------------------------------------------------------------------------

def test_a_machine_has_console_log_metrics_and_status():
    with morgana.run(endings(), arguments=["--how=wait"]) as vm:
        vm.expect("first: info: started")
        assert vm.is_running and vm.status is None and vm.address == "127.0.0.1"
        assert [record.message for record in vm.log if record.source == "first"][:2] == ["connected", "started"]
        assert vm.metrics.cpu_seconds >= 0 and vm.metrics.memory_bytes > 100_000
        vm.pause()
        vm.resume()
    assert (vm.status, vm.reason, vm.crash) == (0, "finished", None)
    assert vm.log[-1].message == "disconnected"


def test_a_crash_has_its_report_and_places():
    with morgana.run(endings(), arguments=["--how=fault"]) as vm:
        assert vm.wait() == 70
    assert vm.reason == "crashed" and vm.crash.report.startswith("reason: fault")
    assert "crash_on_purpose" in vm.crash.frames and "unikernel.hpp" in vm.crash.frames


def test_a_wait_in_vain_ends_with_the_consoles_tail():
    with morgana.run(endings(), arguments=["--how=wait"]) as vm:
        vm.expect("started")
        with pytest.raises(morgana.Timeout, match="'nothing' did not come from endings within 100ms.*\n.*connected"):
            vm.expect("nothing", timeout="100ms")
        with pytest.raises(morgana.Timeout, match="still runs after 0.1 s"):
            vm.wait(timeout=0.1)
        vm.kill()
        assert (vm.status, vm.reason) == (137, "killed")
        with pytest.raises(morgana.Timeout, match="before endings ended"):
            vm.expect("nothing", timeout=RUN_SECONDS)


def test_what_the_target_cannot_do_is_said():
    with morgana.run(endings(), arguments=["--how=wait"]) as vm:
        assert "snapshot" not in vm.capabilities
        with pytest.raises(morgana.NotSupported):
            vm.snapshot("/tmp/nowhere")
    with pytest.raises(morgana.RunError, match="no setting `seed`"):
        morgana.run(endings(), settings={"seed": 7})
    with pytest.raises(morgana.RunError, match="does not exist"):
        morgana.run(endings(), disks={"storage": "/nonexistent/disk"})


READER = """
#include "morgana/app.hpp"

inline morgana::task<int> start(morgana::console auto& console) {
  std::array<std::byte, 64> piece;
  for (int bytes = 0;;) {
    auto const got = co_await console.read(piece, morgana::never);
    if (!got) co_return 1;
    if (*got == 0) co_return bytes;
    bytes += static_cast<int>(*got);
    console.write(std::string(reinterpret_cast<char const*>(piece.data()), *got));
  }
}
"""


def test_console_input_reaches_a_guest_until_its_end(tmp_path):
    (tmp_path / "unikernel.toml").write_text('name = "reader"\n')
    (tmp_path / "unikernel.hpp").write_text(f"#include <array>\n#include <string>\n{READER}")
    with built(tmp_path).start() as guest:
        vm = guest.machine
        vm.send("first\n")
        vm.expect("^first$")
        vm.send(b"second\n")
        vm.end_input()
        assert vm.wait() == len("first\nsecond\n") and vm.lines == ["first", "second"]


def test_a_disk_is_a_file_that_the_guest_reads_and_writes(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(8 * 512))
    image = built(ROOT / "examples/disk-lottery").image
    with morgana.run(image, disks={"storage": disk}, arguments=["--slot=2"]) as vm:
        assert vm.wait() == 0
    written = disk.read_bytes()
    assert any(written[1024:1536]) and not any(written[:1024])
    with morgana.run(image, disks={"storage": {"path": disk, "read_only": True}}, arguments=["--reset"]) as vm:
        assert vm.wait() == 6, vm.console
    assert disk.read_bytes() == written


# ---- networks of guests ---------------------------------------------------------------------------------

@pytest.mark.parametrize("target", ["unix", "sim"])
def test_a_network_loses_parts_heals_and_shows_what_passes(target, tmp_path):
    from scapy.layers.l2 import Ether
    from scapy.utils import rdpcap
    image = built(APPS / "frames", target).image     # sends every frame back to its sender
    seen = []

    def watch(frame, port):
        seen.append(port)
        return frame

    with morgana.Network(seed=7, delay="1ms") as net, net.capture(tmp_path / "net.pcapng"):
        me = net.host()
        with morgana.run(image, networks=[net.cable(watch)], name="one") as one, \
                morgana.run(image, networks={"link": net}, name="other") as other:
            address = {vm: vm.expect("address ([0-9a-f:]{17})")[1] for vm in (one, other)}

            def echo(vm, text, timeout=RUN_SECONDS):
                me.send(Ether(src=me.mac, dst=address[vm], type=0x1234) / text)
                return bytes(me.expect(lambda frame: text in frame, timeout).packet.payload)

            assert echo(one, b"hello") == echo(other, b"hello") == b"hello"
            assert net.is_simulated == (target == "sim") and me.mac != address[one] != address[other]
            for part in (lambda: net.partition(me, one), lambda: net.partition(one), lambda: net.change(one, loss=1),
                         lambda: net.change(one, cut=True)):
                part()
                with pytest.raises(morgana.Timeout, match="no such frame arrived within 100ms"):
                    echo(one, b"nobody hears this", "100ms")
                assert echo(other, b"this is heard") == b"this is heard"
                net.heal()
                net.change(one, loss=0, cut=False)
                assert echo(one, b"and this again") == b"and this again"
            net.inject(bytes(Ether(src=me.mac, dst=address[other], type=0x1234) / b"from nowhere"), to=other)
            arrived = me.expect(lambda frame: b"from nowhere" in frame, RUN_SECONDS)
            assert arrived.packet.src == address[other] and arrived.time > 0
            if net.is_simulated:    # where nothing passes between the two calls
                me.send(Ether(src=me.mac, dst=address[other], type=0x1234) / b"seen on its way")
                assert net.expect(lambda frame: b"on its way" in frame and frame.packet.src == address[other])
            with pytest.raises(morgana.Timeout, match="no such frame passed within 50ms"):
                net.expect(lambda frame: False, "50ms")
            sent, given = net.counters(one)
            assert given["lost"] >= 1 and given["cut"] >= 1 and sent["delivered"] >= 5
    assert set(seen) == {0, 1}
    passed = [bytes(packet.payload) for packet in rdpcap(str(tmp_path / "net.pcapng"))]
    assert b"from nowhere" in passed and b"nobody hears this" in passed


def test_who_has_the_same_name_has_another_address_and_who_comes_again_its_own():
    macs = []
    for _ in range(2):
        with morgana.Network(seed=1) as net:
            macs.append((net.host("10.0.0.1/24").mac, net.host("10.0.0.2/24").mac))
    assert macs[0] == macs[1] and macs[0][0] != macs[0][1]


@pytest.mark.parametrize("target", ["unix", "sim"])
def test_a_guest_of_a_network_has_its_own_address_again_after_a_restart_and_in_another_process(target):
    image = built(APPS / "frames", target).image
    seen = []
    for seed in (7, 7, 8):
        with morgana.Network(seed=seed) as net:
            def boot(name, seconds=RUN_SECONDS):
                vm = morgana.run(image, networks=[net], name=name)
                return vm, vm.expect("address ([0-9a-f:]{17})", seconds)[1]
            one, first = boot("one")
            other, second = boot("other")
            twin, third = boot("one")
            for vm in (one, twin):
                vm.close()
            again, fourth = boot("one")
            seen.append((first, second, third))
            assert first == fourth and len({first, second, third}) == 3
            for vm in (other, again):
                vm.close()
    assert seen[0] == seen[1] and not set(seen[0]) & set(seen[2])
    # What the seed and the names give, in whatever process; locally administered, of one station.
    assert int(first[:2], 16) & 3 == 2


def test_a_simulated_network_replays_from_its_seed(tmp_path):
    image = built(APPS / "frames", "sim").image

    def run(seed, file):
        with morgana.Network(seed=seed, delay="1ms", jitter="5ms", loss=0.2) as net, net.capture(file):
            me = net.host()
            with morgana.run(image, networks=[net]) as vm:
                vm.expect("address")
                for number in range(50):
                    me.send(bytes(6 * [255]) + bytes.fromhex(me.mac.replace(":", "")) + b"\x12\x34" + bytes([number]))
                net.sleep("1s")
                assert net.now == pytest.approx(1, abs=0.1)
        return vm.console, file.read_bytes()

    first = run(3, tmp_path / "first")
    assert run(3, tmp_path / "again") == first and run(4, tmp_path / "other")[1] != first[1]
    assert 20 < first[0].count("15 bytes") < 50


# ---- used wrongly ---------------------------------------------------------------------------------------

def test_a_closed_machine_still_tells_what_it_said_and_refuses_the_rest():
    with morgana.run(endings()) as vm:
        vm.wait()
    assert vm.status == 0 and "disconnected" in vm.console
    for call in (lambda: vm.send("x"), vm.end_input, vm.pause, vm.resume, lambda: vm.snapshot("x")):
        with pytest.raises(morgana.Misuse, match="is closed"):
            call()
    vm.close()
    vm.kill()
    assert vm.stop() == 0
    with morgana.Network() as net:
        pass
    for call in (lambda: net.now, lambda: net.sleep(1), net.heal, lambda: net.host("10.0.0.1/24"),
                 lambda: morgana.run(endings(), networks=[net])):
        with pytest.raises(RuntimeError, match="closed"):
            call()
    net.close()


@pytest.fixture
def interruptible():
    """A shell starts what it puts into the background with SIGINT ignored, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_a_wait(interruptible):
    with morgana.run(endings(), arguments=["--how=wait"]) as vm:
        vm.expect("started")
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            vm.wait(timeout=RUN_SECONDS)
        timer.join()
        assert vm.is_running


def test_any_thread_may_wait_and_another_may_close():
    vm = morgana.run(endings(), arguments=["--how=wait"])
    failures = []

    def wait():
        try:
            vm.wait(timeout=RUN_SECONDS)
        except Exception as failure:
            failures.append(failure)

    waiting = threading.Thread(target=wait)
    waiting.start()
    vm.expect("started")
    vm.close()
    waiting.join(RUN_SECONDS)
    assert not waiting.is_alive()
    assert not failures or isinstance(failures[0], morgana.Misuse)


def test_a_fork_does_not_get_the_parents_machines_and_does_not_end_them():
    with morgana.run(endings(), arguments=["--how=wait"]) as vm, morgana.Network() as net:
        vm.expect("started")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for call in (lambda: vm.console, lambda: vm.wait(1), vm.kill, lambda: net.now):
                    try:
                        call()
                        os._exit(2)
                    except RuntimeError:
                        pass
                del vm, net
                gc.collect()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert vm.is_running and vm.stop() == 0


def test_nonsense_is_refused_in_words():
    image = endings()
    for call, kind in ((lambda: morgana.App(7), TypeError), (lambda: morgana.App("a\0b").configure(), ValueError),
                       (lambda: morgana.App(ROOT).configure(7), TypeError),
                       (lambda: morgana.App(ROOT, options={"a": object()}), TypeError),
                       (lambda: morgana.App(ROOT, options={"a": "\ud800"}), ValueError),
                       (lambda: morgana.run(image, networks="tap"), TypeError), (lambda: morgana.run(image, networks=[7]), TypeError),
                       (lambda: morgana.run(image, disks=7), TypeError), (lambda: morgana.run(image, memory="much"), ValueError),
                       (lambda: morgana.run(image, arguments=[object()]), TypeError),
                       (lambda: morgana.Network(loss=2), ValueError), (lambda: morgana.Network(loss="much"), TypeError),
                       (lambda: morgana.Network(delay="20 parsecs"), ValueError), (lambda: morgana.Network(seed=-1), ValueError),
                       (lambda: morgana.Network(seed="7"), ValueError), (lambda: morgana.Network().host("nowhere"), ValueError),
                       (lambda: morgana.Network().host(mac="nothing"), ValueError),
                       (lambda: morgana.Network().inject(b"", to=7), ValueError),
                       (lambda: morgana.Network().cable(nonsense=1), TypeError),
                       (lambda: morgana.Network().partition("a", "b"), ValueError),
                       (lambda: morgana._driver.Machine(image.configuration._made, "x", [], {}, {}, 0, [7], [], "", "", 1.0), Exception),
                       (lambda: morgana._driver.Machine(None, "x", [], {}, {}, 0, [], [], "", "", 1.0), TypeError)):
        with pytest.raises(kind):
            call()


def test_nothing_is_left_behind():
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    def once():
        with morgana.Network() as net, morgana.run(endings()) as vm:
            net.host("10.0.0.1/24")
            vm.wait()
        gone = morgana.run(endings(), arguments=["--how=wait"])
        gone.expect("started")
        runner = gone._backend.runner
        del gone
        gc.collect()
        assert not pathlib.Path(f"/proc/{runner}").exists()

    once()
    gc.collect()
    before, threads = open_files(), threading.active_count()
    for _ in range(5):
        once()
    gc.collect()
    assert (open_files(), threading.active_count()) == (before, threads)


# ---- pytest and `morgana test` --------------------------------------------------------------------------

FAILING = """
def test_it_fails(vm):
    vm.expect("Hello", timeout=10)
    assert vm.wait(timeout=10) == 17


def test_a_network_fails(net):
    net.host("10.0.0.9/24").send(bytes.fromhex("ffffffffffff 020000000009 88b5") + b"the last words")
    net.sleep(1)
    assert False


def test_a_guest_crashes(boot):
    import morgana
    boot(morgana.App("ENDINGS", output="OUTPUT"), arguments=["--how=fault"]).expect("never", timeout=30)


def test_a_guest_is_stuck(boot):
    import morgana
    boot(morgana.App("ENDINGS", output="OUTPUT"), arguments=["--how=wait"]).expect("never", timeout=2)
"""


def test_morgana_test_runs_the_scaffold_and_its_exit_status_is_pytests(tmp_path):
    def run(*words):
        with Process([MORGANA, *words], cwd=tmp_path, env=dict(os.environ, NO_COLOR="1")) as process:
            return process.wait(600)

    run("new", "hello").expect(0)
    passed = run("test", "hello").expect(0)
    assert "1 passed" in passed.output
    failing = FAILING.replace("ENDINGS", str(shutil.copytree(APPS / "endings", tmp_path / "endings")))
    (tmp_path / "hello/tests/test_hello.py").write_text(failing.replace("OUTPUT", str(tmp_path / "endings/build")))
    failed = run("test", "hello", "-t", "unix").expect(1)
    assert "4 failed" in failed.output
    again = re.search(r"again: morgana (test hello -t unix -- -k test_it_fails --morgana-seed=\d+)\n", failed.output)
    assert "1 failed, 3 deselected" in run(*again[1].split()).expect(1).output
    [console] = (tmp_path / "hello/.morgana-failures").rglob("hello.console")
    assert console.read_text().endswith("Hello, world!\n")
    assert "no core of hello: it had ended" in failed.output
    [capture] = (tmp_path / "hello/.morgana-failures").rglob("network.pcap")
    assert b"the last words" in capture.read_bytes()
    for kept in (["endings.core", "endings.crash"], ["endings.core"]):
        [folder] = {path.parent for path in (tmp_path / "hello/.morgana-failures").rglob("endings.c*")
                    if (path.parent / "endings.crash").exists() == (len(kept) == 2)}
        assert (folder / "endings.core").read_bytes()[:4] == b"\x7fELF"
    (tmp_path / "hello/tests/test_hello.py").write_text("def test_it_fails(vm):\n    pass\n")
    absent = run("test", "hello", "-t", "nowhere").expect(1)
    assert "there is no target `nowhere`" in absent.output and "MORGANA_PLUGIN_PATH" in absent.output
    run("test", "hello", "-t", "nowhere", "--", "--morgana-skip-missing").expect(5)
    (tmp_path / "hello/tests/test_hello.py").unlink()
    (tmp_path / "hello/tests").rmdir()
    assert "[no-tests]" in run("test", "hello").expect(1).output
