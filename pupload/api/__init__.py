"""
HTTP: what the service says, for those who are not Python.

`app.py` gathers the surfaces and everything they share; each surface has its folder with its routes, its words
(`wire.py`), its error shapes (`problems.py`) and its streams (`stream.py`).
"""
