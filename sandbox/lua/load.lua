-- Chunks: load, loadfile, dofile, require. Source goes through the language front end (on the host's side of the door)
-- and comes back as Lua text; only text is ever loaded. The environment is always given: without one Lua would
-- take the interpreter's own globals, which no script may see.
local raw, door, coroutines, globals, parts = ...
local support = parts.support
local error, type, select, rawload, pcall = raw.error, raw.type, raw.select, raw.load, raw.pcall
local string_sub, string_find, table_concat = raw.string_sub, raw.string_find, raw.table_concat
local argument, check_string, bad_argument = support.argument, support.check_string, support.bad_argument
local find_plain = parts.plain.find

--- A reader for Lua's own `load`, which takes quadratic time for some texts: between pieces the state can be stopped.
local function pieces(text)
  local at, size <const> = 1, 1024
  return function()
    at = at + size
    return string_sub(text, at - size, at - 1)
  end
end

--- Source text to function, or nil and a message.
local function compile(source, name, env)
  local text = door(TRANSLATE, source, name)
  if text == false then return nil, door(LAST_ERROR) end
  local names = door(TRANSLATION_HELPERS)
  local chunk, problem = rawload(pieces(text), name, "t", env)
  if not chunk then return nil, door(EXPLAIN, problem, source, name) end
  return parts.bind(chunk, names)
end

--- All that a reader function gives. Read here rather than by Lua's own `load`, inside which it could not wait.
local function read_all(reader)
  local pieces, count = {}, 0
  while true do
    local piece = reader()
    if piece == nil or piece == "" then return table_concat(pieces, "", 1, count) end
    if type(piece) == "number" then piece = piece .. "" end
    if type(piece) ~= "string" then support.raise("reader function must return a string") end
    count = count + 1
    pieces[count] = piece
  end
end

local function compile_text(source, name, mode, env)
  if string_sub(source, 1, 1) == "\27" then
    return nil, "attempt to load a binary chunk (the sandbox loads text only)"
  end
  if not string_find(mode, "t", 1, true) then
    return nil, "attempt to load a text chunk (mode is '" .. mode .. "')"
  end
  return compile(source, name, env)
end

--- # Loading code
---
--- As in Lua 5.5, for source text in Lus; there are no binary chunks and no native modules. A text counts against the
--- limit `--source`. Modules are looked for along `package.path`, which is `./?.lus;./?.lua;./?/init.lus;./?/init.lua`
--- at first: `require("a.b")` finds `a/b.lus`. Each state has its own `package.loaded`, so a module runs once in each state that
--- requires it. `package.preload` and `package.searchers` are as in Lua; a searcher of native modules is not among them.

local chunks = {}

--- `load(chunk, name?, mode?, environment?)` → function
--- Compiles a text, or the pieces that a function gives.
---
--- Errors: nil, message: what is wrong with the text.
--- Pledge: `load`.
function chunks.load(...)
  support.must(ALLOW_LOAD)
  local chunk, chunkname, mode, env = ...
  if select("#", ...) < 4 then env = globals end
  mode = mode == nil and "bt" or check_string(3, "load", mode)
  if type(chunk) == "number" then chunk = chunk .. "" end
  if type(chunk) == "string" then
    return compile_text(chunk, chunkname == nil and chunk or check_string(2, "load", chunkname), mode, env)
  end
  if type(chunk) ~= "function" then bad_argument(1, "load", "function", support.argument(1, ...)) end
  local ok, source = pcall(read_all, chunk)
  if not ok then return nil, source end
  return compile_text(source, chunkname == nil and "=(load)" or check_string(2, "load", chunkname), mode, env)
end

--- nil and message where the file can't be read or compiled; a denial is raised.
local function load_path(path, mode, env)
  local source, problem = support.outcome(door(READ_SOURCE, path))
  if not source then return nil, "cannot open " .. problem end
  return compile_text(source, "@" .. path, mode, env)
end

--- `loadfile(path, mode?, environment?)` → function
--- As `load`, for the text of a file.
---
--- Errors: nil, message: what is wrong with the text; the file can't be read.
--- Pledge: `load`, and `fs:read` of the path.
function chunks.loadfile(path, mode, ...)
  path = check_string(1, "loadfile", path)
  local env = globals
  if select("#", ...) > 0 then env = (...) end
  return load_path(path, mode == nil and "bt" or check_string(2, "loadfile", mode), env)
end

--- `dofile(path)` → value, ...
--- Runs a file, and gives what it returns.
---
--- Errors: what is wrong with the text; the file can't be read; what it fails with.
--- Pledge: `load`, and `fs:read` of the path.
function chunks.dofile(path)
  local chunk, problem = load_path(check_string(1, "dofile", path), "t", globals)
  if not chunk then error(problem, 0) end
  return chunk()
end

-- package and require, as in Lua, less what loads native code. -----------------------------------------------------

-- What `require` uses whatever becomes of the fields of the same names, as in Lua; `path` and `searchers` it looks up
-- in `package`, the table that the script sees.
local loaded, preload = {}, {}
local package = parts.package
local library = {
  config = "/\n;\n?\n!\n-\n", cpath = "", path = "./?.lus;./?.lua;./?/init.lus;./?/init.lua",
  loaded = loaded, preload = preload,
}

--- Replaces each plain `from` (one character or more, no pattern) in `text`.
local function replace(text, from, to)
  local parts, at = {}, 1
  while true do
    local first, last = find_plain(text, from, at)
    if not first then break end
    parts[#parts + 1] = string_sub(text, at, first - 1)
    parts[#parts + 1] = to
    at = last + 1
  end
  parts[#parts + 1] = string_sub(text, at)
  return table_concat(parts)
end

--- The first readable file along `path`; else nil, the list of what was tried, and the first denial met: a file that
--- must not be looked at is not the same as a file that is not there.
local function search(name, path, separator, replacement)
  if separator ~= "" then name = replace(name, separator, replacement) end
  local tried, denial = {}, nil
  for template in raw.string_gmatch(path, "[^;]*") do
    local file = replace(template, "?", name)
    local has_name = file ~= "" -- else nobody need be asked
    if has_name and door(READABLE, file) then return file end
    if not has_name or door(LAST_ERRNO) then
      tried[#tried + 1] = "no file '" .. file .. "'"
    else
      local text = door(LAST_ERROR, coroutines.position())
      tried[#tried + 1] = text
      denial = denial or text
    end
  end
  return nil, table_concat(tried, "\n\t"), denial
end

local function is_callable(value)
  local metatable = raw.getmetatable(value)
  return type(value) == "function" or metatable and raw.rawget(metatable, "__call") ~= nil
end

--- `package.searchpath(name, path, separator?, replacement?)` → path
--- The first file along `path` that can be read: `?` stands for the name, in which each separator (`"."`) is
--- replaced (by `"/"`).
---
--- Errors: nil, message: what was tried. A file that may not be looked at is named there with the pledge that it needs.
--- Pledge: `fs:read` of each file that is looked for.
function library.searchpath(...)
  local _, _, separator, replacement = ...
  local path = check_string(2, "searchpath", argument(2, ...))
  local name = check_string(1, "searchpath", argument(1, ...))
  local file, tried = search(name, path,
    separator == nil and "." or check_string(3, "searchpath", separator),
    replacement == nil and "/" or check_string(4, "searchpath", replacement))
  if file then return file end
  return nil, tried
end

library.searchers = {
  function(name)
    name = check_string(1, "searcher", name)
    local loader = preload[name]
    if loader ~= nil then return loader, ":preload:" end
    return "no field package.preload['" .. name .. "']"
  end,
  function(name)
    name = check_string(1, "searcher", name)
    local path = package.path
    if type(path) ~= "string" and type(path) ~= "number" then error("'package.path' must be a string", 0) end
    local file, tried, denial = search(name, path, ".", "/")
    if not file then
      if denial then error("module '" .. name .. "' not found:\n\t" .. tried .. "\n\t" .. denial, 0) end
      return tried
    end
    local loader, problem = load_path(file, "t", globals)
    if not loader then
      error("error loading module '" .. name .. "' from file '" .. file .. "':\n\t" .. problem, 0)
    end
    return loader, file
  end,
}

--- `require(name)` → value, path
--- The value of a module: that in `package.loaded`, or else what it returns when it is run.
---
--- Errors: there is no such module, with all that was tried; what is wrong with its text; what it fails with. Where a
--- file on the way may not be looked at, the error is the denial: that the module is missing can't be known then.
--- Pledge: `load`, and `fs:read` of each file that is looked for, up to the one that is found.
function chunks.require(...)
  local name = check_string(1, "require", argument(1, ...))
  local value = loaded[name]
  if value then return value end
  support.must(ALLOW_LOAD)
  local searchers = package.searchers
  if type(searchers) ~= "table" then error("'package.searchers' must be a table", 2) end
  local tried = {}
  local at = 1
  while true do
    local searcher = raw.rawget(searchers, at)
    if searcher == nil then break end
    if not is_callable(searcher) then error("attempt to call a " .. raw.public_type(searcher) .. " value", 0) end
    local loader, extra = searcher(name)
    if type(loader) == "function" then
      local result = loader(name, extra)
      if result ~= nil then loaded[name] = result end
      if loaded[name] == nil then loaded[name] = true end
      return loaded[name], extra
    end
    if type(loader) == "string" or type(loader) == "number" then tried[#tried + 1] = "\n\t" .. loader end
    at = at + 1
  end
  error("module '" .. name .. "' not found:" .. table_concat(tried), 2)
end

for _, name in raw.next, {
  "_G", "coroutine", "debug", "fs", "io", "math", "os", "package", "string", "table", "utf8", "vector", "worker",
} do
  loaded[name] = raw.rawget(globals, name)
end

for _, chunk in raw.next, chunks do support.behind_global[chunk] = true end

return { library = library, chunks = chunks, absent = { label = "package", names = " loadlib " } }
