"""The target xen-x86, booted bare under QEMU: the loop of a tenth of a second. What Xen itself does is in test_xen_bench.py."""
import re
import shutil
import struct
import subprocess
import threading

import pytest
from support import ROOT, RUN_SECONDS, Process, built, morgana

APPS = ROOT / "tests/e2e/apps"
TARGET = "xen-x86"
MACHINES = ["microvm", "q35", "pc"]
REPORT = re.compile(r"^---- morgana crash report ----\n(.*?)^---- end of crash report ----$", re.MULTILINE | re.DOTALL)


def test_the_emulator_is_installed():
    assert shutil.which("qemu-system-x86_64"), "install it: apt-get install qemu-system-x86"


@pytest.fixture(scope="module", params=MACHINES)
def endings(request, tmp_path_factory):
    source = tmp_path_factory.mktemp(request.param) / f"endings-{request.param}"
    shutil.copytree(APPS / "endings", source, ignore=shutil.ignore_patterns("build"))
    with (source / "unikernel.toml").open("a") as description:
        description.write(f'\n[target.{TARGET}]\nmachine = "{request.param}"\n')
    return built(source, TARGET)


# ---- ends ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code", [0, 1, 124, 128, 255])
def test_the_applications_own_code_arrives(endings, code):
    endings.run(f"--code={code}").expect(code)


def test_a_stop_is_orderly(endings):
    with endings.start("--how=wait") as guest:
        guest.wait_for("first: info: started")
        ended = guest.stop().expect(0)
    assert re.findall(r"(first|second): info: disconnecting", ended.output) == ["second", "first"]


def test_a_guest_that_reaches_its_memory_is_71(endings):
    assert "reason: out of memory" in endings.run("--how=memory", driver=["--memory=8MiB"]).expect(71).output


@pytest.mark.parametrize("how, reason", [("assertion", "assertion"), ("fault", "fault"), ("trap", "assertion"),
                                         ("overflow", "stack overflow"), ("smash", "stack smashed"),
                                         ("terminate", "assertion")])
def test_a_crash_is_70_with_a_report(how, reason):
    ended = built(APPS / "endings", TARGET).run(f"--how={how}").expect(70)
    assert REPORT.search(ended.output)[1].startswith(f"reason: {reason}\n")


def test_arguments_arrive_whole():
    ended = built(APPS / "endings", TARGET).run(r"--code=a b\c,d").expect(64)
    assert r"a b\c,d" in ended.output


def test_every_level_of_the_conformance_kit_is_passed():
    said = morgana("plugin", "check", TARGET).expect(0).output
    assert said.endswith(f"{TARGET}: 8 passed, 0 failed\n")


# ---- examples -----------------------------------------------------------------------------------------

def test_hello_says_it_four_times_a_second_apart():
    ended = built(ROOT / "examples/hello", TARGET).run().expect(0)
    times = [float(time) for time in re.findall(r"^\[ *(\d+\.\d+)\] hello: info: hello$", ended.output, re.MULTILINE)]
    assert len(times) == 4
    assert all(later - sooner >= 0.999 for sooner, later in zip(times, times[1:]))


def image_of(application):
    [image] = (application.build_folder / TARGET).glob("*.elf")
    return image


def test_hello_is_at_most_64_kib():
    assert image_of(built(ROOT / "examples/hello", TARGET)).stat().st_size <= 64 * 1024


def test_the_website_with_tcp_ip_is_at_most_528_kib():
    # In the ordinary setting, which trades size for speed; test_xen_network.py holds the smallest one.
    website = image_of(built(ROOT / "examples/static_website", TARGET, ("--network.use=direct",)))
    assert website.stat().st_size <= 528 * 1024


def test_the_smallest_hello_is_at_most_48_kib_and_runs():
    smallest = image_of(built(ROOT / "examples/hello", TARGET, ("--small=true",)))
    assert smallest.stat().st_size <= 48 * 1024
    assert "usage: hello" in boot(smallest, arguments="--help").expect(2 * 63 + 1).output


def boot(image, *, machine="microvm", memory="32", arguments="", more=()):
    """Without the runner, as one would by hand."""
    command = ["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-cpu", "max", "-m", memory, "-display", "none",
               "-nodefaults", "-no-reboot", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
               "-kernel", image, "-append", arguments, *more]
    with Process(command) as machine:
        return machine.wait()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("memory", ["2", "3", "64", "3072", "4096"])
def test_memory_from_two_mib_to_four_gib(machine, memory):
    # From 3 GiB on a part of it lies above 4 GiB.
    ended = boot(image_of(built(ROOT / "examples/hello", TARGET)), machine=machine, memory=memory, arguments="--help")
    assert "usage: hello" in ended.expect(2 * 63 + 1).output


