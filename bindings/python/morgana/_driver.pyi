"""The driver: libmorgana as values. Private: use the classes of `morgana`."""

def version() -> str:
    """The driver's version, as `morgana --version` prints it."""
