"""Parsing declarations: attributes, `local`, `global`, local groups, and `from`."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from .expressions import _STARTS, ExpressionParser
from .scope import Binding, Group, Variable
from .tree import CheckedLocal, CheckedValues, From, GroupCopy, GroupStatement

_COMPILE_TIME = ("const", "close", "group")
_CALLS = frozenset(("(", "string", "{", "`"))


class Attributes(Struct):
    """What stands in `<…>`: words for the compiler, and the places of the expressions of runtime attributes."""

    words: set[str] = field(default_factory=set)
    checks: list[tuple[int, int]] = field(default_factory=list)

    def lua(self) -> str:
        """The one attribute that Lua is to see; what is to be closed is constant anyhow."""
        return " <close>" if "close" in self.words else " <const>" if "const" in self.words else ""

    @property
    def constant(self) -> bool:
        return bool(self.words)


class _Constructor(Struct):
    """What is collected while the constructor of a group is parsed."""

    targets: list[Variable] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    last: int = 0


class DeclarationParser(ExpressionParser):
    """Parses what makes names known."""

    # --- attributes ----------------------------------------------------------------------------------------------

    def attributes(self, found: Attributes | None = None) -> Attributes:
        """Take any number of `<…>`, each with one attribute or more; they are added to those of `found`."""
        result = Attributes(set(found.words), list(found.checks)) if found else Attributes()
        while self.accept("<"):
            opening = self.i - 1
            while True:
                word = self.expect_name("an attribute")
                if self.text(word) in _COMPILE_TIME and self.kinds[self.i] in (">", ","):
                    result.words.add(self.text(word))
                else:
                    self.i = word
                    self.descend()
                    self.chain()
                    self.level -= 1
                    result.checks.append((word, self.i - 1))
                if not self.accept(","):
                    break
            self.expect_closing(">", opening)
        return result

    def _holders(self, checks: list[tuple[int, int]]) -> tuple[str, ...]:
        """Names of Lua variables that keep the values of these runtime attributes."""
        return tuple(self.names.fresh(self.text(first)) for first, _ in checks)

    # --- local and global ----------------------------------------------------------------------------------------

    def local(self) -> None:
        word = self.i
        self.i += 1
        if self.accept("function"):
            self.scopes.declare(self.text(self.expect_name("a function name")))
            self.function_body(self.i - 2)
            return
        default = self.attributes()
        declared = self._declared_names(default)
        if any("group" in attributes.words for _, attributes in declared):
            self._local_group(word + 1, declared)
            return
        last = self.i - 1
        variables = self._variables(declared)
        if any(variable.checks for variable in variables):
            checks = list(dict.fromkeys(check for _, attributes in declared for check in attributes.checks))
            holders = tuple(dict.fromkeys(holder for variable in variables for holder in variable.checks))
            text = ", ".join(self.text(name) + attributes.lua() for name, attributes in declared)
            self.nodes.append(CheckedLocal(word, last, tuple(checks), holders, text))
        self.values(variables)
        for variable in variables:
            self.scopes.declare(variable.spelling, variable)

    def global_(self) -> None:
        """Parse a `global` statement, as in the Lua 5.5 manual, section 3.3.7, with `from` besides."""
        self.i += 1
        if self.accept("function"):
            name = self.text(self.expect_name("a function name"))
            self.scopes.declare(name, Variable(name, name, is_global=True))
            self.function_body(self.i - 2)
            return
        default = self.attributes()
        declared: list[tuple[int, Attributes]] = []
        if not self.accept("*"):
            declared = self._declared_names(default)
        for attributes in (default, *(attributes for _, attributes in declared)):
            if attributes.checks or "group" in attributes.words:
                self.fail("runtime attributes and groups are for local variables only")
        if not declared:
            return
        names = [self.text(name) for name, _ in declared]
        self.values([None] * len(names), names)
        for (_, attributes), name in zip(declared, names, strict=True):
            self.scopes.declare(name, Variable(name, name, attributes.constant, is_global=True))

    def _declared_names(self, default: Attributes) -> list[tuple[int, Attributes]]:
        declared = []
        while True:
            name = self.expect_name("a variable name")
            declared.append((name, self.attributes(default)))
            if not self.accept(","):
                return declared

    def _variables(self, declared: list[tuple[int, Attributes]]) -> list[Variable]:
        holders: dict[tuple[int, int], str] = {}
        for _, attributes in declared:
            missing = [check for check in attributes.checks if check not in holders]
            holders.update(zip(missing, self._holders(missing), strict=True))
        return [
            Variable(
                self.text(name),
                self.text(name),
                attributes.constant,
                tuple(holders[check] for check in attributes.checks),
            )
            for name, attributes in declared
        ]

    # --- values --------------------------------------------------------------------------------------------------

    def values(self, targets: Sequence[Variable | None], names: list[str] | None = None) -> bool:
        """Parse `= …` or `from …`, where there is one, for the variables; gives whether there was.

        `names` are the fields that `from` takes, where they aren't the targets' own.
        """
        if self.kinds[self.i] == "=":
            self.i += 1
            first = self.i
            self.expression_list()
        elif self.is_from():
            first = self.i + 1
            self.from_(names or [target.spelling for target in targets if target])
        else:
            return False
        self.check_values(first, targets)
        return True

    def check_values(self, first: int, targets: Sequence[Variable | None]) -> None:
        """Note that the values from `first` to here go to these variables, if any of them has attributes."""
        if any(target and target.checks for target in targets):
            self.nodes.append(CheckedValues(first, self.i - 1, tuple(targets)))

    def is_from(self) -> bool:
        """Whether `from` here is Lus's: a value follows that isn't the argument of a function of that name."""
        if self.kinds[self.i] != "name" or self.text(self.i) != "from":
            return False
        following = self.kinds[self.i + 1]
        return following in _STARTS and (following not in _CALLS or self.is_free("from"))

    def from_(self, names: list[str]) -> None:
        """Parse `from E`, which gives the values of these fields."""
        word = self.i
        self.i += 1
        first = self.i
        self.descend(2)
        group = self._group_here()
        if group:
            found, _ = self.group_path(group)
            if isinstance(found, Group):
                fields = tuple(self._group_value(found, name, word) for name in names)
                self.nodes.append(From(word, fields, self.i - 1, None, group=True))
                self.level -= 2
                return
            self.i = first
        self.expression()
        subject = self.text(first) if self.i == first + 1 and self.kinds[first] == "name" else None
        self.nodes.append(From(word, tuple(names), self.i - 1, subject, group=False))
        self.level -= 2

    def _group_here(self) -> Group | None:
        binding = self.scopes.find(self.text(self.i)) if self.kinds[self.i] == "name" else None
        return binding if isinstance(binding, Group) else None

    def _group_value(self, group: Group, name: str, at: int) -> str:
        found = group.fields.get(name)
        if found is None:
            self.fail(f"the local group '{group.spelling}' has no field '{name}'", at)
        if isinstance(found, Group):
            self.fail(f"the local group '{found.spelling}' is not a value; copy it with 'local {name} <group> = …'", at)
        return found.lua

    # --- local groups --------------------------------------------------------------------------------------------

    def _local_group(self, head: int, declared: list[tuple[int, Attributes]]) -> None:
        name, attributes = declared[0]
        if len(declared) > 1 or attributes.checks or len(attributes.words) > 1:
            self.fail("a local group is declared alone, with no other attribute", name)
        equals = self.expect("=", "after the attribute: a local group needs its fields")
        spelling = self.text(name)
        group = Group(spelling, {})
        first = self.i
        if source := self._group_here():
            found, path = self.group_path(source)
            if not isinstance(found, Group):
                self.fail(f"'{path}' is a field and not a local group", first)
            self._copy_fields(found, group)
            targets, sources = tuple(group.variables()), tuple(found.variables())
            self.nodes.append(GroupCopy(head, equals, first, self.i - 1, targets, sources))
        else:
            parts = _Constructor()
            self._constructor(parts, group, declares=True)
            self._group_statement(parts, head, equals, declares=True)
        self.scopes.declare(spelling, group)

    def group_assignment(self, group: Group, head: int) -> None:
        """Parse `= { … }` after the path of a group that began at `head`."""
        equals = self.expect("=", f"after the local group '{group.spelling}', which is not a value")
        parts = _Constructor()
        self._constructor(parts, group, declares=False)
        self._group_statement(parts, head, equals, declares=False)

    def _group_statement(self, parts: _Constructor, head: int, equals: int, *, declares: bool) -> None:
        if parts.values:
            self.check_group_values(parts)
        self.nodes.append(
            GroupStatement(
                head,
                equals,
                tuple(target.lua + text for target, text in zip(parts.targets, parts.attributes, strict=True)),
                tuple(parts.values),
                tuple(parts.dropped),
                declares,
            )
        )

    def check_group_values(self, parts: _Constructor) -> None:
        if any(target.checks for target in parts.targets):
            self.nodes.append(CheckedValues(parts.values[0], parts.last, tuple(parts.targets)))

    def _copy_fields(self, source: Group, target: Group) -> None:
        for name, found in source.fields.items():
            spelling = f"{target.spelling}.{name}"
            if isinstance(found, Group):
                copy = target.fields[name] = Group(spelling, {})
                self._copy_fields(found, copy)
            else:
                target.fields[name] = Variable(spelling, self._field_name(spelling))

    def _field_name(self, spelling: str) -> str:
        return self.names.fresh(spelling.replace(".", "_"))

    def _constructor(self, parts: _Constructor, group: Group, *, declares: bool) -> None:
        """Parse `{ a = 1, b <const> = 2, c <group> = { … } }`, of which Lua sees only the values."""
        opening = self.expect("{", "with the fields of the local group")
        parts.dropped.append(opening)
        self.descend()
        given: set[str] = set()
        while self.kinds[self.i] != "}":
            name = self.expect_name("the name of a field")
            if self.text(name) in given:
                self.fail(f"the field '{self.text(name)}' is given twice", name)
            given.add(self.text(name))
            parts.dropped.append(name)
            if declares:
                self._new_field(parts, group, name)
            else:
                self._assigned_field(parts, group, name)
            if self.kinds[self.i] not in (",", ";"):
                break
            parts.dropped.append(self.i)
            self.i += 1
        self.level -= 1
        parts.dropped.append(self.expect_closing("}", opening))

    def _new_field(self, parts: _Constructor, group: Group, name: int) -> None:
        text, after_name = self.text(name), self.i
        spelling = f"{group.spelling}.{text}"
        attributes = self.attributes()
        equals = self.expect("=", f"after the field '{text}'")
        kept = {token for first, last in attributes.checks for token in range(first, last + 1)}
        parts.dropped.extend(token for token in range(after_name, equals + 1) if token not in kept)
        if "group" in attributes.words:
            inner = group.fields[text] = Group(spelling, {})
            self._constructor(parts, inner, declares=True)
            return
        holders = self._holders(attributes.checks)
        for (first, _), holder in zip(attributes.checks, holders, strict=True):
            self._add_value(parts, Variable(holder, holder), first)
        variable = Variable(spelling, self._field_name(spelling), attributes.constant, holders)
        self._add_value(parts, variable, self.i, attributes.lua())
        self.expression()
        parts.last = self.i - 1
        group.fields[text] = variable

    def _assigned_field(self, parts: _Constructor, group: Group, name: int) -> None:
        text = self.text(name)
        target = group.fields.get(text)
        if target is None:
            self.fail(f"the local group '{group.spelling}' has no field '{text}'", name)
        parts.dropped.append(self.expect("=", f"after the field '{text}'"))
        if isinstance(target, Group):
            self._constructor(parts, target, declares=False)
            return
        self.refuse_constant(target, name)
        self._add_value(parts, target, self.i)
        self.expression()
        parts.last = self.i - 1

    def _add_value(self, parts: _Constructor, target: Variable, first: int, attributes: str = "") -> None:
        parts.targets.append(target)
        parts.attributes.append(attributes)
        parts.values.append(first)

    def refuse_constant(self, binding: Binding | None, at: int) -> None:
        if isinstance(binding, Variable) and binding.constant:
            self.fail(f"attempt to assign to const variable '{binding.spelling}'", at)
