"""The package comes from the build tree: PYTHONPATH=build/python (ctest sets it)."""

import weakref

import pytest


@pytest.fixture(autouse=True)
def closed():
    """Simulations that a test left open end before the next begins: guests of all of them are one thread's."""
    from morgana import simulation

    made = weakref.WeakSet()
    begin = simulation.Simulation.__init__

    def remember(self, *arguments, **named):
        begin(self, *arguments, **named)
        made.add(self)

    simulation.Simulation.__init__ = remember
    yield
    simulation.Simulation.__init__ = begin
    for one in list(made):
        try:
            one.close()
        except RuntimeError:
            pass
