"""Tests of the codecs of routing and of the meta group."""
