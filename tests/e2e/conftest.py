"""A session builds in one folder, for all its workers (pytest-xdist), which goes at its end."""
import os
import shutil

from support import session_folder    # it finds the package, and so the plugin

pytest_plugins = ["morgana.pytest_plugin"]


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        os.environ["MORGANA_E2E_SESSION"] = str(os.getpid())   # workers inherit it


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(session_folder(), ignore_errors=True)
