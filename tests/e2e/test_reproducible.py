"""The same sources and the same lock give the same bytes, wherever they lie and whatever cache is used."""
import hashlib
import os
import pathlib
import shutil

from support import MORGANA, Process, ROOT, BUILD_SECONDS

NAMES = ["image", "debug"]


def build(source, folder, cache):
    """Builds a copy of `source` in `folder` with a cache of its own; gives the image's and debug file's bytes."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("build"))
    env = dict(os.environ, NO_COLOR="1", XDG_CACHE_HOME=str(cache))
    arguments = ["build", str(folder)]
    Process([MORGANA, *arguments], env=env).wait(BUILD_SECONDS).expect()
    built = next((folder / "build").glob("*/build.ninja")).parent
    image = next(file for file in built.iterdir() if file.is_file() and file.name + ".debug" in os.listdir(built))
    return {"image": image.read_bytes(), "debug": (built / (image.name + ".debug")).read_bytes()}, folder / "morgana.lock"


def test_two_folders_of_different_depth_and_two_caches_give_one_image(tmp_path):
    # An application with sources of its own, a header beside them, local functions, __FILE__ and an assertion.
    source = tmp_path / "source"
    (source / "src").mkdir(parents=True)
    (source / "unikernel.toml").write_text('name = "same"\nsources = ["src/*.cpp"]\n')
    (source / "src/part.hpp").write_text('#pragma once\nchar const* where();\nchar const* other();\n')
    for name in ("where", "other"):
        (source / f"src/{name}.cpp").write_text(
            '#include "part.hpp"\n'
            "namespace {\n[[gnu::noinline]] char const* local(int n) { return n > 3 ? __FILE__ : \"few\"; }\n}\n"
            f"char const* {name}() {{ static volatile int n = 4; return local(n); }}\n")
    (source / "unikernel.hpp").write_text(
        '#include "morgana/app.hpp"\n#include "src/part.hpp"\n'
        "inline morgana::task<> start(morgana::console auto& console) {\n"
        "  console.write(where());\n  console.write(other());\n  console.write(__FILE__);\n  co_return;\n}\n")

    first, lock = build(source, tmp_path / "a", tmp_path / "cache-one")
    shutil.copy(lock, source / "morgana.lock")
    second, _ = build(source, tmp_path / "rather/a/lot/deeper/than/that/with-a-long-name", tmp_path / "two/cache")
    for name in NAMES:
        assert hashlib.sha256(first[name]).hexdigest() == hashlib.sha256(second[name]).hexdigest(), \
            f"the {name} files differ"
    assert str(tmp_path).encode() not in first["image"] and str(tmp_path).encode() not in first["debug"]
