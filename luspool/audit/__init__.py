"""Permission auditing: what scripts can ask for, and what runs did. docs/auditing.md is for those who use it.

`scan` looks at scripts without running them. Its modules, each on those before it: `constants` (strings of the language
as bytes), `guarded` (which functions of the library ask for what), `findings` (what is found, as data), `asks` (one
call), `places`, `script` (one script), `scan` (a script and all that it loads and starts), `show` (as text and JSON).

`check` compares what a scan finds: `check` (with a policy), `changes` (with an older scan; or two policies),
`check_show`, `check_request` (which of these, as the command line asks).

`record` writes the log of a run, a file of lines that `record_lines` makes; `record.schema.json` is their form.

`report` and `derive` read the logs of runs: `log` (lines as checked records), `summary` (who was above whom, what each
did and what it never used), `report` (which form of that), `report_words`, `report_text`, `report_json`, `report_page`
(the forms; `page/` is the template),
`derive_paths`, `derive` (the least policy), `verify` (a run under it), `derived_file` (its file).
"""
