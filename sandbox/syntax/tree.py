"""The syntax tree: sparse, since what is plain Lua is copied byte for byte and needs no node.

A node says where a construct that Lua lacks begins and ends, as indices of tokens, and what the emitter has to know
of it. Nodes come in the order in which the parser completes them: inner before outer, and left to right.
`varargs` says that the construct uses the `...` of the function around it.
"""

from __future__ import annotations

from msgspec import Struct

from .scope import Variable


class Catch(Struct, frozen=True):
    """`catch E` and `catch[h] E`; `handler` is the place of the brackets."""

    word: int
    last: int
    handler: tuple[int, int] | None
    varargs: bool


class Optional(Struct, frozen=True):
    """`base ? rest`: `question` is the mark, `last` the end of the rest of the chain (the mark itself if none).

    `inline` is the Lua name of the local variable that the base is, where the rest gives exactly one value.
    """

    first: int
    question: int
    last: int
    varargs: bool
    inline: str | None


class Slice(Struct, frozen=True):
    """`base[low, high]`; `statement` is true where the base begins a statement."""

    first: int
    opening: int
    comma: int
    closing: int
    statement: bool


class Enum(Struct, frozen=True):
    """`enum a, b end`."""

    word: int
    names: tuple[int, ...]
    end: int


class Interpolated(Struct, frozen=True):
    """A string between `opening` and `closing`; values are at (first, last), without `$`, parentheses included."""

    opening: int
    texts: tuple[int, ...]
    values: tuple[tuple[int, int], ...]
    closing: int
    argument: bool


class DoExpression(Struct, frozen=True):
    """`do … end` where an expression stands."""

    word: int
    end: int
    varargs: bool


class Provide(Struct, frozen=True):
    """`provide v1, v2`; `last` is `word` where nothing is provided."""

    word: int
    last: int


class From(Struct, frozen=True):
    """`… from E`: becomes `= E.a, E.b`. `subject` is the name that E is, if it is but a name.

    Where E is a local group, `group` is true, and `fields` are the Lua names of its fields.
    """

    word: int
    fields: tuple[str, ...]
    last: int
    subject: str | None
    group: bool


class Branch(Struct, frozen=True):
    """One `if` or `elseif` that assigns: `names` are tested at `then`; `nested` is true for an `elseif`."""

    word: int
    names: tuple[str, ...]
    then: int
    nested: bool


class BranchesEnd(Struct, frozen=True):
    """The `end` of an `if` statement in which that many branches assign."""

    end: int
    count: int


class AssigningWhile(Struct, frozen=True):
    """`while a, b = E do`; `error_first` gives the first and the last token of the one `catch` that E is."""

    word: int
    names: tuple[str, ...]
    do: int
    error_first: tuple[int, int] | None


class GroupField(Struct, frozen=True):
    """A path `g.a.b` that leads to a field of a local group."""

    first: int
    last: int
    lua: str


class GroupStatement(Struct, frozen=True):
    """`local g <group> = { … }` (`declares`) and `g = { … }`: many values for many variables.

    `head` is the first token of what stands before `equals`; `targets` are the variables as Lua is to see them, in
    the order of the `values` (first tokens); `dropped` are the tokens of the constructor that Lua must not see.
    """

    head: int
    equals: int
    targets: tuple[str, ...]
    values: tuple[int, ...]
    dropped: tuple[int, ...]
    declares: bool


class GroupCopy(Struct, frozen=True):
    """`local h <group> = g`: `head` is the token after `local`, `first` to `last` the path of `g`."""

    head: int
    equals: int
    first: int
    last: int
    targets: tuple[Variable, ...]
    sources: tuple[Variable, ...]


class CheckedLocal(Struct, frozen=True):
    """The names of the `local` statement at `word`, up to `last`, some of which have runtime attributes.

    `checks` are the places of the attributes' expressions, `holders` the Lua variables that keep their values;
    `declared` is the list of names as Lua is to see it.
    """

    word: int
    last: int
    checks: tuple[tuple[int, int], ...]
    holders: tuple[str, ...]
    declared: str


class CheckedValues(Struct, frozen=True):
    """Values (`first` to `last`) on their way to variables some of which have runtime attributes."""

    first: int
    last: int
    targets: tuple[Variable | None, ...]


class CheckedFunction(Struct, frozen=True):
    """`function x … end` where `x` (tokens `name` to `name_last`) has runtime attributes."""

    word: int
    name: int
    name_last: int
    end: int
    target: Variable


class Boundary(Struct, frozen=True):
    """The end of a statement before one that begins with `(`: no rewriting may make the two one call."""

    last: int


Node = (
    Catch
    | Optional
    | Slice
    | Enum
    | Interpolated
    | DoExpression
    | Provide
    | From
    | Branch
    | BranchesEnd
    | AssigningWhile
    | GroupField
    | GroupStatement
    | GroupCopy
    | CheckedLocal
    | CheckedValues
    | CheckedFunction
    | Boundary
)
