-- os, less process control. Time comes from Lua's own functions, the environment and files from the host by pledge.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local type, error = raw.type, raw.error
local check_string, argument = support.check_string, support.argument

--- # The system
---
--- Of Lua 5.5's functions `os.clock`, `os.date`, `os.difftime` and `os.time` are Lua's own. `os.execute` does not exist.

--- `os.clock()` → float
--- Seconds of processor time that the process has used which runs the state, with all states in it.
---
--- Errors: none.
--- Pledge: none.

--- `os.date(format?, time?)` → string or table
--- A time as text, or with the format `"*t"` as a table. Local time is that of the machine; a `!` before the format is UTC.
---
--- Errors: a format that does not exist; a time that is no date.
--- Pledge: none.

--- `os.difftime(later, earlier)` → float
--- The seconds between two times.
---
--- Errors: none.
--- Pledge: none.

--- `os.time(table?)` → integer
--- The seconds since 1970, of now or of a date, whose fields are then set to what they come to.
---
--- Errors: a field that is missing, is no integer, or is out of range.
--- Pledge: none.

local library = {
  clock = raw.os_clock, date = raw.os_date, difftime = raw.os_difftime, time = raw.os_time,
}

--- `os.platform()` → name
--- The operating system: `"linux"`.
---
--- Errors: none.
--- Pledge: none.
function library.platform() return "linux" end

--- `os.remove(path)` → true
--- As `fs.remove`: removes a file, a link or an empty directory.
---
--- Errors: nil, message that begins with the path, number: nothing is there; a directory is not empty.
--- Pledge: `fs:write` of the path.
function library.remove(...)
  return support.outcome(door(FS_REMOVE, check_string(1, "remove", argument(1, ...)), false))
end

--- `os.rename(from, to)` → true
--- As `fs.move`, but the message names no path.
---
--- Errors: nil, message, number: what the operating system says.
--- Pledge: as `fs.move`.
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

--- `os.tmpname()` → path
--- The path of a new, empty file in `/tmp`, which only this user can read.
---
--- Errors: the file can't be made.
--- Pledge: `fs:write` of `/tmp`.
function library.tmpname()
  local name = support.outcome(door(FS_TEMPORARY_NAME))
  return name or error("unable to generate a unique filename", 2)
end

--- `os.getenv(name)` → string
--- The value of an environment variable, of those that the command was started with or the embedding program gives
--- ([permissions.md](permissions.md)); nil if it is not set.
---
--- Errors: none.
--- Pledge: `env` of the name, also if it is not set.
function library.getenv(...)
  local value = support.must(GETENV, check_string(1, "getenv", argument(1, ...)))
  return value
end

local CATEGORIES <const> = " all collate ctype monetary numeric time "

--- `os.setlocale(locale?, category?)` → string
--- The locale is `"C"`, and can be set to nothing else: nil for every other name.
---
--- Errors: another category than those of Lua.
--- Pledge: none.
function library.setlocale(locale, category)
  if locale ~= nil then locale = check_string(1, "setlocale", locale) end
  category = category == nil and "all" or check_string(2, "setlocale", category)
  if not raw.string_find(CATEGORIES, " " .. category .. " ", 1, true) then
    support.complain("bad argument #2 to 'setlocale' (invalid option '" .. category .. "')", 3)
  end
  if locale == nil or locale == "C" or locale == "POSIX" or locale == "" then return "C" end
  return nil
end

--- `os.exit(code?, close?)`
--- In the main script, ends the program with this status (`true` and nothing are 0, `false` is 1) and cancels its workers; in
--- a worker, ends the worker. At once: no variable is closed any more, whatever `close` says.
---
--- Errors: none.
--- Pledge: none.
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
