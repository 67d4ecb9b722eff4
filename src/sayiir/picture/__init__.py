"""Pictures of a workflow: Mermaid text, standalone SVG, and a page about one instance.

Rules of this package: pure functions of the definition tree and of given states; no I/O, no clock, no chance, so
equal input gives equal output. It imports the core and nothing else of ours. Everything user-given is escaped.
"""

from sayiir.picture.mermaid import to_mermaid
from sayiir.picture.page import run_page
from sayiir.picture.state import NodeState, Status
from sayiir.picture.svg import to_inline, to_svg
from sayiir.picture.timeline import TimelineBar
from sayiir.picture.tree import to_text

__all__ = ["NodeState", "Status", "TimelineBar", "run_page", "to_inline", "to_mermaid", "to_svg", "to_text"]
