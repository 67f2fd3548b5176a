"""The runner of a Xen host beside a real xl: in the bench's dom0, with a Python, the runner and images brought along."""
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile

from support import MORGANA, ROOT, built
from test_xen_disk import make_disk, record_in
from test_xen_requests import CORE, PAYLOAD_PLACE, Drive, Machine, kept_machine
from test_xen_suspend import Suspended

APPS = ROOT / "tests/e2e/apps"
PYTHON = pathlib.Path("/usr/bin/python3")
RUNNER = MORGANA.parent.parent / "libexec/morgana/xen-x86-runner"
BENCH, DRIVE = ROOT / "plugins/xen/bench", ROOT / "tests/e2e/xen_host_drive.py"
# What both programs import; Python itself says which files that is.
MODULES = """import sys
before = sys.path[:]
sys.path.insert(0, sys.argv[1])
import xen_host, base64, select, shutil, socket, struct, encodings.ascii, encodings.idna, encodings.latin_1
for module in list(sys.modules.values()):
    if path := getattr(module, "__file__", None): print(path)
"""


def libraries_of(program):
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {path for path in re.findall(r"(/\S+) \(0x", said) if "ld-linux" not in path}


def what_is_brought_along():
    """Files of this machine, by their places in dom0."""
    said = subprocess.run([PYTHON, "-B", "-c", MODULES, BENCH], stdout=subprocess.PIPE, text=True, check=True).stdout
    modules = {path for path in said.split() if not path.startswith(str(BENCH))}
    files = {path: path for path in modules}
    for program in (PYTHON, RUNNER, *(path for path in modules if path.endswith(".so"))):
        # Beside those that dom0 has.
        files |= {f"/lib/x86_64-linux-gnu/{os.path.basename(path)}": path for path in libraries_of(program)}
    files["/host/bin/python3"] = PYTHON
    files["/host/bin/xen-x86-runner"] = RUNNER
    for path in BENCH.glob("xen_host.py"), BENCH.glob("guest.py"), BENCH.glob("xen_core.py"):
        files |= {f"/host/bin/xen-bench/{one.name}": one for one in path}
    files |= {f"/host/{one.name}": one for one in (DRIVE, DRIVE.with_name("runner_dialogue.py"))}
    files["/host/streams.elf"] = built(APPS / "streams", "xen-x86", ("--network.use=direct",)).build_folder / "xen-x86/streams.elf"
    files["/host/records.elf"] = built(APPS / "records", "xen-x86").build_folder / "xen-x86/records.elf"
    # The host's names for what the bench calls otherwise.
    files["/etc/xen/scripts/vif-bridge"] = BENCH / "vif"
    return files


def packed(files):
    disk = tempfile.TemporaryFile()
    with tarfile.open(fileobj=disk, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for place, path in sorted(files.items()):
            data = pathlib.Path(path).read_bytes()
            about = tarfile.TarInfo(place.lstrip("/"))
            about.size, about.mode = len(data), 0o755
            archive.addfile(about, io.BytesIO(data))
    disk.flush()
    return disk


class Dom0(Suspended):
    """The bench's dom0 without a guest, with what was packed and with a disk."""

    def __init__(self, payload, disk):
        empty = tempfile.TemporaryFile()
        empty.truncate(1 << 20)
        self.machine = Machine(kept_machine(CORE), False, [Drive(empty.fileno()), Drive(payload.fileno()),
                                                       Drive(disk.fileno(), read_only=False)], ["-incoming", "defer"])
        self.console, self.lines = "", []
        self.machine.resume()
        size = os.fstat(payload.fileno()).st_size
        for place in range(3):
            self.step("attach", f"attach {PAYLOAD_PLACE + place}")
        self.step("unpack", f"head -c {size} /dev/vdb | tar x -C /")
        self.step("address", "ip address add 10.0.0.1/24 dev net0")


def test_the_runner_serves_stops_kills_and_gives_disks_by_a_real_xl(tmp_path):
    path = make_disk(tmp_path / "disk.img")
    with packed(what_is_brought_along()) as payload, path.open("r+b") as disk:
        dom0 = Dom0(payload, disk)
        try:
            said = dom0.step("drive", "PATH=/host/bin:$PATH "
                                      "/host/bin/python3 -B /host/xen_host_drive.py /host/bin/xen-x86-runner")
        finally:
            dom0.machine.kill()
    assert json.loads(said) == [["by way of xl", 0, "finished"], [137, "killed"],
                                [True, "record 9\n", True, 0, "finished"]]
    assert [record_in(path.read_bytes(), sector) for sector in range(12)] == [0, *range(1, 11), 0]
