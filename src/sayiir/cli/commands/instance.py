"""`sayiir instance`: the table of its commands."""

from __future__ import annotations

from sayiir.cli.lazy import LazyGroup

instance = LazyGroup(
    "instance",
    help="List, show, explain, follow and steer instances.",
    entries={
        "list": ("instance_see:list_", "List instances, the newest first, by a filter."),
        "show": ("instance_see:show", "Show how an instance stands."),
        "why": ("instance_see:why", "Say why an instance does not move, or ended as it did."),
        "timeline": ("instance_see:timeline", "Show every attempt of every task."),
        "result": ("instance_wait:result", "Print an instance's output, waiting for it if asked to."),
        "watch": ("instance_wait:watch", "Follow an instance until it ends."),
        "cancel": ("instance_steer:cancel", "Cancel instances."),
        "pause": ("instance_steer:pause", "Pause instances."),
        "unpause": ("instance_steer:unpause", "Let paused instances go on."),
        "retry": ("instance_steer:retry", "Bring failed or cancelled instances back to life."),
    },
)
