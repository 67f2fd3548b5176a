#!/usr/bin/python3
"""Measures guests of ours beside a Linux 6.1 PVH guest with nginx and iperf3, on one real Xen in the same run. Prints an
object of JSON a line. `scripts/bench xen` runs it.

The machine is the bench's (plugins/xen/bench) with more memory, booted for this alone. The clients run in its dom0: what
is measured passes netback and netfront and nothing of the machine around. Guests take turns; the ratio of each pair of
turns is what counts. Processor time of a guest is what Xen says of it (`xl list`)."""
import json
import os
import pathlib
import re
import shutil
import stat
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "plugins/xen/bench")]
import dom0                             # noqa: E402
import guest as configuration           # noqa: E402
import machine as emulated              # noqa: E402
import xen_bench                        # noqa: E402
from support import built               # noqa: E402

TURNS = int(os.environ.get("MORGANA_BENCH_TURNS", "3"))
LOAD_SECONDS = 4
MACHINE_MIB, DOM0_MIB, LINUX_MIB, OUR_MIB = 1400, 640, 192, 32
COMMAND_SECONDS = 300
KERNEL_WORDS = "console=hvc0 quiet mitigations=off init_on_alloc=0 audit=0 nowatchdog ipv6.disable=1"
WEBSITE, IPERF3, LINUX = range(3)       # bridges net0 to net2; 10.0.N.1 is dom0's end, 10.0.N.2 the guest's

GUEST_INIT = """#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs devtmpfs /dev; mount -t tmpfs tmpfs /tmp
exec > /dev/hvc0 2>&1
while read -r module; do insmod "/modules/$module"; done < /modules/order
ip link set lo up; ip link set eth0 up; ip address add 10.0.2.2/24 dev eth0
/bin/nginx -c /nginx.conf -e /tmp/error.log &
/bin/iperf3 -s > /dev/null &
while :; do sleep 1000; done
"""
NGINX = """
user root; worker_processes 1; daemon off; master_process off; pid /tmp/nginx.pid; error_log /tmp/error.log;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 100000000;
  open_file_cache max=100; open_file_cache_valid 1h; default_type text/html;
  client_body_temp_path /tmp; proxy_temp_path /tmp; fastcgi_temp_path /tmp; uwsgi_temp_path /tmp; scgi_temp_path /tmp;
  server { listen 8080; root /www; }
}
"""


