-- os, less process control. Time comes from Lua's own functions, the environment from the host by pledge.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local type, error = raw.type, raw.error
local check_string = support.check_string

local library = {
  clock = raw.os_clock, date = raw.os_date, difftime = raw.os_difftime, time = raw.os_time,
}

function library.getenv(name)
  local value = support.must(GETENV, check_string(1, "getenv", name))
  return value
end

-- The locale belongs to the whole process: it can be asked for and "set" to what it is.
function library.setlocale(locale, _)
  if locale == nil or locale == "C" or locale == "" then return "C" end
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

return { library = library, absent = { label = "os", names = " execute remove rename tmpname " } }
