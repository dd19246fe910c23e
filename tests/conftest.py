"""For every test: the libraries that the environment asks for, and a skip where torch is needed and absent."""

import os

from node.backends import choose
from tests.torch_absence import skip_importers


def pytest_configure() -> None:
    choose(os.environ)
    skip_importers()
