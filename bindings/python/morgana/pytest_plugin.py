"""The pytest plugin: tests that boot unikernels.

    def test_it_greets(vm):                       # the application above the test's folder, booted
        vm.expect("Hello", timeout=10)
        assert vm.wait(timeout=10) == 0

Fixtures: `app` (that application), `vm` (its machine), `boot` (a function that boots more: boot(app, **how_to_run)), `net` (a
Network), `morgana_seed`, `morgana_target`. The mark `morgana(app=..., targets=[...], options={...}, arguments=[...], ...)`
says which application, on which targets only, and how it is run.

`--morgana-target=unix,sim` runs each test that boots something once on each; a target that is not there, or whose tools are
missing, fails such a test with what to install, unless `--morgana-skip-missing` leaves it out. What a failed test leaves
(consoles, crash reports, cores, captures, seed) is kept in a folder that its report names, with the
command that runs it again."""
from __future__ import annotations

import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import tempfile
from typing import Any, Iterator, Optional

import pytest

import morgana
from morgana.errors import Error

NO_CRASH_CORE = "what runs it makes none of a guest that crashed"
KEPT = pytest.StashKey["_Kept"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("morgana", "unikernels")
    group.addoption("--morgana-target", action="append", default=[], metavar="NAME[,NAME]",
                    help="targets that tests boot on, one after the other; default: the application's own")
    group.addoption("--morgana-skip-missing", action="store_true",
                    help="leave out tests whose target cannot run here, instead of failing them")
    group.addoption("--morgana-seed", type=int, default=None, metavar="N",
                    help="the seed of networks and simulated guests; default: another one for each test")
    group.addoption("--morgana-failures", default=".morgana-failures", metavar="DIR",
                    help="where what failed tests leave is kept")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "morgana(app=..., targets=[...], **how): the application that `vm` boots, and how")


def wanted_targets(config: pytest.Config) -> list[str]:
    return [name for text in config.getoption("--morgana-target") for name in text.split(",") if name]


def mark_of(node: Any) -> dict[str, Any]:
    """What the marks say together; the nearest wins."""
    said: dict[str, Any] = {}
    for mark in node.iter_markers("morgana"):
        said = {**mark.kwargs, **said}
    return said


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "morgana_target" not in metafunc.fixturenames:
        return
    only = mark_of(metafunc.definition).get("targets")
    names = wanted_targets(metafunc.config) or only or [None]
    chosen = [name for name in names if only is None or name is None or name in only]
    metafunc.parametrize("morgana_target", chosen, ids=[name or "default" for name in chosen], scope="session", indirect=True)


