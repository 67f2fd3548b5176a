"""Build, boot, script and break unikernels.

    import morgana

    app = morgana.App("examples/hello")
    with app.run(target="unix") as vm:
        vm.expect("hello", timeout=10)

Times are seconds or texts ("20ms"), sizes bytes or texts ("64 MiB"). What is wrong is a morgana.Error with the driver's
diagnostics; a call that makes no sense (of something closed, in a fork) is morgana.Misuse. docs/python.md is the reference.
"""
from ._driver import version as _version
from .app import App, Configuration, Device, Image, Option, Package, Piece, Why, targets
from .cables import Cable, Frame, Middlebox, boxes
from .errors import (BuildError, ConfigureError, Diagnostic, Error, Misuse, Note, NotSupported, RunError, Timeout)
from .machine import Crash, Machine, Metrics, Record, run
from .network import Endpoint, Network
from .simulation import Simulation

__version__ = _version()

__all__ = ["App", "BuildError", "Cable", "Configuration", "ConfigureError", "Crash", "Device", "Diagnostic", "Endpoint", "Error",
           "Frame", "Image", "Machine", "Metrics", "Middlebox", "Misuse", "Network", "Note", "NotSupported", "Option", "Package",
           "Piece", "Record", "RunError", "Simulation", "Timeout", "Why", "boxes", "run", "targets"]
