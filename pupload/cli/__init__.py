"""
`pup`, the command line.

`main.py` has every command's words and nothing else, so that it starts fast; what a command does is in the module it
names. `project.py` reads a project's folder, `output.py` is the only one that prints.
"""
