"""Fixtures of the double of MediaMTX (it is not MediaMTX): import `mediamtx_double` where a test needs one."""

import pytest

from conftest import free_port
from mediamtx_double import Double


@pytest.fixture
def mediamtx_double():
    """Starts doubles with Double's options, `mediamtx_double(generation="1.15", variant="fmp4")`, and stops them after the test."""
    started = []

    def start(**options):
        # Its ports are its own while it is down, too.
        started.append(Double(**{"api_port": free_port(), "hls_port": free_port(), **options}).start())
        return started[-1]

    yield start
    for double in started:
        double.stop()
