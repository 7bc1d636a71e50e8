"""A Lua program in lupa's Lua 5.5 and nothing around it: python bare.py FILE [ARG…]"""

import sys

from lupa.lua55 import LuaRuntime

if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        LuaRuntime().execute(file.read(), *sys.argv[2:])
