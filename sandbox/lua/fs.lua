-- fs: directories and files as a whole. What touches them is the host's part (calls_fs.py); paths as text are dealt with
-- here.
local raw, door, _, _, parts = ...
local support = parts.support
local select = raw.select
local string_sub, string_find, string_byte = raw.string_sub, raw.string_find, raw.string_byte
local concat = raw.table_concat
local check_string, outcome = support.check_string, support.outcome

--- # Files and directories
---
--- What can't be done gives nil, a message that begins with the path, and the number of the operating system's error, as
--- `io.open` does; `assert(fs.list(dir))` makes an error of it. Only what the pledges do not allow is an error itself, as
--- everywhere.
---
--- Each function asks for its pledge for the real path that it comes to, and changes what it has found there, whatever
--- is renamed meanwhile. Where a path ends with a symbolic link, `fs.list` and `fs.copy` follow it; the others are
--- about the link itself. Of the program's output (`--output`) every byte that is written counts as one, and every
--- file, directory or link that is made as 1 KiB.

local library = {}

local ANY <const>, ONE <const>, ESCAPE <const> = 42, 63, 92

--- The position behind the pattern's element at `at`, and the byte that it stands for, if it is one alone.
local function element(pattern, at)
  local byte = string_byte(pattern, at)
  if byte == ESCAPE and at < #pattern then return at + 2, string_byte(pattern, at + 1) end
  return at + 1, byte ~= ONE and byte or nil
end

--- Whether `*` and `?` in the pattern can stand for something so that it is the name. Only the last `*` is ever tried anew,
--- so the time is at worst the product of both lengths.
local function matches(name, pattern)
  local at, place, star, resume = 1, 1, nil, nil
  while at <= #name do
    local is_any = string_byte(pattern, place) == ANY
    if is_any then
      star, resume, place = place, at, place + 1
    else
      local behind, byte
      if place <= #pattern then behind, byte = element(pattern, place) end
      if behind and (byte == nil or byte == string_byte(name, at)) then
        at, place = at + 1, behind
      elseif star then
        resume = resume + 1
        at, place = resume, star + 1
      else
        return false
      end
    end
  end
  return not string_find(pattern, "[^*]", place)
end

--- `fs.list(directory, glob?)` → names
--- The names of what is in the directory, in ascending order; of those the ones that the glob matches: in it `*` stands
--- for any characters, also at the beginning of a name, `?` for one byte, and `\*` for a star. `.` and `..` are left out,
--- and so is what a rejection (`~fs:read=…`) names.
---
---     for _, name in ipairs(fs.list("logs", "*.log")) do print(fs.path.join("logs", name)) end
---
--- Errors: what is no directory; more than 1,000,000 names.
--- Pledge: `fs:read` of the directory.
function library.list(directory, glob)
  directory = check_string(1, "list", directory)
  if glob ~= nil then glob = check_string(2, "list", glob) end
  local text, problem, number = outcome(door(FS_LIST, directory))
  if not text then return nil, problem, number end
  local names, count = {}, 0
  for name in raw.string_gmatch(text, "[^\0]+") do
    if not glob or matches(name, glob) then
      count = count + 1
      names[count] = name
    end
  end
  parts.guards.sort(names)
  return names
end

--- `fs.type(path)` → kind, is_link
--- What is there: `"file"`, `"directory"`, `"pipe"`, `"socket"` or `"device"`; and whether the path is a symbolic link to
--- it. A link that leads to nothing, or to where the script may not look, is a `"link"`.
---
--- Errors: nothing is there.
--- Pledge: `fs:read` of the path.
function library.type(path)
  local kind, problem, number = outcome(door(FS_TYPE, check_string(1, "type", path)))
  if not kind then return nil, problem, number end
  local is_link = string_sub(kind, 1, 1) == "@"
  return is_link and string_sub(kind, 2) or kind, is_link
end

--- `fs.copy(from, to)` → true
--- Copies the content of a file, and of its mode what the umask leaves. A file that is there already is overwritten, and
--- keeps its mode.
---
--- Errors: either is a directory, or no regular file; both are the same.
--- Pledge: `fs:read` of `from`, `fs:write` of `to`.
function library.copy(from, to)
  return outcome(door(FS_COPY, check_string(1, "copy", from), check_string(2, "copy", to)))
end

--- `fs.move(from, to)` → true
--- Gives a file, a directory with all that is in it, or a link another name, at once. A file that is there already is
--- replaced, and so is an empty directory by a directory.
---
--- Errors: another file system; a directory into itself.
--- Pledge: `fs:write` of both, and `fs:read` of `from`, for a directory all beneath included. A
--- relative link may only go where it leads to what may be written to (links within a directory are moved unseen).
function library.move(from, to)
  return outcome(door(FS_MOVE, check_string(1, "move", from), check_string(2, "move", to)))
