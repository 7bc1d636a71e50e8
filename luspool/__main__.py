"""`python -m luspool` is the command `luspool`."""

from .cli import main

main()
