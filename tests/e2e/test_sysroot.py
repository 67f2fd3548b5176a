"""The C and C++ libraries of images that bring their own: packages/musl.toml and packages/llvm-runtimes.toml."""
import json
import os
import pathlib
import re
import subprocess

import pytest
from support import BUILD_SECONDS, MORGANA, ROOT, RUN_SECONDS, Process, morgana

SOURCES = ROOT / "tests/e2e/sysroot"
NAMES = {"musl": ["libc.a"], "llvm-runtimes": ["libc++.a", "libc++abi.a", "librt.a", "libunwind.a"]}
# What the unwinder asks for; an image with a link script of its own defines them there.
TABLES = [f"-Wl,--defsym=__{table}_start=ADDR(.{table})" for table in ("eh_frame", "eh_frame_hdr")] + \
         [f"-Wl,--defsym=__{table}_end=ADDR(.{table})+SIZEOF(.{table})" for table in ("eh_frame", "eh_frame_hdr")]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


class Sysroot:
    """As an application sees it: folders of headers in its compile commands, archives in its build folder."""

    def __init__(self, folder):
        morgana("new", "app", cwd=folder).expect()
        self.application = folder / "app"
        morgana("configure", "-t", "unix", self.application, "--static=true").expect()
        morgana("build", self.application).expect()
        build = self.application / "build"
        self.state = json.loads((build / "morgana.json").read_text())
        words = json.loads((build / "compile_commands.json").read_text())[0]["arguments"]
        folders = [words[at + 1] for at, word in enumerate(words) if word == "-isystem"]
        self.cxx_include = [one for one in folders if one.endswith("/c++/v1")]
        self.include = [one for one in folders if "/sysroot/include/unwind" in one or one.endswith("/sysroot/include")]
        assert len(self.cxx_include) == 1 and len(self.include) == 2
        self.archives = {name: build / "unix/package_store" / package / name
                         for package, names in NAMES.items() for name in names}
        self.image = build / "unix/app"

    def compile(self, source, output, *more):
        cxx = source.suffix == ".cpp"
        include = [word for one in (self.cxx_include if cxx else []) + self.include for word in ("-isystem", one)]
        run("clang++-22" if cxx else "clang-22", "--target=x86_64-linux-musl", "-nostdlibinc", "-Os", "-fPIE", *include,
            *(["-nostdinc++", "-std=c++23"] if cxx else []), *more, "-c", source, "-o", output)

    def link(self, objects, output, *more):
        run("clang++-22", "--target=x86_64-linux-musl", "-nostdlib", "-static-pie", "-fuse-ld=lld",
            "-Wl,--gc-sections", "-Wl,--no-dependent-libraries", "-Wl,-z,pack-relative-relocs", *TABLES, *more, *objects,
            *self.archives.values(), "-o", output)


@pytest.fixture(scope="module")
def sysroot(tmp_path_factory):
    return Sysroot(tmp_path_factory.mktemp("sysroot"))


def test_no_archive_holds_a_system_call_instruction(sysroot):
    for archive in sysroot.archives.values():
        if archive.name == "libc++.a":
            continue    # bitcode: there are no instructions yet, and its sources have no assembler
        code = run("llvm-objdump-22", "--disassemble", "--no-show-raw-insn", archive)
        assert re.search(r"\tret", code), f"{archive} was not disassembled"
        assert re.findall(r"\t(?:syscall|sysenter|int\s+\$0x80)\b.*", code) == []


def test_a_crash_of_the_c_library_is_a_fault_in_ring_0_too(sysroot):
    code = run("llvm-objdump-22", "--disassemble", "--no-show-raw-insn", sysroot.archives["libc.a"])
    assert not re.search(r"\thlt\b", code)
    assert "\tud2" in code


def test_nothing_in_an_archive_tells_where_it_was_made(sysroot):
    cache = sysroot.archives["libc.a"].resolve().parents[2]
    assert cache.name == "morgana"
    for archive in sysroot.archives.values():
        content = archive.read_bytes()
        for place in (cache, ROOT, sysroot.application):
            assert str(place).encode() not in content


