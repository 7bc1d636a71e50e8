"""Which preemption mechanism this process has, in words."""

from __future__ import annotations

import os

from .errors import UsageError
from .sandbox.preemption import VARIABLE, Mechanism, choose, mechanism


def chosen_mechanism() -> Mechanism:
    """The mechanism in force. UsageError where the environment asks for one that can't be had."""
    try:
        return mechanism()
    except ValueError as error:
        raise UsageError(str(error)) from error
    except ImportError as error:
        raise UsageError(
            f"{VARIABLE} asks for preemption by signals, but luspool was installed without its native module "
            f"({error}). Install it again where there is a C compiler, or unset the variable."
        ) from error


def why_chosen() -> str:
    """Why the mechanism in force is the one that it is."""
    if os.environ.get(VARIABLE):
        return f"{VARIABLE} asks for it"
    try:
        choose("signal")
    except ImportError as error:
        return f"the native module is not to be had: {error}"
    return "the native module is there"
