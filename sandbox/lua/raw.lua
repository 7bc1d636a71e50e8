-- The functions of the standard library as they were born, captured before any script runs. Every other part works
-- with these alone: a script may change each table and global that it can see, and what it changes is its own affair.
local string, table, math, coroutine, debug, utf8, os = string, table, math, coroutine, debug, utf8, os

-- With what other parts add, 64 names at most: a larger table takes 1.5 KB more in every state.
return {
  assert = assert, collectgarbage = collectgarbage, error = error, getmetatable = debug.getmetatable, load = load,
  next = next, pcall = pcall, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select,
  setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, xpcall = xpcall,

  string_byte = string.byte, string_char = string.char, string_find = string.find, string_format = string.format,
  string_gmatch = string.gmatch, string_gsub = string.gsub, string_match = string.match, string_pack = string.pack,
  string_rep = string.rep, string_sub = string.sub, string_unpack = string.unpack, string_reverse = string.reverse,
  table_concat = table.concat, table_create = table.create, table_insert = table.insert, table_move = table.move,
  table_pack = table.pack, table_remove = table.remove, table_sort = table.sort, table_unpack = table.unpack,
  math_type = math.type, math_tointeger = math.tointeger,
  utf8_len = utf8.len,

  co_close = coroutine.close, co_create = coroutine.create, co_isyieldable = coroutine.isyieldable,
  co_resume = coroutine.resume, co_running = coroutine.running, co_status = coroutine.status,
  co_yield = coroutine.yield,

  getinfo = debug.getinfo, sethook = debug.sethook, setupvalue = debug.setupvalue, traceback = debug.traceback,

  os_clock = os.clock, os_date = os.date, os_difftime = os.difftime, os_time = os.time,

  -- Filled by the parts that make values of a private kind (see kinds.lua): metatable -> what `type` says of its tables,
  -- metatable -> what a message that can't carry one calls it, and metatable -> how a message carries one.
  type_names = {}, sealed = {}, special = {},

  -- The codec's limits: bytes of one message, tables inside tables.
  max_bytes = 0x7fffffff, max_depth = 10000000,
}