@pytest.mark.parametrize("flags", [[], ["-flto=thin"]], ids=["native", "thin-lto"])
def test_c_and_cxx_work_on_one_function_for_system_calls(sysroot, tmp_path, flags):
    sysroot.compile(SOURCES / "features.cpp", tmp_path / "features.o", *flags)
    sysroot.compile(SOURCES / "os_syscall.c", tmp_path / "os_syscall.o")
    sysroot.link([tmp_path / "features.o", tmp_path / "os_syscall.o"], tmp_path / "features", *flags)
    said = Process([tmp_path / "features", "one"]).wait(RUN_SECONDS).expect(0).output
    assert said == """puts
arguments 2 one
map a unordered_map 1000 999
coroutine 3, out of a coroutine
unwound
unwound
exception deep
hello thread_local
chrono 1, 3
charconv 0.1 1
snprintf  3.14|42  |x
once
no second thread, 1
goodbye thread_local
"""
    # Hardened: an index beyond the end is a trap.
    assert Process([tmp_path / "features", "overrun"]).wait(RUN_SECONDS).code == -4


def test_what_is_not_defined_is_one_function_and_main(sysroot, tmp_path):
    done = subprocess.run(["ld.lld-22", "-pie", "--no-dynamic-linker", "--no-dependent-libraries", "--error-limit=0",
                           "--whole-archive", *sysroot.archives.values(), "-o", tmp_path / "all"],
                          capture_output=True, text=True, timeout=BUILD_SECONDS)
    missing = set(re.findall(r"undefined (?:hidden )?symbol: (\S+)", done.stderr))
    assert missing == {"main", "os_syscall", "__eh_frame_start", "__eh_frame_end", "__eh_frame_hdr_start",
                       "__eh_frame_hdr_end"}


def test_the_libraries_are_the_same_from_any_cache_and_need_no_network_once_fetched(sysroot, tmp_path):
    cache = sysroot.archives["libc.a"].resolve().parents[2]
    other = tmp_path / "much/deeper/than the first"
    (other / "morgana").mkdir(parents=True)
    (other / "morgana/sources").symlink_to(cache / "sources")
    morgana("configure", "-t", "unix", sysroot.application, "-o", tmp_path / "build", "--static=true", "--offline",
            XDG_CACHE_HOME=str(other)).expect()
    def names(state):
        return [os.path.basename(one) for one in state["packages"]]
    assert names(json.loads((tmp_path / "build/morgana.json").read_text())) == names(sysroot.state)


def test_what_guests_of_xen_share_is_written_for_words_of_32_bits_too(sysroot, tmp_path):
    """Drivers, rings, grants and xenstore's client, for ARMv7, with musl's headers of it and without a warning."""
    [musl] = [pathlib.Path(one).parents[1] for one in sysroot.include if one.endswith("/sysroot/include") and
              (pathlib.Path(one).parents[1] / "arch/arm").exists()]
    (tmp_path / "bits").mkdir()
    (tmp_path / "bits/alltypes.h").write_text(run("sed", "-f", musl / "tools/mkalltypes.sed",
                                                  musl / "arch/arm/bits/alltypes.h.in", musl / "include/alltypes.h.in"))
    folders = [*sysroot.cxx_include, tmp_path, musl / "arch/arm", musl / "arch/generic", musl / "include"]
    system = [word for one in folders for word in ("-isystem", one)]
    sources = sorted((ROOT / "targets/xen/common").glob("*.cpp"))
    assert sources
    run("clang++-22", "--target=armv7a-linux-musleabihf", "-mcpu=cortex-a7", "-mfpu=neon-vfpv4", "-mfloat-abi=hard",
        "-fsyntax-only", "-std=c++23", "-fno-exceptions", "-fno-rtti", "-nostdlibinc", "-nostdinc++", *system,
        "-I", ROOT / "runtime/include", "-I", ROOT / "targets/xen/include", "-I", ROOT / "targets/xen",
        "-Wall", "-Wextra", "-Wconversion", "-Werror", *sources)


def test_a_static_image_is_small(sysroot):
    assert sysroot.image.stat().st_size <= 64 * 1024
