"""
What makes runs happen: events in, decisions saved, orders carried out.

The engine knows the world only through `pupload.ports`. Everything in it may be interrupted at any instant and started
again from what was saved.
"""
