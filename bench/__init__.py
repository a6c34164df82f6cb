"""The benchmarks: grt beside its peers, on the same machine, in the same minutes.

`python3 -m bench` from the project's root builds what it needs, runs everything and writes docs/benchmarks.md. The
programs that are compared are in peers/, the table of them in contenders.py, what is promised in targets.py. The
interpreter without a GIL is python3.14t or python3.13t, or what GRT_BENCH_FREE_THREADED names.
"""
