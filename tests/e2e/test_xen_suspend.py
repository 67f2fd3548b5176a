"""Suspend on real Xen: `xl save` and `xl restore`, after which the guest is another domain with other backends, and `xl save
-c`, after which it goes on as it was. The test speaks to dom0 itself, in which the clients run."""
import re

import pytest
from support import ROOT, built
from test_xen_disk import make_disk, record_in
from test_xen_requests import Guest

APPS = ROOT / "tests/e2e/apps"
# What dom0's shell does: `work` in the background, which says how it ended.
STEP = "{{ {work}; }} > /tmp/{name} 2>&1; say \"DONE {name} $? $(tail -n 1 /tmp/{name})\""


class Suspended(Guest):
    def step(self, name, work):
        """Runs it in dom0 to its end; the last line that it said."""
        self.command(STEP.format(name=name, work=work))
        line = self.wait_for_line(f"@@DONE {name} ")
        status, _, said = line.removeprefix(f"@@DONE {name} ").partition(" ")
        assert status == "0", f"{line}\n{self.console}\n{self.lines}"
        return said

    def begin(self, name, work):
        self.command(STEP.format(name=name, work=work))

    def restored(self):
        """Saved, and restored as domain 2, whose console is read on."""
        self.step("save", "xl save 1 /guest/saved")
        self.step("restore", "xl restore /guest/saved; rm /guest/saved")
        self.command('cat < "$(xenstore-read /local/domain/2/console/tty)" >&6')

    def stop(self, domain):
        self.step("stop", f"xenstore-write /local/domain/{domain}/control/shutdown poweroff; tries=0; "
                          f"until [ \"$(xenstore-read /local/domain/{domain}/data/exit-status)\" = 0 ]; do "
                          "tries=$((tries + 1)); [ $tries -lt 300 ] || exit 1; usleep 100000; done")


@pytest.mark.parametrize("how", ["restored", "copied"])
def test_a_server_serves_on_and_its_connections_live(how):
    application = built(APPS / "streams", "xen-x86", ("--network.use=direct",))
    guest = Suspended(application.build_folder / "xen-x86/streams.elf", "--log=debug")
    try:
        guest.wait_for_text("ready")
        guest.step("address", "ip address add 10.0.0.1/24 dev net0")
        guest.begin("echo", "(echo before; until [ -e /tmp/go ]; do usleep 100000; done; echo after) | nc 10.0.0.2 7")
        guest.step("before", "tries=0; until grep -q before /tmp/echo; do tries=$((tries + 1)); "
                             "[ $tries -lt 300 ] || exit 1; usleep 100000; done")
        if how == "restored":
            guest.restored()
            guest.wait_for_text("connected again")
        else:
            guest.step("save", "xl save -c 1 /guest/saved")
        guest.command(": > /tmp/go")
        assert guest.wait_for_line("@@DONE echo ") == "@@DONE echo 0 after"
        assert guest.step("new", "echo anew | nc 10.0.0.2 7") == "anew"
        guest.stop(2 if how == "restored" else 1)
        # Time went on, by the guest's own clock.
        times = [float(one) for one in re.findall(r"^\[ *(\d+\.\d+)\]", guest.console, re.MULTILINE)]
        assert times == sorted(times)
    finally:
        guest.machine.kill()


def test_a_disk_is_written_on(tmp_path):
    application = built(APPS / "records", "xen-x86")
    path = make_disk(tmp_path / "disk.img")
    with path.open("r+b") as disk:
        guest = Suspended(application.build_folder / "xen-x86/records.elf", "", disk)
        try:
            guest.wait_for_text("kept 20\n")
            guest.restored()
            guest.wait_for_text("connected again")
            kept = int(re.findall(r"kept (\d+)\n", guest.console)[-1])
            guest.wait_for_text(f"kept {kept + 40}\n")
            guest.step("end", "xl destroy 2")
        finally:
            guest.machine.kill()
    kept = int(re.findall(r"kept (\d+)\n", guest.console)[-1])
    held = [record_in(path.read_bytes(), sector) for sector in range(64)]
    for number in range(max(kept - 63, 1), kept + 1):
        assert held[number % 64] >= number, f"record {number} is lost, {kept} were kept: {held}"
