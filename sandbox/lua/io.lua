-- io, less other programs and temporary files. A file is an empty table of a private kind (see kinds.lua); its number on
-- the host's side lies in a weak side table, and there it is buffered. Number 0 is standard input, 1 and 2 are the outputs.
local raw, door, coroutines, _, parts = ...
local support = parts.support
local type, error, select, tonumber, setmetatable = raw.type, raw.error, raw.select, raw.tonumber, raw.setmetatable
local string_sub, string_match, string_format = raw.string_sub, raw.string_match, raw.string_format
local table_unpack = raw.table_unpack
local check_string, bad_argument, complain = support.check_string, support.bad_argument, support.complain
local wait = coroutines.wait

local EMFILE <const> = 24
local BUFFER <const> = 1 << 20  -- bytes; more than the host holds back
local MOST_FORMATS <const> = 250 -- of one iterator, as in Lua

local numbers = setmetatable({}, { __mode = "k" })  -- file -> its number, false once closed
local lost = {}                                     -- numbers of files that were collected while open

--- # Files as handles
---
--- As in Lua 5.5, with these differences. Only regular files are opened. A state has at most 64 files open. What is
--- written is held back up to 16 KiB, and goes to the file when the file is flushed or closed, and whenever the state
--- waits or ends. A read may follow a write, and a write a read, without a `seek` between them. A file that nobody
--- can reach any more is closed before the state runs out of files. `io.popen` and `io.tmpfile` do not exist.
---
--- What was opened stays open for whoever holds the handle, also after the pledge was given up. Handles do not travel
--- in messages. Standard input and both outputs need no pledge.

local methods = {}
local file_metatable = support.new_kind("userdata", "FILE*", {
  __index = methods,
  __tostring = function(file)
    return numbers[file] and string_format("file (0x%08x)", numbers[file]) or "file (closed)"
  end,
  __gc = function(file)
    -- May run in the middle of anything: only notes the number, which the next `open` passes on. The file can still
    -- be found in a weak table of the script's, and must then be a closed one.
    if numbers[file] then lost[#lost + 1], numbers[file] = numbers[file], false end
  end,
  __close = function(file) if numbers[file] then methods.close(file) end end,
})

local function new_file(number)
  local file = setmetatable({}, file_metatable)
  numbers[file] = number
  return file
end

local stdin, stdout, stderr = new_file(0), new_file(1), new_file(2)
local default_input, default_output = stdin, stdout

--- The number of an open file, or the error that Lua gives.
local function number_of(file, func)
  local number
  if file ~= nil then number = numbers[file] end
  if number then return number end
  if number == false then error("attempt to use a closed file", 3) end
  return bad_argument(1, func, "FILE*", file)
end

--- What a format asks for, in the host's words, and a size. Here and below `level` is that of the caller's caller for
--- `error`: 2 where the caller was called by the script or by a tail call.
local function parse_format(format, position, level)
  if type(format) == "number" then
    local size = support.check_integer(position, "read", format, level + 2)
    if size < 0 then error("resulting string too large", level + 1) end -- as in Lua, where a size has no sign
    return "b", size
  end
  format = check_string(position, "read", format, level + 2)
  local kind = string_match(format, "^%*?([lLan])")
  return kind or error("bad argument #" .. position .. " to 'read' (invalid format)", level + 1)
end

--- One item; nil at the end, false on an error. The host answers `true` while standard input has nothing yet.
local function read_item(level, number, kind, size)
  while true do
    local answer = door(FILE_READ, number, kind, size)
    if answer ~= true then
      if kind == "n" and answer then return tonumber(answer) end
      return answer
    end
    wait(level + 1)
  end
end

--- What `read` gives: the items up to and with the first that failed (nil), or nil, message, number on an error.
local function read(level, number, ...)
  local count = select("#", ...)
  if count == 0 then
    local line = read_item(level, number, "l")
    if line == false then return support.outcome(false) end
    return line
  end
  local items = { ... }
  for i = 1, count do
    local item = read_item(level, number, parse_format(items[i], i, level))
    if item == false then return support.outcome(false) end
    items[i] = item
    if item == nil then return table_unpack(items, 1, i) end
  end
  return table_unpack(items, 1, count)
end

local function write(file, number, ...)
  local written = 0
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) ~= "string" then value = check_string(i, "write", value) end
    local answer = door(FILE_WRITE, number, value)
    if answer == false then
      local _, text, code = support.outcome(false)
      return nil, text, code, written
    end
    written = written + #value
  end
  return file
