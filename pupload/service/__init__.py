"""
What pupload can be asked to do.

Every surface calls this and nothing below it. The words are those of the domain; what a field is called on some wire,
or which status code an error has, is the surface's business.
"""
