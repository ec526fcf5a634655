"""
What pupload knows, as arithmetic on values.

Nothing in this package reads a clock, touches the world, logs or draws a number by chance: times, ids and chance come
in as arguments, and everything that comes out is a new value. It imports the standard library only.
"""