end

--- `file:read(format, ...)` → value, ...
--- Reads an item for each format, without any a line: `"l"` is a line without its end, `"L"` a line with it, `"n"` a numeral
--- as a number, `"a"` all that is left, a number so many bytes (0: `""`, if there is something left). nil, and none after it,
--- for what is not there. Standard input makes the state wait, and others go on.
---
--- Errors: nil, message, number: what the operating system says, as that the file is not open for reading.
--- Pledge: none.
function methods.read(file, ...) return read(2, number_of(file, "read"), ...) end

--- `file:write(value, ...)` → file
--- Writes strings and numbers.
---
--- Errors: nil, message, number, and how many bytes were written: what the operating system says.
--- Pledge: none.
function methods.write(file, ...) return write(file, number_of(file, "write"), ...) end

--- `file:flush()` → true
--- Gives the file what was held back.
---
--- Errors: nil, message, number: what the operating system says, as that the disk is full.
--- Pledge: none.
function methods.flush(file) return support.outcome(door(FILE_FLUSH, number_of(file, "flush"))) end

--- `file:setvbuf(mode, size?)` → true
--- What is held back: nothing (`"no"`), at most `size` bytes (`"full"`), or in addition no line that is whole (`"line"`). Of
--- the standard streams it changes nothing.
---
--- Errors: another mode.
--- Pledge: none.
function methods.setvbuf(file, mode, size)
  local number = number_of(file, "setvbuf")
  mode = check_string(1, "setvbuf", mode)
  if mode ~= "no" and mode ~= "full" and mode ~= "line" then
    error("bad argument #1 to 'setvbuf' (invalid option '" .. mode .. "')", 2)
  end
  size = size == nil and BUFFER or support.check_integer(2, "setvbuf", size)
  return support.outcome(door(FILE_HOLD_BACK, number, mode, size))
end

--- `file:seek(whence?, offset?)` → integer
--- Moves to the offset from the beginning (`"set"`), from where the file is read and written (`"cur"`, without any), or
--- from the end (`"end"`). Gives the position from the beginning.
---
--- Errors: nil, message, number: a position before the beginning; a standard stream.
--- Pledge: none.
function methods.seek(file, whence, offset)
  local number = number_of(file, "seek")
  whence = whence == nil and "cur" or check_string(1, "seek", whence)
  if whence ~= "set" and whence ~= "cur" and whence ~= "end" then
    error("bad argument #1 to 'seek' (invalid option '" .. whence .. "')", 2)
  end
  offset = offset == nil and 0 or support.check_integer(2, "seek", offset)
  return support.outcome(door(FILE_SEEK, number, whence, offset))
end

--- `file:close()` → true
--- Flushes and closes. To-be-closed variables (`local file <close> = …`) do so at the end of their block.
---
--- Errors: nil, message: a standard stream; what the operating system says of what was held back.
--- Pledge: none.
function methods.close(file)
  local number = number_of(file, "close")
  if number <= 2 then return nil, "cannot close standard file" end
  numbers[file] = false
  return support.outcome(door(FILE_CLOSE, number))
end

--- The iterator of `lines`. `owned`: the file was opened by io.lines, which closes it at its end.
local function line_iterator(file, owned, ...)
  local count, formats = select("#", ...), { ... }
  if count > MOST_FORMATS then
    support.raise("bad argument #" .. MOST_FORMATS + 2 .. " to 'lines' (too many arguments)")
  end
  return function()
    local number = numbers[file]
    if not number then error("file is already closed", 2) end
    local items = raw.table_pack(read(3, number, table_unpack(formats, 1, count)))
    if items[1] == nil then
      if items[2] then error(items[2], 2) end
      if owned then methods.close(file) end
      return nil
    end
    return table_unpack(items, 1, items.n)
  end
end

--- `file:lines(format, ...)` → function
--- An iterator that gives what `file:read` with these formats gives, until its first value is nil.
---
--- Errors: more than 250 formats; in the loop, what `file:read` says.
--- Pledge: none.
function methods.lines(file, ...)
  number_of(file, "lines")
  return line_iterator(file, false, ...)
end

local io = { stdin = stdin, stdout = stdout, stderr = stderr }

--- Gives collected files back to the host. The list is taken away first: a finaliser may add to it at any time.
local function close_lost()
  local gone = lost
  lost = {}
  for i = 1, #gone do door(FILE_CLOSE, gone[i]) end
end

