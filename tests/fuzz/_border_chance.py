"""Bytes and numbers by chance, from a seed: mostly valid, sometimes hostile."""

import random

EDGES = (0, 1, -1, 2, 7, 255, 256, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 40) + 1, (1 << 63) - 1, -(1 << 63))


class Chance(random.Random):
    """A seeded source of what hostile processes say."""

    def number(self):
        return self.choice(EDGES) if self.random() < 0.6 else self.randrange(-1 << 63, 1 << 63)

    def small_bytes(self, most=64):
        return self.randbytes(self.randrange(most))

    def text(self):
        return self.choice(("", "a.lus", "cpu", "é\udcff\x1b[31m", "\n" * 9, "x" * 300, self.small_bytes().hex()))

    def mutated(self, data):
        """`data` with some damage: bits, lengths, pieces that are lost, doubled or exchanged."""
        data = bytearray(data)
        for _ in range(self.randrange(1, 4)):
            at = self.randrange(len(data) + 1)
            end = min(len(data), at + self.randrange(1, 12))
            match self.randrange(6):
                case 0 if data:
                    data[at % len(data)] ^= 1 << self.randrange(8)
                case 1:
                    del data[at:end]
                case 2:
                    data[at:at] = data[at:end]
                case 3:
                    data[at:end] = self.randbytes(end - at)
                case 4:
                    data[at : at + 8] = (self.number() & (1 << 64) - 1).to_bytes(8, "big")
                case 5:
                    del data[at:]
        return bytes(data)

    def record(self, kind, **given):
        """A record of this class: each field what is given for its name, or anything of its type."""
        types = kind.__annotations__
        return kind(*(given[name] if name in given else self._value(types[name]) for name in kind.__struct_fields__))

    def _value(self, annotation):
        match annotation:
            case "bool":
                return self.random() < 0.5
            case "str":
                return self.text()
            case "bytes":
                return self.small_bytes()
            case "tuple[bytes, ...]":
                return tuple(self.small_bytes() for _ in range(self.randrange(4)))
            case "tuple[str, ...]":
                return tuple(self.text() for _ in range(self.randrange(4)))
        return self.number()
