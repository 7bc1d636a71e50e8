"""`python -m luspool` is the command `luspool`."""

import sys

from .cli import main

sys.exit(main())