end

--- `fs.remove(path, recursive?)` → true
--- Removes a file, a link or an empty directory; if `recursive` is true, a directory with all that is in it: links in it
--- are removed, and what they lead to is left alone.
---
--- Errors: nothing is there; a directory is not empty. What is removed by then stays removed.
--- Pledge: `fs:write` of the path; with `recursive`, of all beneath it.
function library.remove(path, recursive)
  return outcome(door(FS_REMOVE, check_string(1, "remove", path), not not recursive))
end

--- `fs.createdirectory(path, parents?)` → true
--- Makes a directory; if `parents` is true, also those above it that are missing, and it is no error that it is there.
---
--- Errors: there is something already; the directory above it is missing.
--- Pledge: `fs:write` of what is made.
function library.createdirectory(path, parents)
  return outcome(door(FS_MAKE_DIRECTORY, check_string(1, "createdirectory", path), not not parents))
end

--- `fs.createlink(target, path)` → true
--- Makes a symbolic link at `path`. It holds the absolute real path of the target, which need not be there. Links lead
--- only where the script could write itself, so that they bring no other program to write elsewhere.
---
--- Errors: there is something already.
--- Pledge: `fs:write` of both.
function library.createlink(target, path)
  return outcome(door(FS_MAKE_LINK, check_string(1, "createlink", target), check_string(2, "createlink", path)))
end

--- `fs.follow(path)` → path
--- The path that a symbolic link holds, as it is: it may be relative to the link's directory, lead to a further link, or
--- nowhere.
---
--- Errors: what is there is no link.
--- Pledge: `fs:read` of the path.
function library.follow(path)
  return outcome(door(FS_FOLLOW, check_string(1, "follow", path)))
end

--- # Paths
---
--- Paths as text: nothing is looked up, so that `..` and links stay as they are. `fs.path.separator` is `"/"`, and
--- `fs.path.delimiter`, which stands between paths in a list of them, `":"`.

local path = { separator = "/", delimiter = ":" }

--- `fs.path.join(part, ...)` → path
--- The parts with a slash between them where there is none. Empty parts are left out, and an absolute part begins anew.
---
---     fs.path.join("logs/", "2024", "may.log")  --> logs/2024/may.log
---     fs.path.join("logs", "/etc")              --> /etc
---
--- Errors: none.
--- Pledge: none.
function path.join(...)
  local pieces, used = { ... }, 0
  for i = 1, select("#", ...) do
    local part = check_string(i, "join", pieces[i])
    if part ~= "" then
      if string_byte(part) == 47 then used = 0 end
      if used > 0 and string_sub(pieces[used], -1) ~= "/" then pieces[used] = pieces[used] .. "/" end
      used = used + 1
      pieces[used] = part
    end
  end
  return concat(pieces, "", 1, used)
end

--- Where the last component begins and ends; nil if there is none (`""`, `"/"`).
local function last_component(text)
  local last = #text
  while last > 0 and string_byte(text, last) == 47 do last = last - 1 end
  local first = last
  while first > 0 and string_byte(text, first) ~= 47 do first = first - 1 end
  if last > 0 then return first + 1, last end
end

--- `fs.path.name(path)` → name
--- The last component; of `"/"`, which has none, `"/"`.
---
--- Errors: none.
--- Pledge: none.
function path.name(text)
  text = check_string(1, "name", text)
  local first, last = last_component(text)
  if first then return string_sub(text, first, last) end
  return text ~= "" and "/" or ""
end

--- `fs.path.parent(path)` → path
--- All before the last component: where it lies. `"."` for a name alone, `"/"` for `"/"`.
---
--- Errors: none.
--- Pledge: none.
function path.parent(text)
  text = check_string(1, "parent", text)
  local first = last_component(text)
  if not first then return text ~= "" and "/" or "." end
  local last = first - 1
  while last > 0 and string_byte(text, last) == 47 do last = last - 1 end
  if last > 0 then return string_sub(text, 1, last) end
  return first > 1 and "/" or "."
end

--- `fs.path.split(path)` → list
--- The components; that of an absolute path begin with `"/"`. What `fs.path.join` makes of them is the same path.
---
---     fs.path.split("/srv//logs/")  --> { "/", "srv", "logs" }
---
--- Errors: none.
--- Pledge: none.
function path.split(text)
  text = check_string(1, "split", text)
  local components, count = {}, 0
  if string_byte(text) == 47 then components[1], count = "/", 1 end
  for component in raw.string_gmatch(text, "[^/]+") do
    count = count + 1
    components[count] = component
  end
  return components
end

library.path = path

return { library = library }
