-- os, less process control. Time comes from Lua's own functions, the environment and files from the host by pledge.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local type, error = raw.type, raw.error
local check_string, argument = support.check_string, support.argument

local library = {
  clock = raw.os_clock, date = raw.os_date, difftime = raw.os_difftime, time = raw.os_time,
}

--- # The system

--- `os.platform()` → name
--- The operating system: `"linux"`.
---
--- Errors: none.
--- Pledge: none.
function library.platform() return "linux" end

--- As `fs.remove` of one thing.
function library.remove(...)
  return support.outcome(door(FS_REMOVE, check_string(1, "remove", argument(1, ...)), false))
end

--- As `fs.move`, but the message does not name a path, as in Lua.
function library.rename(...)
  local from, to = check_string(1, "rename", argument(1, ...)), check_string(2, "rename", argument(2, ...))
  local done, problem, number = support.outcome(door(FS_MOVE, from, to))
  if done then return true end
  for _, path in raw.next, { to, from } do
    if raw.string_sub(problem, 1, #path + 2) == path .. ": " then
      return nil, raw.string_sub(problem, #path + 3), number
    end
  end
  return nil, problem, number
end

function library.tmpname()
  local name = support.outcome(door(FS_TEMPORARY_NAME))
  return name or error("unable to generate a unique filename", 2)
end

function library.getenv(...)
  local value = support.must(GETENV, check_string(1, "getenv", argument(1, ...)))
  return value
end

local CATEGORIES <const> = " all collate ctype monetary numeric time "

-- The locale belongs to the whole process: it can be asked for and "set" to what it is.
function library.setlocale(locale, category)
  if locale ~= nil then locale = check_string(1, "setlocale", locale) end
  category = category == nil and "all" or check_string(2, "setlocale", category)
  if not raw.string_find(CATEGORIES, " " .. category .. " ", 1, true) then
    error("bad argument #2 to 'setlocale' (invalid option '" .. category .. "')", 2)
  end
  if locale == nil or locale == "C" or locale == "POSIX" or locale == "" then return "C" end
  return nil
end

--- Ends the program (in the root) or this worker, at once: the state is left here and never resumed.
function library.exit(code, _)
  local status
  if code == nil or code == true then status = 0
  elseif code == false then status = 1
  else
    status = support.check_integer(1, "exit", code)
  end
  door(EXIT, status)
  coroutines.leave()
end

return { library = library, absent = { label = "os", names = " execute " } }
