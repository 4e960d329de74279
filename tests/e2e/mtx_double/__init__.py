"""The parts of tests/e2e/mediamtx_double.py, a double of MediaMTX: see there."""
