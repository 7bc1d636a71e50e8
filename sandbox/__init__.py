"""One worker state: language front end, guarded library, message codec, files by descriptor."""