def program(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        sys.exit(f"bench: {name} is not there: apt-get install {name}")
    return pathlib.Path(found)


def libraries(programs):
    """What the loader takes for them, by name; besides the loader itself."""
    found = {}
    for one in programs:
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", dom0.run("ldd", one), re.MULTILINE):
            found[name] = pathlib.Path(path)
    found["libgcc_s.so.1"] = pathlib.Path("/lib/x86_64-linux-gnu/libgcc_s.so.1")
    return found


def linux_ramdisk(root, path):
    """A Linux guest made as the bench makes its dom0: the kernel's own modules, busybox, nginx and iperf3."""
    archive = dom0.Archive(path)
    for folder in ("bin", "sbin", "dev", "proc", "sys", "tmp", "etc", "modules", "lib", "lib64", "www"):
        archive.folder(folder)
    archive.program("bin/busybox", root / "bin/busybox")
    for applet in dom0.run(root / "bin/busybox", "--list").split():
        if applet != "busybox":
            archive.link(f"bin/{applet}", "busybox")
    servers = [program("nginx"), program("iperf3")]
    for one in servers:
        archive.program(f"bin/{one.name}", one)
    for name, library in libraries(servers).items():
        archive.program(f"lib/{name}", library)
    archive.program("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2")
    plain = stat.S_IFREG | 0o644
    archive.entry("etc/passwd", plain, b"root:x:0:0:root:/:/bin/sh\n")
    archive.entry("etc/group", plain, b"root:x:0:\n")
    archive.entry("nginx.conf", plain, NGINX.encode())
    archive.entry("www/bench.html", plain, (ROOT / "examples/static_website/htdocs/bench.html").read_bytes())
    archive.entry("init", stat.S_IFREG | 0o755, GUEST_INIT.encode())
    dom0.MODULES = ["xen-netfront"]
    modules = dom0.modules_in_order(root / "lib/modules")
    for module in modules:
        archive.program(f"modules/{module.name}", module)
    archive.entry("modules/order", plain, "".join(f"{m.name}\n" for m in modules).encode())
    archive.close()


def make_files(folder):
    """Xen, its dom0 and the Linux guest."""
    root = dom0.fetch(folder)
    dom0.run("sh", "-c", 'gzip -dc "$0" > "$1"', next(root.glob("boot/xen-4.17-*.gz")), folder / "xen")
    (folder / "vmlinux").write_bytes(dom0.vmlinux_of(next(root.glob("boot/vmlinuz-*")).read_bytes()))
    dom0.run("strip", "-s", folder / "vmlinux")
    dom0.make_ramdisk(root, folder / "dom0.cpio")
    linux_ramdisk(root, folder / "linux.cpio")
    shutil.rmtree(root), shutil.rmtree(folder / "packages")


def image_of(name):
    application = built(ROOT / "examples" / name, "xen-x86", ("--network.use=direct",))
    [image] = (application.build_folder / "xen-x86").glob("*.elf")
    return image


def xl_configuration(number, name, image, memory_mib, words):
    interface = configuration.interface({"mac": "", "mtu": 1500}, f"net{number}", "vif")
    return configuration.configuration(name, image, memory_mib * 1024, words, [interface], [])


def payload(folder):
    """What dom0 gets as a disk: the guests, and the clients."""
    path = folder / "payload.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        clients = [program("wrk"), program("iperf3")]
        for one in clients:
            archive.add(os.path.realpath(one), f"client/{one.name}")
        for name, library in libraries(clients).items():
            archive.add(os.path.realpath(library), f"client/{name}")
        archive.add(image_of("static_website"), "website.elf")
        archive.add(image_of("iperf3"), "iperf3.elf")
        archive.add(folder / "vmlinux", "vmlinux")
        archive.add(folder / "linux.cpio", "linux.cpio")
        for number, name, memory, words in ((WEBSITE, "website", OUR_MIB, "--network.ipv4=10.0.0.2/24"),
                                            (IPERF3, "iperf3", OUR_MIB, "--network.ipv4=10.0.1.2/24"),
                                            (LINUX, "linux", LINUX_MIB, KERNEL_WORDS)):
            is_linux = number == LINUX
            text = xl_configuration(number, name, "/guest/vmlinux" if is_linux else f"/guest/{name}.elf", memory, words)
            if is_linux:
                text += 'ramdisk = "/guest/linux.cpio"\n'
            file = folder / f"{name}.cfg"
            file.write_text(text)
            archive.add(file, f"{name}.cfg")
    with path.open("ab") as disk:
        disk.truncate(-(-path.stat().st_size // 512) * 512)
    return path


class Dom0:
    """Runs commands in the machine's dom0, one after the other."""

    def __init__(self, folder, disk):
        emulated.MEMORY_MIB = MACHINE_MIB
        xen = xen_bench.XEN.replace("dom0_mem=192M", f"dom0_mem={DOM0_MIB}M")
        self.machine = emulated.Machine(folder, True, [emulated.Drive(disk.fileno())],
                                        ["-kernel", "xen", "-append", xen, "-initrd", f"vmlinux {xen_bench.LINUX},dom0.cpio"])
        self.count = 0
        self.machine.wait_for_line("@@READY", COMMAND_SECONDS)

    def run(self, command, seconds=COMMAND_SECONDS):
        """What it says; a status other than 0 fails."""
        self.count += 1
        script = f"({command}) > /tmp/said 2>&1; status=$?; while read -r line; do say \"OUT $line\"; done < /tmp/said; " \
                 f"say \"END {self.count} $status\""
        self.machine.commands.sendall(script.encode() + b"\n")
        said, until = [], time.monotonic() + seconds
        while True:
            while (line := self.machine.next_line()) is None:
                self.machine.said += self.machine.receive(self.machine.commands, f"the end of `{command}`", until)
            word, _, rest = line.partition(" ")
            if word == "@@OUT":
                said.append(rest)
            elif word == "@@END" and rest.startswith(f"{self.count} "):
                if rest != f"{self.count} 0":
                    sys.exit(f"bench: `{command}` in dom0 failed ({rest}):\n" + "\n".join(said))
                return "\n".join(said)

    def processor_seconds(self, name):
        """Name, number, memory, processors, state, time."""
        for line in self.run("xl list").splitlines():
            if (words := line.split()) and words[0] == name:
                return float(words[-1])
        sys.exit(f"bench: there is no guest {name} any more")


def client(name, words):
    return f"LD_LIBRARY_PATH=/guest/client /guest/client/{name} {words}"


def requests(dom, number):
    said = dom.run(client("wrk", f"-t1 -c32 -d{LOAD_SECONDS}s http://10.0.{number}.2:8080/bench.html"))
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"bench: the server failed under load\n{said}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])


def new_connections(dom, number):
    said = dom.run(client("wrk", f"-t1 -c32 -d{LOAD_SECONDS}s -H 'Connection: close' http://10.0.{number}.2:8080/bench.html"))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])


def throughput(dom, number, *words):
    """Mbit/s, as the receiver counts them."""
    said = dom.run(client("iperf3", f"-c 10.0.{number}.2 -t {LOAD_SECONDS} -f m {' '.join(words)}"))
    return float(re.search(r"([\d.]+) Mbits/sec\s+receiver", said)[1])


WORKLOADS = [
    ("HTTP keep-alive, wrk -t1 -c32, 612 bytes", "requests/s", WEBSITE, "website", requests),
    ("HTTP, a connection each", "requests/s", WEBSITE, "website", new_connections),
    ("TCP into the guest, iperf3", "Mbit/s", IPERF3, "iperf3", throughput),
    ("TCP out of the guest, iperf3 -R", "Mbit/s", IPERF3, "iperf3", lambda dom, number: throughput(dom, number, "-R")),
]


def measure(dom):
    for what, unit, number, name, work in WORKLOADS:
        rates, costs = {"ours": [], "linux": []}, {"ours": [], "linux": []}
        for turn in range(TURNS):
            pair = [("ours", name, number), ("linux", "linux", LINUX)]
            for who, domain, network in pair if turn % 2 == 0 else reversed(pair):
                before = dom.processor_seconds(domain)
                rates[who].append(work(dom, network))
                spent = max(dom.processor_seconds(domain) - before, 0.05)
                costs[who].append(spent / (rates[who][-1] * LOAD_SECONDS))
        middle = statistics.median
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates["linux"])]
        cheaper = [theirs / ours for ours, theirs in zip(costs["ours"], costs["linux"])]
        for value, text, of, promise in (
                (middle(rates["ours"]), what, unit, ""),
                (middle(rates["linux"]), f"{what}: Linux in the same run", unit, ""),
                (middle(ratios), f"{what}: times Linux, median of turns", "×", "≥ 1"),
                (middle(cheaper), f"{what}: for the guest's processor time, times Linux", "×", "")):
            print(json.dumps({"what": text, "value": value, "unit": of, "promise": promise}), flush=True)


def main():
    with tempfile.TemporaryDirectory(prefix="morgana-beside-linux-") as top:
        folder = pathlib.Path(top)
        make_files(folder)
        with payload(folder).open("rb") as disk:
            size = os.fstat(disk.fileno()).st_size
            dom = Dom0(folder, disk)
            try:
                dom.run(f"attach 5; head -c {size} /dev/vda | tar x -C /guest")
                dom.run("for n in 0 1 2; do ip address add 10.0.$n.1/24 dev net$n; done")
                for name, number in (("website", WEBSITE), ("iperf3", IPERF3), ("linux", LINUX)):
                    dom.run(f"xl create /guest/{name}.cfg")
                for number, port in ((WEBSITE, 8080), (IPERF3, 5201), (LINUX, 8080), (LINUX, 5201)):
                    dom.run(f"tries=0; until nc -w 2 10.0.{number}.2 {port} < /dev/null > /dev/null; do "
                            "tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1; sleep 1; done")
                measure(dom)
            finally:
                dom.machine.kill()


if __name__ == "__main__":
    main()