local function open(path, mode)
  close_lost()
  local number, text, code = support.outcome(door(FILE_OPEN, path, mode))
  if code == EMFILE then
    -- A script that leaves closing to the collector has met the limit before the collector's time had come.
    raw.collectgarbage()
    close_lost()
    number, text, code = support.outcome(door(FILE_OPEN, path, mode))
  end
  if number then return new_file(number) end
  return nil, text, code
end

--- As `open`, for the functions that raise what is wrong. `level` as for `error`, counted from the caller.
local function must_open(path, mode, level)
  local file, problem = open(path, mode)
  if file then return file end
  -- The host's text begins with the path.
  error("cannot open file '" .. path .. "' (" .. string_sub(problem, #path + 3) .. ")", level + 1)
end

--- `io.open(path, mode?)` → file
--- Opens a file: `"r"` for reading (without any mode), `"w"` for writing from nothing, `"a"` for writing behind its end; `"r+"`,
--- `"w+"` and `"a+"` for both. A `b` behind it changes nothing.
---
--- Errors: nil, message that begins with the path, number: what the operating system says; what is no regular file.
--- Pledge: `fs:read` of the path for `r`, `fs:write` for `w` and `a`, both for modes with a `+`.
function io.open(...)
  local path, mode = ...
  path = check_string(1, "open", support.argument(1, ...))
  mode = mode == nil and "r" or check_string(2, "open", mode)
  if not raw.string_match(mode, "^[rwa]%+?b?$") then complain("bad argument #2 to 'open' (invalid mode)", 3) end
  return open(path, mode)
end

--- `io.lines(path?, format, ...)` → function, nil, nil, file
--- As `file:lines` of the default input, or of a file that is opened for it, and closed at its end or when the loop is left.
---
--- Errors: the file can't be opened.
--- Pledge: `fs:read` of the path, if there is one.
function io.lines(path, ...)
  if path == nil then return methods.lines(default_input, ...) end
  path = check_string(1, "lines", path)
  local file = must_open(path, "r", 2)
  return line_iterator(file, true, ...), nil, nil, file
end

--- `io.input(file?)` → file
--- The default input, after setting it to a handle, or to the file of that name.
---
--- Errors: the file can't be opened.
--- Pledge: `fs:read` of the path, if there is one.
function io.input(file)
  if file == nil then return default_input end
  if type(file) == "string" or type(file) == "number" then
    default_input = must_open(file .. "", "r", 2)
  else
    number_of(file, "input")
    default_input = file
  end
  return default_input
end

--- `io.output(file?)` → file
--- The default output, after setting it to a handle, or to the file of that name, which is emptied.
---
--- Errors: the file can't be opened.
--- Pledge: `fs:write` of the path, if there is one.
function io.output(file)
  if file == nil then return default_output end
  if type(file) == "string" or type(file) == "number" then
    default_output = must_open(file .. "", "w", 2)
  else
    number_of(file, "output")
    default_output = file
  end
  return default_output
end

--- `io.close(file?)` → true
--- As `file:close`, without a handle of the default output.
---
--- Errors: as `file:close`.
--- Pledge: none.
function io.close(file) return methods.close(file == nil and default_output or file) end

--- The number of a default file, or the error that Lua gives.
local function default_number(file, what)
  return numbers[file] or error("default " .. what .. " file is closed", 3)
end

--- `io.flush()` → true
--- As `file:flush` of the default output.
---
--- Errors: as `file:flush`; the default output is closed.
--- Pledge: none.
function io.flush() return support.outcome(door(FILE_FLUSH, default_number(default_output, "output"))) end

--- `io.read(format, ...)` → value, ...
--- As `file:read` of the default input, which is standard input at first. States that read it share it.
---
--- Errors: as `file:read`; the default input is closed.
--- Pledge: none.
function io.read(...) return read(2, default_number(default_input, "input"), ...) end

--- `io.write(value, ...)` → file
--- As `file:write` of the default output, which is standard output at first.
---
--- Errors: as `file:write`; the default output is closed.
--- Pledge: none.
function io.write(...) return write(default_output, default_number(default_output, "output"), ...) end

--- `io.type(value)` → string
--- `"file"`, `"closed file"`, or nil for what is no handle.
---
--- Errors: none.
--- Pledge: none.
function io.type(...)
  if select("#", ...) == 0 then complain("bad argument #1 to 'type' (value expected)", 3) end
  if (...) == nil then return nil end
  local number = numbers[(...)]
  if number then return "file" end
  return number == false and "closed file" or nil
end

return { library = io, absent = { label = "io", names = " popen tmpfile " } }
