"""Everything that a script can reach is listed in sandbox/inventory.txt: a new name needs a decision, made there."""

from __future__ import annotations

from pathlib import Path

import pytest

INVENTORY = Path(__file__).resolve().parents[3] / "sandbox/inventory.txt"

WALK = """
local seen = {[_G] = true}
local function line(path, value) print(path .. "\\t" .. type(value)) end

local function sorted(t)  -- so that a table with two paths is always listed under the same one
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function walk(path, value)
  line(path, value)
  if type(value) == "table" then
    if seen[value] then return end
    seen[value] = true
    for _, key in ipairs(sorted(value)) do walk(path .. "." .. tostring(key), value[key]) end
  end
  local metatable = getmetatable(value)
  if metatable ~= nil and not (type(value) == "string" and path ~= "string value") then
    walk("getmetatable(" .. path .. ")", metatable)
  end
end

for _, name in ipairs(sorted(_G)) do walk(name, _G[name]) end
walk("string value", "")
for _, name in ipairs{"read", "write", "lines", "close", "seek", "flush", "setvbuf"} do
  line("file:" .. name, io.stdout[name])
end
walk("worker handle", worker.create("/nowhere"))
walk("thread", coroutine.create(print))
walk("function", print)
walk("enum", enum a end)
walk("vector value", vector.create(1))
for _, name in ipairs{"nil", "true", "1", "1.5"} do walk(name, load("return " .. name)()) end
"""


@pytest.mark.parametrize("is_job", [False, True], ids=["run", "job"])
def test_what_a_script_can_reach_is_what_the_inventory_lists(printed, is_job):
    live = sorted(set(printed(WALK, held=("load", "fs:read"), is_job=is_job)))
    listed = INVENTORY.read_text("utf-8").splitlines()
    assert [entry for entry in listed if not entry.startswith("#")] == live
