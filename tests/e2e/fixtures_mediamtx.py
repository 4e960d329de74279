"""Fixtures of the double of MediaMTX (it is not MediaMTX): import `mediamtx_double` where a test needs one."""

import pytest

from mediamtx_double import Double


@pytest.fixture
def mediamtx_double():
    """Starts doubles with Double's options, `mediamtx_double(generation="1.15", variant="fmp4")`, and stops them after the test."""
    started = []

    def start(**options):
        started.append(Double(**options).start())
        return started[-1]

    yield start
    for double in started:
        double.stop()
