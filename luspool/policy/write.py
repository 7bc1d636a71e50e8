"""From what a policy says to the text of a file: `read_policy` reads back the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..permissions.decision import visible
from .model import Entry, PolicyFile, PolicySet


def write_policy(policy: PolicyFile) -> str:
    """The file as text, one pledge a line. ValueError for text that UTF-8 can't hold (stray bytes of a file name)."""
    lines = ["".join(f"{_comment(line)}\n" for line in policy.comment)] if policy.comment else []
    lines += [f"default = {_string(policy.default)}\n"] if policy.default is not None else []
    for name, content in policy.sets.items():
        lines.append("\n".join([f"[set.{name}]", *_set_lines(content)]) + "\n")
        if content.limits:
            limits = (f"{limit} = {_string(entry.text)}" for limit, entry in content.limits.items())
            lines.append("\n".join([f"[set.{name}.limits]", *limits]) + "\n")
    text = "\n".join(lines)
    text.encode()
    return text


def _set_lines(content: PolicySet) -> Iterator[str]:
    if content.extends:
        yield f"extends = [{', '.join(map(_string, content.extends))}]"
    yield from _array("pledge", content.pledges)
    yield from _array("allow", content.allowed)


def _array(key: str, entries: Iterable[Entry]) -> Iterator[str]:
    items = [line for entry in entries for line in _entry_lines(entry)]
    if items:
        yield "\n".join([f"{key} = [", *items, "]"])


def _entry_lines(entry: Entry) -> Iterator[str]:
    behind, *below = entry.comment or ("",)
    yield f"    {_string(str(entry.pledge))}," + (f"  {_comment(behind)}" if behind else "")
    yield from (f"    {_comment(line)}" for line in below)


def _comment(text: str) -> str:
    return f"# {visible(text)}".rstrip()


def _string(text: str) -> str:
    """A string of TOML: literal where it can be, so that patterns with backslashes read as they are."""
    if "'" not in text and text.isprintable():
        return f"'{text}'" if "\\" in text or '"' in text else f'"{text}"'
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable() or 0xD800 <= ord(char) < 0xE000:  # a surrogate has no escape: it is for the caller to refuse
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
