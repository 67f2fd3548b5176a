"""Every test of this tree by name: Catch cases, pytest functions, fuzzers, packetdrill scripts."""

import pathlib
import re
import tomllib

source = pathlib.Path(__file__).resolve().parents[2]
here = pathlib.Path(__file__).resolve().parent


def catch_cases():
    """Name to body; a name on the line after its TEST_CASE, and one cut into several literals, count, too."""
    found = {}
    for path in sorted((source / "tests/unit").rglob("*.cpp")):
        text = path.read_text()
        starts = list(re.finditer(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text))
        for one, after in zip(starts, starts[1:] + [None]):
            name = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', one.group(1)))
            found[name] = text[one.end():after.start() if after else len(text)]
    return found


def python_cases():
    found = {}
    for path in sorted((source / "tests").rglob("test_*.py")):
        place = path.relative_to(source).as_posix()
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE):
            found[f"{place}::{name}"] = ""
    return found


def fuzzers():
    text = (source / "tests/fuzz/CMakeLists.txt").read_text()
    return {f"fuzz {name}": "" for name in re.findall(r"^morgana_fuzzer\((\w+)", text, re.MULTILINE)}


def proofs():
    return catch_cases() | python_cases() | fuzzers()


def table(name):
    return tomllib.loads((here / name).read_text())


def unknown(names, known):
    return sorted(name for name in names if name not in known)
