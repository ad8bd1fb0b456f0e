"""How fast resumectl is, measured by hand and quoted in the README: `python benchmarks/run.py`."""
