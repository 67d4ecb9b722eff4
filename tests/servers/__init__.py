"""Real servers for the tests and the benchmarks, and a proxy that breaks connections to them.

Everything here is ours from start to end: unprivileged, on loopback only, in a folder of its own, and gone with the process
that started it, however that ends. POSIX only.
"""
