"""Adapters: each third-party library that does I/O lives in one module here and nowhere else."""
