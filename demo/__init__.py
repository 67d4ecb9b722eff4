"""The demonstration: `python -m demo` catalogues the installed packages, and is killed on the way.

Read `flow.py` first: it is the whole workflow. Then, as you like: `packages.py`, the plain work that its tasks do;
`outside.py`, what the demo leaves outside of the database; `processes.py`, who moves the instance; `proof.py` and
`page.py`, what is made of its timeline; `show.py` and `report.py`, all that is printed; `__main__.py`, the story.
"""
