"""Traffic for demos, tests and benchmarks: orders, scans and notices, from a model or from real baskets.

What must stay true: this layer is pure. It reads no clock, opens no connection and keeps no global; the same settings
give the same records in the same order. Whoever asks for records paces them and produces them.
"""
