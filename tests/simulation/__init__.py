"""
The whole of pupload but its adapters, played with faults.

`python -m tests.simulation --seeds 1000` plays a thousand schedules; `docs/explanation/simulation.md` tells the idea.
"""