def missing(target: Optional[str], application: Any = ".") -> Optional[str]:
    """Why tests cannot boot on that target here, with what to install; None when they can."""
    if target is None:
        return None
    known = {one["name"]: one for one in morgana.targets(application)}
    if target not in known:
        return (f"there is no target `{target}`; there are {', '.join(sorted(known))}. A plugin adds one: put its folder on "
                "MORGANA_PLUGIN_PATH")
    absent = [(command, package, why) for command, package, why in known[target]["tools"] if shutil.which(command) is None]
    if absent:
        tools = ", ".join(f"`{command}` ({why})" for command, _, why in absent)
        return f"the target `{target}` needs {tools}. Install it: apt-get install {' '.join(sorted({p for _, p, _ in absent}))}"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--morgana-skip-missing"):
        return
    left = [item for item in items
            if hasattr(item, "callspec") and missing(item.callspec.params.get("morgana_target"), item.path.parent)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


class _Kept:
    """What a test made, for the report of its failure."""

    def __init__(self) -> None:
        self.machines: list[morgana.Machine] = []
        self.networks: list[Any] = []
        self.seed: Optional[int] = None
        self.target: Optional[str] = None
        self.notes: list[str] = []

    def write(self, folder: pathlib.Path) -> list[pathlib.Path]:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.is_file():
                old.unlink()
        made = []

        def place(name: str) -> pathlib.Path:
            path = folder / name
            count = 1
            while path.exists():
                count += 1
                path = folder / f"{pathlib.Path(name).stem}-{count}{pathlib.Path(name).suffix}"
            return path

        def put(name: str, data: bytes) -> None:
            path = place(name)
            path.write_bytes(data)
            made.append(path)

        for machine in self.machines:
            put(f"{machine.name}.console", machine.console.encode())
            try:
                crash = machine.crash
                if crash:
                    put(f"{machine.name}.crash", str(crash).encode())
            except Error:
                crash = None  # a runner that failed: its words are in the test's own report
            core = place(f"{machine.name}.core")
            try:
                if crash and crash.core:
                    made.append(pathlib.Path(shutil.move(crash.core, core)))
                elif crash:
                    self.notes.append(f"no core of {machine.name}: {'; '.join(machine.errors) or NO_CRASH_CORE}")
                elif machine.is_running:
                    made.append(machine.core(core))
                else:
                    self.notes.append(f"no core of {machine.name}: it had ended")
            except Error as why:
                self.notes.append(f"no core of {machine.name}: {why}")
        for network in self.networks:
            captured = network.captured()
            if captured:
                put("network.pcap", captured)
        if self.seed is not None:
            put("seed.json", json.dumps({"seed": self.seed, "target": self.target}).encode())
        return made


def kept(node: Any) -> _Kept:
    if KEPT not in node.stash:
        node.stash[KEPT] = _Kept()
    return node.stash[KEPT]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if not report.failed or KEPT not in item.stash or call.when == "teardown":
        return
    here = item.stash[KEPT]
    name = re.sub(r"[^A-Za-z0-9_.=-]+", "-", item.nodeid).strip("-")
    base = pathlib.Path(item.config.getoption("--morgana-failures"))
    folder = (base if base.is_absolute() else item.config.rootpath / base) / name
    lines = [f"kept: {path}" for path in here.write(folder)] + here.notes
    lines.append(f"again: {_again(item, here)}")
    report.sections.append(("morgana", "\n".join(lines)))
    for machine in here.machines:
        if machine.console:
            report.sections.append((f"console of {machine.name}", machine.tail()))


def _again(item: pytest.Item, here: _Kept) -> str:
    """The command that runs a test once more, of the kind that ran it."""
    path = os.environ.get("MORGANA_TEST_PATH")
    if path is None:
        words = ["python3", "-m", "pytest", item.nodeid]
        if here.target is not None:
            words.append(f"--morgana-target={here.target}")
    else:   # `morgana test`; all parameters of the test then
        words = ["morgana", "test", *([] if path == "." else [path])]
        if here.target is not None:
            words += ["-t", here.target]
        words += ["--", "-k", getattr(item, "originalname", item.name)]
    if here.seed is not None:
        words.append(f"--morgana-seed={here.seed}")
    return shlex.join(words)


@pytest.fixture(scope="session")
def morgana_target(request: pytest.FixtureRequest) -> Optional[str]:
    """The target that this test boots on; None is the application's own default."""
    return getattr(request, "param", None)


@pytest.fixture
def morgana_seed(request: pytest.FixtureRequest) -> int:
    """--morgana-seed, or another number for each test; a failure names it."""
    given = request.config.getoption("--morgana-seed")
    seed = secrets.randbits(32) if given is None else given
    kept(request.node).seed = seed
    return seed


def application_of(node: Any) -> pathlib.Path:
    """The mark's `app`, else the folder above the test with a unikernel.toml."""
    said = mark_of(node).get("app")
    if said is not None:
        path = pathlib.Path(said)
        return path if path.is_absolute() else node.path.parent / path
    for folder in node.path.parents:
        if (folder / "unikernel.toml").is_file():
            return folder
    raise pytest.UsageError(f"no unikernel.toml lies in a folder above {node.path}: say "
                            "@pytest.mark.morgana(app=\"FOLDER\")")


@pytest.fixture
def app(request: pytest.FixtureRequest) -> morgana.App:
    """The application under test."""
    said = mark_of(request.node)
    return morgana.App(application_of(request.node), options=said.get("options", {}), output=said.get("output"))


@pytest.fixture
def boot(request: pytest.FixtureRequest, morgana_target: Optional[str], morgana_seed: int) -> Iterator[Any]:
    """boot(app, **how): a Machine as App.run() makes it, on this test's target, with this test's seed where the target has
    one; ended with the test. A guest that crashes leaves its core, which is kept when the test fails."""
    here = kept(request.node)
    here.target = morgana_target

    def start(what: Any, **how: Any) -> morgana.Machine:
        why = missing(morgana_target, what.path if isinstance(what, morgana.App) else ".")
        if why:
            pytest.fail(why, pytrace=False)
        if isinstance(what, morgana.App):
            building = {key: how.pop(key) for key in ("options", "choices", "locked", "offline") if key in how}
            image = what.build(how.pop("target", morgana_target), **building)
        else:
            image = what
        if "seed" in image.configuration.settings:
            how["settings"] = {"seed": morgana_seed, **how.get("settings", {})}
        how.setdefault("crash_core", pathlib.Path(cores) / str(len(here.machines)))
        machine = morgana.run(image, **how)
        here.machines.append(machine)
        return machine

    with tempfile.TemporaryDirectory(prefix="morgana-cores-") as cores:
        yield start
        for machine in here.machines:
            machine.close()


@pytest.fixture
def vm(request: pytest.FixtureRequest, app: morgana.App, boot: Any) -> morgana.Machine:
    """The application, booted on this test's target."""
    how = {key: value for key, value in mark_of(request.node).items() if key not in ("app", "targets", "options", "output")}
    return boot(app, **how)


@pytest.fixture
def net(request: pytest.FixtureRequest, morgana_seed: int) -> Iterator[Any]:
    """A Network with this test's seed; what passed is kept when the test fails."""
    network = morgana.Network(seed=morgana_seed, **mark_of(request.node).get("network", {}))
    network.record()
    kept(request.node).networks.append(network)
    yield network
    network.close()


@pytest.fixture
def sim(morgana_seed: int) -> Iterator[Any]:
    """A Simulation of stacks in this process, with this test's seed."""
    from morgana.simulation import Simulation
    with Simulation(morgana_seed) as simulation:
        yield simulation
