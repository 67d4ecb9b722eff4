"""From `module:attr` to workflows: a Workflow, a list or tuple of them, or a function that returns either."""

from __future__ import annotations

import importlib
import sys
import traceback
from functools import reduce
from pathlib import Path
from typing import Any

from sayiir.cli.codes import RefusedError, one_line
from sayiir.flow.workflow import Workflow
from sayiir.runtime.checks import checked_workflow

Found = Workflow[Any, Any]


def find_workflows(targets: list[str]) -> list[Found]:
    """Return the workflows that these name, each once; modules of the current folder can be imported.

    Raises:
        RefusedError: one cannot be found, or two are the same definition, so that it is open whose functions would run.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found = dict[str, tuple[str, Found]]()
    for target in targets:
        for workflow in _look_up(target):
            first, known = found.setdefault(workflow.definition_hash, (target, workflow))
            if known is not workflow:
                raise RefusedError(
                    f"workflow {workflow.workflow_id!r} is there twice with the same definition, in {first} and {target}; "
                    "name one of them, or give their tasks different versions"
                )
    return [workflow for _, workflow in found.values()]


def _look_up(target: str) -> list[Found]:
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path) or module_name.startswith("."):
        raise RefusedError(f"{target!r} names no workflows; write module:attr, as in shop.flows:order")
    module = _import(target, module_name)
    try:
        value = reduce(getattr, path.split("."), module)
    except AttributeError as error:
        raise RefusedError(f"module {module_name!r} has no {path!r}; check {target!r} for a slip of the pen") from error
    if callable(value) and not isinstance(value, Workflow) and not hasattr(value, "build"):
        try:
            value = value()
        except Exception as error:
            raise RefusedError(f"{target} could not be called: {_what(error)}") from error
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise RefusedError(f"{target} has no workflows; a worker needs at least one")
    try:
        return [checked_workflow(one) for one in values]
    except TypeError as error:
        raise RefusedError(f"{target}: {one_line(error)}") from error


def _import(target: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise RefusedError(
                f"there is no module {error.name!r} for {target!r}; start in its folder, or install it"
            ) from error
        raise RefusedError(f"module {name!r} cannot be imported: {_what(error)}") from error
    except (Exception, SystemExit) as error:
        raise RefusedError(f"module {name!r} cannot be imported: {_what(error)}") from error


def _what(error: BaseException) -> str:
    """Return what happened, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {one_line(error)}{place}"
