"""Drawings: graphs that are edited in pieces, and compiled into flows when they run."""
