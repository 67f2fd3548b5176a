"""The snippets of docs/python.md that need no image, and those of the docstrings. (tests/e2e/test_docs.py runs the documents
that are sessions: the tutorial, the cookbook.)"""

import pathlib
import re
import textwrap

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def blocks():
    for number, text in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)):
        if "Simulation(" in text:
            yield pytest.param(text, id=f"python.md-{number}")
    import morgana.simulation

    yield pytest.param("import asyncio\nfrom morgana import simulation as morgana\n" +
                       textwrap.dedent(re.search(r"\n\n((?:    .*\n|\n)+)", morgana.simulation.__doc__)[1]), id="simulation")


@pytest.mark.parametrize("text", blocks())
def test_a_snippet_runs(text):
    exec(compile(text, "snippet", "exec"), {})
