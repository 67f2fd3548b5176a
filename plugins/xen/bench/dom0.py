"""The bench's files: Xen, a kernel and an initial ramdisk, made of Debian packages that apt's own configuration gives.

Nothing is installed; packages are unpacked in the cache."""
import lzma
import os
import pathlib
import re
import shutil
import stat
import struct
import subprocess

PACKAGES = ["xen-hypervisor-4.17-amd64", "xen-utils-4.17", "xen-utils-common", "xenstore-utils", "libxenmisc4.17",
            "libxencall1", "libxenevtchn1", "libxenforeignmemory1", "libxengnttab1", "libxenstore4", "libxentoollog1",
            "libxenhypfs1", "libxendevicemodel1", "libxentoolcore1", "libyajl2", "libncurses6", "libtinfo6",
            "busybox-static"]
KERNEL = "linux-image-amd64"
PROGRAMS = ["xl", "xenstored", "xenconsoled", "xen-init-dom0", "libxl-save-helper"]
# virtio_blk is last, because init has disks wait for each run.
MODULES = ["xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "virtio_pci", "virtio_console",
           "virtio_net", "bridge", "8021q", "xen-netback", "xen-blkback", "virtio_blk"]
# What is here and its place in the ramdisk.
SCRIPTS = {"init": "init", "agent": "bin/agent", "vif": "etc/xen/scripts/vif", "block": "etc/xen/scripts/block"}
LIBRARIES = "usr/lib/x86_64-linux-gnu"


class BenchError(Exception):
    pass


def run(*command, **arguments):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, timeout=300, **arguments)
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(map(str, command))}` failed:\n{done.stdout[-2000:]}")
    return done.stdout


def fetch(into):
    """Downloads and unpacks; the unpacked tree."""
    found = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", KERNEL))
    if not found:
        raise BenchError(f"apt knows no {KERNEL}: run apt-get update")
    downloads, root = into / "packages", into / "root"
    downloads.mkdir()
    try:
        run("apt-get", "-o", "APT::Sandbox::User=root", "download", *PACKAGES, found[1], cwd=downloads)
    except BenchError as error:
        raise BenchError(f"{error}\nthe packages of the bench cannot be fetched: run apt-get update") from None
    for package in sorted(downloads.glob("*.deb")):
        run("dpkg-deb", "-x", package, root)
    return root


def vmlinux_of(image):
    """A bzImage's payload (the kernel's Documentation/x86/boot.rst): so that the guest machine need not unpack it."""
    if image[0x202:0x206] != b"HdrS":
        raise BenchError("the kernel is no bzImage")
    offset, size = struct.unpack_from("<II", image, 0x248)
    begin = (image[0x1f1] + 1) * 512 + offset
    return lzma.LZMADecompressor().decompress(image[begin:begin + size])


def modules_in_order(folder):
    """Each of MODULES after what it depends on, as its own section says."""
    files = {path.name.removesuffix(".ko").replace("-", "_"): path for path in folder.rglob("*.ko")}
    order = []

    def add(name):
        path = files.get(name.replace("-", "_"))
        if path is None or path in order:       # built into the kernel, or there already
            return
        for needed in re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())[1].decode().split(","):
            if needed:
                add(needed)
        order.append(path)

    for module in MODULES:
        add(module)
    return order


def libraries_of(programs, root):
    """What the loader would take for them, from the unpacked packages before this host."""
    environment = dict(os.environ, LD_LIBRARY_PATH=f"{root / LIBRARIES}:{root / 'lib/x86_64-linux-gnu'}")
    found = {}
    for program in programs:
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", run("ldd", program, env=environment), re.MULTILINE):
            found[name] = pathlib.Path(path)
    # The loader itself, and what threads load when one is cancelled.
    found["libgcc_s.so.1"] = pathlib.Path("/lib/x86_64-linux-gnu/libgcc_s.so.1")
    return found


class Archive:
    """An initial ramdisk: cpio's "newc" format (the kernel's Documentation/driver-api/early-userspace)."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.number = 0

    def entry(self, name, mode, data=b""):
        self.number += 1
        fields = [self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name.encode()) + 1, 0]
        self.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        self.write(data)

    def write(self, data):
        self.file.write(data)
        self.file.write(bytes(-self.file.tell() % 4))

    def folder(self, name):
        self.entry(name, stat.S_IFDIR | 0o755)

    def program(self, name, path):
        self.entry(name, stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())

    def link(self, name, target):
        self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def close(self):
        self.entry("TRAILER!!!", 0)
        self.file.close()


def make_ramdisk(root, path, core=None):
    archive = Archive(path)
    for folder in ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "etc", "etc/xen", "etc/xen/scripts", "modules", "lib", "lib64", "usr",
                   "usr/bin", "usr/sbin", "usr/lib", "usr/lib/xen-4.17", "usr/lib/xen-4.17/bin", "var", "var/lib",
                   "var/lib/xen", "var/log", "var/log/xen"]:
        archive.folder(folder)
    archive.link("var/run", "/run")
    archive.link("var/lock", "/run/lock")
    busybox = root / "bin/busybox"
    archive.program("bin/busybox", busybox)
    for applet in run(busybox, "--list").split():
        if applet != "busybox":
            archive.link(f"bin/{applet}", "busybox")
    for script, place in SCRIPTS.items():
        archive.program(place, pathlib.Path(__file__).parent / script)
    tools = root / "usr/lib/xen-4.17/bin"
    for program in PROGRAMS:
        archive.program(f"usr/lib/xen-4.17/bin/{program}", tools / program)
        archive.link(f"usr/sbin/{program}", f"../lib/xen-4.17/bin/{program}")
    if core:
        archive.program("bin/xen-core", core)
    archive.program("usr/bin/xenstore", root / "usr/bin/xenstore")
    for what in ("ls", "read", "write"):
        archive.link(f"usr/bin/xenstore-{what}", "xenstore")
    archive.entry("etc/xen/xl.conf", stat.S_IFREG | 0o644)
    for name, library in sorted(libraries_of([tools / p for p in PROGRAMS] + [root / "usr/bin/xenstore", *([core] if core else [])], root).items()):
        archive.program(f"lib/{name}", library)
    archive.program("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2")
    modules = modules_in_order(root / "lib/modules")
    for module in modules:
        archive.program(f"modules/{module.name}", module)
    archive.entry("modules/order", stat.S_IFREG | 0o644, "".join(f"{m.name}\n" for m in modules).encode())
    archive.close()


def build(into, core):
    """Makes xen, vmlinux and dom0.cpio in the folder `into`; `core` is our program that reads a guest's memory."""
    root = fetch(into)
    run("sh", "-c", 'gzip -dc "$0" > "$1"', next(root.glob("boot/xen-4.17-*.gz")), into / "xen")
    (into / "vmlinux").write_bytes(vmlinux_of(next(root.glob("boot/vmlinuz-*")).read_bytes()))
    make_ramdisk(root, into / "dom0.cpio", core)
    for unpacked in (root, into / "packages"):
        shutil.rmtree(unpacked)
