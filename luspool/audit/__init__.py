"""Permission auditing: what scripts can ask for. docs/auditing.md is for those who use it.

`scan` looks at scripts without running them. Its modules, each on those before it: `constants` (strings of the language
as bytes), `guarded` (which functions of the library ask for what), `findings` (what is found, as data), `asks` (one
call), `places`, `script` (one script), `scan` (a script and all that it loads and starts), `show` (as text and JSON).
"""
