"""luspool: run many untrusted Lus scripts at once, and say afterwards what each of them did."""

__version__ = "0.1.0"
