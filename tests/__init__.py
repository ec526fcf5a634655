"""The tests mirror the package; contracts/ proves the ports for every adapter."""
