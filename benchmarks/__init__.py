"""What this provider costs beside what one would use without it; ``make bench`` writes ``results.json``.

A subject is a module with what :mod:`benchmarks.subjects` lists. Contenders are measured side by side: each
in a process of its own, in turns, in one run, so that a busy machine slows all of them alike.
"""
