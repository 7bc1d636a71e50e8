"""Random programs of Lus, each beside what it means in Lua, line by line."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ._lus_expressions import Expressions, Name, Pair, Scope, formed, joined, same


class Programs(Expressions):
    """Makes programs that end."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._count = 0
        self._statements: list[Callable[[Scope, int], Pair]] = [
            *(
                self._say,
                self._say,
                self._say,
                self._local,
                self._local_from,
                self._assign,
                self._assign_from,
                self._if,
                self._if_assigned,
            ),
            *(self._while_assigned, self._error_first, self._for, self._group, self._group_write, self._checked),
            *(
                self._catch_statement,
                self._local_function,
                self._leave,
                self._repeat,
                self._call_statement,
                self._do_block,
            ),
        ]

    def program(self, size: int) -> Pair:
        """As many statements, each on lines of its own."""
        scope = Scope()
        lines = []
        if self.chance.random() < 0.1:
            scope.names.append(Name("known", "known"))
            lines.append(formed("global known = {0};", "known = {0};", self.one(Scope())))
        for _ in range(size):
            lines.append(self._statement(scope, 3))
            if self.chance.random() < 0.2:
                lines.append(same(self.chance.choice(("", "-- catch `", "--[[ enum\nend ]]", ";"))))
        return joined("\n", lines)

    def block(self, scope: Scope, depth: int) -> Pair:
        if depth <= 0:
            return same("")
        separator = self.chance.choice((" ", "\n", "; "))
        return joined(separator, [self._statement(scope, depth - 1) for _ in range(self.chance.randint(0, 2))])

    def _statement(self, scope: Scope, depth: int) -> Pair:
        made = self.chance.choice(self._statements)(scope, depth)
        return formed("{0};", "{0};", made) if self.chance.random() < 0.9 else made

    def _new(self, wish: str = "v") -> str:
        self._count += 1
        return f"{wish}{self._count}"

    def _say(self, scope: Scope, depth: int) -> Pair:
        if self.chance.random() < 0.6:
            return formed("say({0})", "say({0})", self.catch(scope, depth))
        return formed("say({0})", "say({0})", self.listed(scope, depth))

    def _call_statement(self, scope: Scope, depth: int) -> Pair:
        call, ends_in_call = self._chain(scope, depth)
        if ends_in_call:
            return Pair(f";{call.lus}", f";{call.lua}")  # what stands before may not be called with the parenthesis
        return formed("ev({0})", "ev({0})", self.listed(scope, depth))

    def _catch_statement(self, scope: Scope, depth: int) -> Pair:
        return self.catch(scope, depth)

    def _local(self, scope: Scope, depth: int) -> Pair:
        values = self.listed(scope, depth)
        names = [self._new() for _ in range(self.chance.randint(1, 3))]
        attribute = self.chance.choice(("", "", " <const>"))
        scope.names += [Name(name, name, (), bool(attribute)) for name in names]
        head = ", ".join(name + attribute for name in names)
        return formed(f"local {head} = {{0}}", f"local {head} = {{0}}", values)

    def _local_from(self, scope: Scope, depth: int) -> Pair:
        value = self._source(scope, depth)
        names = self.chance.sample(("a", "b", "c", "m"), self.chance.randint(1, 3))
        scope.names = [name for name in scope.names if name.lus not in names]
        scope.names += [Name(name, name) for name in names]
        head, fields = ", ".join(names), ", ".join(f"s.{name}" for name in names)
        return formed(f"local {head} from {{0}}", f"local {head} = (function(s) return {fields} end)({{0}})", value)

    def _source(self, scope: Scope, depth: int) -> Pair:
        """On one line: where an error in taking a field of several lines belongs is open."""
        value = self.one(scope, depth)
        return value if "\n" not in value.lus and self.chance.random() < 0.4 else same(self.chance.choice(("t", "t.b")))

    def _assignable(self, scope: Scope) -> list[Name]:
        return [name for name in scope.names if not name.constant]

    def _assign(self, scope: Scope, depth: int) -> Pair:
        names = self._assignable(scope)
        if not names:
            return self._say(scope, depth)
        chosen = self.chance.sample(names, min(len(names), self.chance.choice((1, 1, 2))))
        values = joined(", ", [self.one(scope, depth) for _ in chosen])
        checked = any(name.checks for name in chosen)
        lus = f"{', '.join(name.lus for name in chosen)} = {{0}}"
        lua = f"{', '.join(name.lua for name in chosen)} = {{0}}"
        if checked:
            lua = f"{', '.join(name.lua for name in chosen)} = {self._checking(chosen, values.lua)}".replace("{", "{{")
            lua = lua.replace("}", "}}")
        return formed(lus, lua, values)

    def _checking(self, names: list[Name], values: str) -> str:
        parameters = [f"x{number}" for number in range(len(names))]
        results = ", ".join(
            f'R.check("{name.lus}", {", ".join((parameter, *name.checks))})' if name.checks else parameter
            for name, parameter in zip(names, parameters, strict=True)
        )
        return f"(function({', '.join(parameters)}) return {results} end)({values})"

    def _assign_from(self, scope: Scope, depth: int) -> Pair:
        names = [name for name in self._assignable(scope) if name.lus in ("a", "b", "c", "m") and not name.checks]
        if not names:
            return self._local_from(scope, depth)
        fields = ", ".join(f"s.{name.lus}" for name in names)
        head = ", ".join(name.lus for name in names)
        value = self._source(scope, depth)
        return formed(f"{head} from {{0}}", f"{head} = (function(s) return {fields} end)({{0}})", value)

    def _if(self, scope: Scope, depth: int) -> Pair:
        form = "if {0} then {1} else {2} end"
        return formed(form, form, self.one(scope, depth), self._inner(scope, depth), self._inner(scope, depth))

    def _inner(self, scope: Scope, depth: int) -> Pair:
        return self.block(scope.inner(), depth)

    def _if_assigned(self, scope: Scope, depth: int) -> Pair:
        """Branches of which some assign; what they declare is known in all that follow."""
        known, lus, lua, count = scope.inner(), "", "", self.chance.randint(1, 3)
        for number in range(count):
            lus += "elseif " if number else "if "
            lua += "else do " if number else "do "
            if self.chance.random() < 0.7:
                value = self.listed(known, depth - 1)
                names = [self._new("w") for _ in range(self.chance.randint(1, 2))]
                known.names += [Name(name, name) for name in names]
                lus += f"{', '.join(names)} = {value.lus} then "
                lua += f"local {', '.join(names)} = {value.lua} if {' and '.join(names)} then "
            else:
                value = self.one(known, depth - 1)
                lus += f"{value.lus} then "
                lua += f"if {value.lua} then "
            body = self._inner(known, depth - 1)
            lus, lua = lus + body.lus + " ", lua + body.lua + " "
        if self.chance.random() < 0.6:
            body = self._inner(known, depth - 1)
            lus, lua = f"{lus}else {body.lus} ", f"{lua}else {body.lua} "
        return Pair(f"{lus}end", lua + " end" * (2 * count))

    def _steps(self, kinds: tuple[str, ...]) -> str:
        return f"steps({', '.join(self.chance.choice(kinds) for _ in range(self.chance.randint(0, 3)))})"

    def _while_assigned(self, scope: Scope, depth: int) -> Pair:
        next_, names = self._new("n"), [self._new("w") for _ in range(self.chance.randint(1, 2))]
        inner = scope.inner(loops=True)
        inner.names += [Name(name, name) for name in names]
        body, head = self._loop_body(inner, depth), ", ".join(names)
        outcomes = self._steps(("1", "2", "true", "t"))
        first = f"local {next_} = {outcomes} "
        return formed(
            f"{first}while {head} = {next_}() do {{0}} end",
            f"{first}while true do local {head} = {next_}() if not ({' and '.join(names)}) then break end {{0}} end",
            body,
        )

    def _error_first(self, scope: Scope, depth: int) -> Pair:
        next_, names = self._new("n"), [self._new("w") for _ in range(self.chance.randint(2, 3))]
        inner = scope.inner(loops=True)
        inner.names += [Name(name, name) for name in names]
        body, head = self._loop_body(inner, depth), ", ".join(names)
        outcomes = self._steps(("1", "'fail'", "true", "t"))
        first = f"local {next_} = {outcomes} "
        dots = "..." if scope.vararg else ""
        more = f", {dots}" if dots else ""
        call = f"R.error_first(function({dots}) return {next_}({dots}) end{more})"
        return formed(
            f"{first}while {head} = catch {next_}({dots}) do {{0}} end",
            f"{first}while true do local {head} = {call} if not ({' or '.join(names)}) then break end {{0}} end",
            body,
        )

    def _loop_body(self, inner: Scope, depth: int) -> Pair:
        said = same(f"say({inner.names[-1].lus}) ")
        return joined(" ", [said, self.block(inner, depth - 1)])

    def _for(self, scope: Scope, depth: int) -> Pair:
        name = self._new("i")
        inner = scope.inner(loops=True)
        inner.names.append(Name(name, name, (), True))
        form = f"for {name} = 1, {self.chance.randint(0, 3)} do {{0}} end"
        return formed(form, form, self.block(inner, depth - 1))

    def _repeat(self, scope: Scope, depth: int) -> Pair:
        name = self._new("r")
        inner = scope.inner(loops=True)
        form = f"local {name} = 0 repeat {name} = {name} + 1 {{0}} until {name} > 2 or {{1}}"
        return formed(form, form, self.block(inner, depth - 1), self.one(scope, depth - 1))

    def _leave(self, scope: Scope, depth: int) -> Pair:
        """Leave a loop or a `do` expression, if some condition holds."""
        if scope.provides and self.chance.random() < 0.7:
            values = self.listed(scope, depth)
            return formed("if {0} then provide {1} end", "if {0} then return {1} end", self.one(scope, depth), values)
        if scope.loops:
            return formed("if {0} then break end", "if {0} then break end", self.one(scope, depth))
        return self._say(scope, depth)

    def _do_block(self, scope: Scope, depth: int) -> Pair:
        return formed("do {0} end", "do {0} end", self._inner(scope, depth))

    def _local_function(self, scope: Scope, depth: int) -> Pair:
        name = self._new("f")
        inner = scope.inner(vararg=True, loops=False, provides=False)
        inner.names.append(Name("q", "q"))
        form = f"local function {name}(q, ...) {{0}} return {{1}} end"
        made = formed(form, form, self.block(inner, depth - 1), self.listed(inner, depth - 1))
        scope.names.append(Name(name, name))
        return made

    def _group(self, scope: Scope, depth: int) -> Pair:
        group, fields, targets, values = self._new("g"), {}, [], []
        lus = []
        for field in self.chance.sample(("a", "b", "c"), self.chance.randint(1, 3)):
            value, constant = self.one(scope, depth - 1), self.chance.random() < 0.2
            name = f"{group}_{field}"
            if self.chance.random() < 0.2:
                lus.append(f"{field} <group> = {{ d = {value.lus} }}")
                fields[f"{field}.d"] = Name(f"{group}.{field}.d", f"{name}_d")
                targets.append(f"{name}_d")
            else:
                lus.append(f"{field}{' <const>' if constant else ''} = {value.lus}")
                fields[field] = Name(f"{group}.{field}", name, (), constant)
                targets.append(name + (" <const>" if constant else ""))
            values.append(value.lua)
        scope.groups[group] = fields
        scope.names += fields.values()
        return Pair(
            f"local {group} <group> = {{ {', '.join(lus)} }}", f"local {', '.join(targets)} = {', '.join(values)}"
        )

    def _group_write(self, scope: Scope, depth: int) -> Pair:
        """Some fields of a group are written at once."""
        if not scope.groups:
            return self._group(scope, depth)
        group, fields = self.chance.choice([*scope.groups.items()])
        plain = [(name, to) for name, to in fields.items() if "." not in name and not to.constant]
        if not plain:
            return self._group(scope, depth)
        chosen = self.chance.sample(plain, self.chance.randint(1, len(plain)))
        values = [self.one(scope, depth - 1) for _ in chosen]
        parts = ", ".join(f"{name} = {value.lus}" for (name, _), value in zip(chosen, values, strict=True))
        targets = ", ".join(to.lua for _, to in chosen)
        return Pair(f"{group} = {{ {parts} }}", f"{targets} = {', '.join(value.lua for value in values)}")

    def _checked(self, scope: Scope, depth: int) -> Pair:
        value, name = self.one(scope, depth), self._new("x")
        attributes = self.chance.sample(("double", "note", "note2", "only 'number'"), self.chance.randint(1, 2))
        holders = [f"{name}h{number}" for number in range(len(attributes))]
        made = Name(name, name, tuple(holders))
        scope.names.append(made)
        lus = f"local {name} {''.join(f'<{attribute}>' for attribute in attributes)} = {value.lus}"
        held = f"local {', '.join(holders)} = {', '.join(attributes)} "
        return Pair(lus, f"{held}local {name} = {self._checking([made], value.lua)}")
