-- How a script fails, in words: tracebacks and error values that are not strings. Needed once, at the end, if at all.
local raw, door, coroutines, _, parts = ...
local type, string_gsub, string_sub = raw.type, raw.string_gsub, raw.string_sub
local check_integer = parts.support.check_integer

-- Bytes, within which what a traceback says of its last function lies, as Lua shortens the names of chunks.
local END <const> = 100

--- The traceback without the guarded library's own frames, which tell a script's author nothing.
local function traceback(...)
  local text = raw.traceback(...)
  if not coroutines.native then -- what are functions of Lua's own elsewhere are portable.lua's here
    for name in raw.string_gmatch("pcall xpcall error", "%a+") do
      text = string_gsub(text, "\n\t%[C%]: in upvalue '%?'\n\t%?:[%d:]* in (%a+ '" .. name .. "')", "\n\t[C]: in %1")
    end
  end
  text = string_gsub(text, "\n\t%?:[^\n]*\n\t%(%.%.%.tail calls%.%.%.%)", "")
  text = string_gsub(text, "\n\t%?:[^\n]*", "")
  text = string_gsub(text, "\n\t%[C%]: in [^\n]*'%?'", "")
  text = string_gsub(text, "\n\t%[C%]: in [^\n]*'xpcall'$", "")
  -- A main function that was made with helpers is to Lua a function like any other. It is looked for at the end alone: a
  -- script may have functions whose names make the search take the square of their length.
  local last = string_gsub(string_sub(text, -END), "in function <[^\n]*:1>$", "in main chunk")
  return string_sub(text, 1, -END - 1) .. last
end

--- An error value as text. `__tostring` is the script's, and may do anything; an error of its own is left alone.
local function describe(problem)
  local kind = type(problem)
  if kind == "string" then return problem end
  if kind == "number" or kind == "nil" or kind == "boolean" then return raw.tostring(problem) end
  local metatable = raw.getmetatable(problem)
  if metatable and raw.rawget(metatable, "__tostring") ~= nil then
    local ok, text = raw.pcall(raw.public_tostring, problem, 1)
    if ok then return text end
  end
  return "(error object is a " .. raw.public_type(problem) .. " value)"
end

local function report(problem, trace)
  local text = describe(problem)
  local encode_one = parts.codec.encode_one
  local payload = encode_one(nil, problem) or encode_one(nil, text)
    or encode_one(nil, "(an error message that is too large for a message)")
  door(FAILED, payload, text, trace or "")
end

--- # Other functions of Lua

--- `debug.traceback(thread?, message?, level?)` → string
--- As in Lua, without the frames of this library.
---
--- Errors: none.
--- Pledge: none.
local function public_traceback(co, message, level)
  local own, first = raw.co_running(), 2
  if type(co) ~= "thread" then co, message, level, first = own, co, message, 1 end
  if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
  level = level == nil and (co == own and 1 or 0) or check_integer(first + 1, "traceback", level)
  -- On the running coroutine, this function and `traceback` lie above the caller.
  local text = traceback(co, nil, co == own and level + 2 or level)
  return message and message .. "\n" .. text or text
end

return {
  library = { traceback = public_traceback }, traceback = traceback, report = report,
  absent = {
    label = "debug",
    names = " debug gethook getinfo getlocal getmetatable getregistry getupvalue getuservalue sethook setlocal "
      .. "setmetatable setupvalue setuservalue upvalueid upvaluejoin ",
  },
}
