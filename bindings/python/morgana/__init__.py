"""Build, boot, script and break unikernels.

    import morgana

    app = morgana.App("examples/hello")
    image = app.build(target="unix")
"""
from ._driver import version as _version

__version__ = _version()
