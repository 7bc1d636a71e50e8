"""Compare the language front end with Lua's own compiler on every .lua file beneath a folder.

Each file that Lua accepts is translated twice: as a script would be, and parsed and emitted whether it needs that or
not. Both must compile to the very bytecode, line numbers included, that Lua makes of the file itself. A file that Lua
refuses must be refused, and not before the line that Lua names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

from lupa import lua55

from luspool.sandbox.syntax import SyntaxFault, translate
from luspool.sandbox.syntax.faults import UTF8_BOM, Problem
from luspool.sandbox.syntax.translate import rewrite

_DUMP = b"""function(text)
  local chunk, message = load(text, "=corpus", "t")
  if chunk then return string.dump(chunk) end
  return nil, message
end"""


def outcome(path: Path) -> tuple[str, str]:
    """What the comparison of one file gives: a word, and what there is to say."""
    source = path.read_bytes()
    text = re.sub(rb"\A#[^\r\n]*", b"", source.removeprefix(UTF8_BOM))
    dump = lua55.LuaRuntime(encoding=None).eval(_DUMP)
    expected = dump(text)
    try:
        translation = translate(source, str(path))
    except SyntaxFault as fault:
        return ("refused by both", "") if isinstance(expected, tuple) else ("REFUSED", str(fault))
    if isinstance(expected, tuple):
        found = dump(translation.lua)
        return ("refused by both", "") if isinstance(found, tuple) else ("ACCEPTED", repr(expected[1]))
    if translation.lua.removeprefix(b"global *; ") != text:
        return "TAKEN FOR LUS", ", ".join(translation.helpers)
    try:
        rewritten, _ = rewrite(text)
    except Problem as problem:
        return "NOT PARSED", f"offset {problem.offset}: {problem.message}"
    return ("same", "") if dump(rewritten) == expected else ("DIFFERENT", "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    counts: Counter[str] = Counter()
    for path in sorted(parser.parse_args().folder.rglob("*.lua")):
        if not path.is_file():
            continue
        word, detail = outcome(path)
        counts[word] += 1
        if word.isupper():
            print(f"{word}: {path}\n{detail}")
    for word, count in counts.most_common():
        print(f"{count:6} {word}", file=sys.stderr)
    return 1 if any(word.isupper() for word in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
