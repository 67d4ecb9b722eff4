"""What the faces stand on: the command line, the HTTP API and the pages call `Service`, and nothing below it.

model.py      the values they show
access.py     who may do what: one table
filter.py     the language of the filter box
veiled.py     what of an instance is secret
masking.py    stored values made fit for people's eyes
why.py        why an instance stands where it stands: a pure function of gathered facts
facts.py      gathers those facts from a store
nodes.py      the nodes of an instance and how each stands
sketch.py     a stored definition as a graph that can be drawn
drawing.py    pictures with states, large groups folded
forms.py      JSON Schemas of inputs and signals
saved.py      saved views
lists.py      pages, counts, workflows, workers, inbox
outcomes.py   outputs and results as values, for programs
actions.py    what changes something, each with its audit line
service.py    `Service`, the facade over all of them
"""

from sayiir.service.masking import DEFAULT_MASKING, Masking
from sayiir.service.model import Access, Role
from sayiir.service.service import Service

__all__ = ["DEFAULT_MASKING", "Access", "Masking", "Role", "Service"]