def test_one_mib_of_memory_is_enough_for_an_image_that_is_loaded_low():
    image = image_of(built(ROOT / "examples/hello", TARGET, ("--low=true",)))
    assert "usage: hello" in boot(image, memory="1", arguments="--help").expect(2 * 63 + 1).output


def test_a_command_line_that_is_too_long_is_said():
    ended = boot(image_of(built(ROOT / "examples/hello", TARGET)), arguments="x" * 4096)
    assert "boot failed: the command line is longer than 4,095 bytes" in ended.expect(2 * 70 + 1).output


def test_from_entry_to_the_end_of_an_empty_application_takes_at_most_30_000_instructions(tmp_path):
    plugin, out = tmp_path / "count.so", tmp_path / "count"
    subprocess.run(["clang-22", "-O2", "-shared", "-fPIC", "-o", plugin, ROOT / "tests/e2e/count_instructions.c"],
                   check=True)
    image = image_of(built(ROOT / "examples/noop", TARGET))
    [entry] = struct.unpack_from("<Q", image.read_bytes(), 0x18)     # e_entry
    boot(image, more=["-plugin", f"{plugin},from={entry:#x},out={out}"]).expect(1)
    count = int(out.read_text())
    print(f"{count} instructions")
    assert 1000 < count <= 30_000


# ---- randomness ---------------------------------------------------------------------------------------

def test_without_a_source_there_is_no_randomness():
    image = image_of(built(ROOT / "tests/conformance/guests/entropy", TARGET))
    ended = boot(image, more=["-cpu", "qemu64"])
    assert "no source of randomness that counts" in ended.output
    assert "kit:not-seeded" in ended.output and "kit:random" not in ended.output
    assert "kit:random" in boot(image, more=["-cpu", "qemu64,+rdrand"]).output


# ---- vector registers ---------------------------------------------------------------------------------

@pytest.mark.parametrize("processor, bits", [("max", 256), ("max,-avx,-avx2", 128), ("qemu64", 128)])
def test_vector_registers_live_through_an_interrupt(processor, bits):
    """SSE's, and AVX's where the processor has it: without it nothing of it is switched on."""
    image = image_of(built(APPS / "vector_state", TARGET))
    with subprocess.Popen(["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-cpu", processor, "-m", "32", "-display",
                           "none", "-nodefaults", "-no-reboot", "-serial", "stdio", "-device",
                           "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel", image], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as machine:
        stuck = threading.Timer(RUN_SECONDS, machine.kill)
        stuck.start()
        while "waiting for input" not in (line := machine.stdout.readline()):
            assert line, "the guest ended before it waited"
        assert f"{bits} bits each" in line
        machine.stdin.write("x")
        machine.stdin.flush()
        said = machine.stdout.read()
        stuck.cancel()
    assert "vectors: info: all registers are as they were" in said


# ---- attacks ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how, reason, message", [
    ("write-code", "fault", "write to code"),
    ("write-constant", "fault", "write to constant data"),
    ("execute-data", "fault", "execution of data"),
    ("execute-heap", "fault", "execution of data"),
    ("read-null", "fault", "access through a null pointer"),
    ("overflow", "stack overflow", "the stack is full"),
    ("smash", "stack smashed", "a function wrote past the end of a local array"),
])
def test_an_attack_dies_with_the_right_report(how, reason, message):
    ended = built(APPS / "attacks", TARGET).run(f"--how={how}").expect(70)
    assert REPORT.search(ended.output)[1].startswith(f"reason: {reason}\nmessage: {message}\n")
    assert re.search(r"#0 .*_on_purpose\b", ended.output) or how == "smash"


def test_an_attack_that_is_none_ends_well():
    built(APPS / "attacks", TARGET).run("--how=none").expect(0)


def stack_pointers(application, *arguments):
    return [re.search(r" sp (\S+)", application.run("--how=read-null", *arguments).output)[1] for _ in range(3)]


def test_each_boot_has_its_own_addresses():
    assert len(set(stack_pointers(built(APPS / "attacks", TARGET)))) == 3


def test_each_boot_has_its_own_canary():
    application = built(APPS / "attacks", TARGET)
    canaries = {int(re.search(r"canary (\d+)", application.run().expect(0).output)[1]) for _ in range(3)}
    assert len(canaries) == 3 and 0 not in canaries


def test_a_boot_option_fixes_the_addresses():
    assert len(set(stack_pointers(built(APPS / "attacks", TARGET), "morgana.layout=fixed"))) == 1
