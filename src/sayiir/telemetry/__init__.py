"""What others may see of a run: spans, metrics, log records. Each is a watcher of `runtime/observe.py`.

    otel.py     OpenTelemetry spans            (extra `otel`)
    metrics.py  Prometheus metrics             (extra `metrics`)
    logs.py     ids in log records, JSON lines

Rules: importing this package loads none of the three; what is not installed is said in one sentence; no ids as labels of
metrics, since each would be a new series.
"""
