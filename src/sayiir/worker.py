"""The worker's public place: `from sayiir.worker import Worker`. Nothing is done here."""

from sayiir.runtime.worker import Worker, WorkerHandle

__all__ = ["Worker", "WorkerHandle"]
