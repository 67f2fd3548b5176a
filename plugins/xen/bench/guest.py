"""A guest as xl is told of it: its configuration."""
import random

# Of xvda, and from one disk to the next (Xen's io/blkif.h).
FIRST_DISK, DISK_STEP = 202 << 8, 16


def quoted(text):
    """A text of xl's configuration."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def address():
    """A hardware address of Xen's own range."""
    return "00:16:3e:" + ":".join(f"{random.getrandbits(8) & mask:02x}" for mask in (0x7f, 0xff, 0xff))


def interface(network, bridge, script):
    return quoted(f"mac={network['mac'] or address()},bridge={bridge},mtu={network['mtu']}"
                  + (f",script={script}" if script else ""))


def disk_name(number):
    return "xvd" + "abcdefghijklmnop"[number]


def disk(number, target, read_only, script):
    return quoted(f"format=raw,vdev={disk_name(number)},access={'ro' if read_only else 'rw'},backendtype=phy,"
                  + (f"script={script}," if script else "") + f"target={target}")


def names(disks):
    """Which disk has which name in the guest, as keys below the domain's `data` and their values: a guest that finds any
    looks for its own there and nowhere else."""
    return [("disks", one["name"], FIRST_DISK + DISK_STEP * number) for number, one in enumerate(disks)]


def configuration(name, image, memory_kib, command_line, interfaces, disks):
    """`interfaces` and `disks` as the functions above make them. An ended guest stays: its exit status is asked for."""
    return f"name = {quoted(name)}\ntype = \"pvh\"\nkernel = {quoted(image)}\nmemory = {(memory_kib + 1023) // 1024}\n" \
           f"vcpus = 1\ntsc_mode = \"native\"\nextra = {quoted(command_line)}\n" \
           f"vif = [{', '.join(interfaces)}]\ndisk = [{', '.join(disks)}]\n" \
           'on_poweroff = "preserve"\non_reboot = "preserve"\non_crash = "preserve"\n'
