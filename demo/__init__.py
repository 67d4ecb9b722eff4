"""The demonstration: `python -m demo` catalogues the installed packages, and is killed on the way.

Read `flow.py` first: it is the whole workflow. `packages.py` has the plain work its tasks do, `outside.py` what the demo
leaves outside of the database, `processes.py` the processes that move the instance, `proof.py` and `page.py` what is
made of its timeline, `show.py` all that is printed, `__main__.py` the story.
"""
