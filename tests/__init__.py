"""Tests of protocol, backend and add-on."""
