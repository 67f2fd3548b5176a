"""`[target.unix] static = true`: an image that needs only a kernel."""
import http.client
import re
import shutil
import subprocess

import pytest
from support import ROOT, RUN_SECONDS, built

SITE = ROOT / "examples/static_website"


@pytest.fixture(scope="module")
def website(tmp_path_factory):
    source = tmp_path_factory.mktemp("static") / "static_image"
    shutil.copytree(SITE, source, ignore=shutil.ignore_patterns("build"))
    with (source / "unikernel.toml").open("a") as description:
        description.write("\n[target.unix]\nstatic = true\n")
    return built(source)


def headers(image):
    return subprocess.run(["llvm-readelf-22", "--program-headers", "--dynamic", "--wide", str(image)],
                          check=True, stdout=subprocess.PIPE, text=True).stdout


def image_of(application):
    [name] = re.findall(r'^name = "(.*)"', (application.source / "unikernel.toml").read_text(), re.MULTILINE)
    return application.build_folder / "unix" / name


def test_a_static_image_asks_for_no_loader_and_no_library(website):
    said = headers(image_of(website))
    assert "INTERP" not in said and "(NEEDED)" not in said
    assert re.search(r"^Elf file type is DYN ", said, re.MULTILINE)      # the kernel still chooses where it lies
    assert re.search(r"^ +GNU_STACK +(\S+ +){5}RW ", said, re.MULTILINE)


def test_without_the_setting_an_image_uses_the_hosts_c_library():
    said = headers(image_of(built(SITE)))
    assert "INTERP" in said and re.search(r"\(NEEDED\).*\[libc\.so\.6\]", said)


def test_a_static_website_answers(website):
    with website.start("--port=0") as guest:
        port = int(guest.wait_for(r"listening on \S+:(\d+)\n")[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RUN_SECONDS)
        for _ in range(2):
            connection.request("GET", "/bench.html")
            response = connection.getresponse()
            assert response.status == 200 and response.read() == (SITE / "htdocs/bench.html").read_bytes()
        connection.close()
        guest.stop().expect(0)
