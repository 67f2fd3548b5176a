"""What lies beside an image: its manifest, which the image carries too, and files for the programs that run it."""
import json
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree

import pytest
from support import ROOT, built

TARGETS = ["unix", "xen-x86"]
# Options of both kinds: one is fixed when it is configured.
SOURCE = '''
#include "morgana/app.hpp"
using namespace morgana;
struct options {
  /// Port to listen on.
  std::uint16_t port = 8080;
  bool verbose = false;
};
inline task<> start(console auto& out, option_set<options> auto const&) {
  out.write("started\\n");
  co_return;
}
'''


@pytest.fixture(scope="module", params=TARGETS)
def application(request, tmp_path_factory):
    source = tmp_path_factory.mktemp("artefacts") / "artefacts"
    source.mkdir()
    (source / "unikernel.toml").write_text('name = "artefacts"\n[options]\nverbose = true\n')
    (source / "unikernel.hpp").write_text("#pragma once\n" + SOURCE)
    return built(source, request.param), request.param


def folder_of(application):
    app, target = application
    return app.build_folder / target


def manifest_beside(application):
    return json.loads((folder_of(application) / "manifest.json").read_text())


def notes_of(image):
    """Owner and text of every note of an ELF file, by its program headers."""
    data = image.read_bytes()
    assert data[:5] == b"\x7fELF\x02"
    offset, = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    found = {}
    for i in range(count):
        kind, _, begin, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + i * size)
        at = begin
        while kind == 4 and at < begin + length:
            owner, text, number = struct.unpack_from("<III", data, at)
            name = data[at + 12:at + 12 + owner].rstrip(b"\0").decode()
            at += 12 + (owner + 3 & ~3)
            found[name, number] = data[at:at + text]
            at += text + 3 & ~3
    return found


def test_the_image_carries_the_manifest_that_lies_beside_it(application):
    beside = manifest_beside(application)
    image = folder_of(application) / beside["artefacts"]["image"]
    carried = json.loads(notes_of(image)["Morgana", 1].rstrip(b"\0"))
    assert carried == {key: value for key, value in beside.items() if key != "artefacts"}


def test_the_manifest_names_devices_options_and_versions(application):
    manifest = manifest_beside(application)
    assert manifest["name"] == "artefacts" and manifest["target"] == application[1]
    assert manifest["devices"] == [{"name": "out", "concept": "console", "implementation": "console"}]
    assert manifest["options"] == [{"name": "port", "type": "std::uint16_t", "default": "8080"},
                                   {"name": "verbose", "type": "bool", "value": "true"}]
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["morgana"])
    assert {"name": "morgana-core", "version": manifest["morgana"]} in manifest["packages"]


def test_symbols_lie_apart_with_the_same_build_id(application):
    folder, names = folder_of(application), manifest_beside(application)["artefacts"]
    ids = [notes_of(folder / names[which])["GNU", 3] for which in ("image", "debug")]
    assert ids[0] == ids[1] and len(ids[0]) == 20
    image, debug = (subprocess.run(["llvm-readelf-22", "-S", folder / names[which]], capture_output=True, text=True,
                                   check=True).stdout for which in ("image", "debug"))
    assert ".symtab" not in image and ".symtab" in debug


def test_no_artefact_tells_where_it_was_built(application):
    folder = folder_of(application)
    for name in manifest_beside(application)["artefacts"].values():
        data = (folder / name).read_bytes()
        assert str(ROOT).encode() not in data and str(application[0].source.parent).encode() not in data, name


# ---- of a guest of Xen --------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    source = tmp_path_factory.mktemp("guest") / "artefacts"
    source.mkdir()
    (source / "unikernel.toml").write_text('name = "artefacts"\n[target.xen-x86]\nmemory = "2500 KiB"\n')
    (source / "unikernel.hpp").write_text("#pragma once\n" + SOURCE)
    return built(source, "xen-x86").build_folder / "xen-x86"


def test_xls_file_names_the_image_beside_it_and_says_the_options(guest):
    settings = {}
    text = (guest / "artefacts.xl").read_text()
    exec(text, {}, settings)     # xl's language, as far as these files use it, is Python's
    assert settings == {"name": "artefacts", "type": "pvh", "kernel": "artefacts.elf", "memory": 3, "vcpus": 1,
                        "extra": "", "vif": [], "disk": [], "on_poweroff": "destroy", "on_crash": "preserve"}
    assert (guest / settings["kernel"]).is_file()
    assert "#   --port=8080\n" in text


def test_libvirts_file_is_well_formed_and_says_the_same(guest):
    domain = xml.etree.ElementTree.parse(guest / "artefacts.xml").getroot()
    assert domain.get("type") == "xen" and domain.findtext("name") == "artefacts"
    assert domain.findtext("memory") == "2500" and domain.find("memory").get("unit") == "KiB"
    assert domain.findtext("os/type") == "xenpvh"
    assert domain.findtext("os/kernel").endswith("/artefacts.elf")
    if shutil.which("virt-xml-validate"):
        subprocess.run(["virt-xml-validate", guest / "artefacts.xml", "domain"], check=True, timeout=60)
