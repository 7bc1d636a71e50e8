-- Says what the codec could not put into a message, and where it lies: `argument #2, field .callback[3]: cannot copy a
-- function`. Apart from codec.lua, as few states ever need it.
local raw, _, _, _, parts = ...
local math_type, next = raw.math_type, raw.next
local key_text, path_text = parts.places.key_text, parts.places.path_text

-- The table that mentions each table first, but for those of the top level: found by reading them again in the same
-- order, as only a failure needs to know.
local function find_parents(job)
  local ids, parents = job.ids, {}
  local function adopt(child, id)
    local number = ids[child]
    if number and number > job.top_count and not parents[number] then parents[number] = id end
  end
  for id = 1, job.current do
    for key, value in next, job.queue[id] do
      adopt(value, id)
      adopt(key, id)
    end
  end
  return parents
end

-- The key in `t` under which table `id` lies.
local function part_to(t, id, ids)
  for key, value in next, t do
    if ids[value] == id then return key_text(key) end
    if ids[key] == id then return "<key>" end
  end
  return "[?]" -- a weak table has lost the entry since
end

-- The path from the top level to the failing table and `last_part`, and the number of the top-level table.
local function path_to(job, last_part)
  local parents, id = find_parents(job), job.current
  local reversed, n = { last_part }, 1
  while parents[id] do
    n = n + 1
    reversed[n] = part_to(job.queue[parents[id]], id, job.ids)
    id = parents[id]
  end
  local path = {}
  for i = 1, n do path[i] = reversed[n - i + 1] end
  return path_text(path, n), id
end

-- `what` names the single value (or is nil), or is the number of the first value in the script's argument list.
local function place(what, index, path, is_key)
  local name = math_type(what) and "argument #" .. what + index - 1 or what or ""
  local field = path ~= "" and "field " .. path or ""
  if is_key then field = field ~= "" and "key of " .. field or "a key" end
  return name .. (name ~= "" and field ~= "" and ", " or "") .. field
end

local function where(job)
  if job.index then return place(job.what, job.index, "") end
  if not job.top_count then return "" end
  local path, top = path_to(job, job.is_key and "" or key_text(job.key))
  local index = 1
  while job.ids[job.values[index]] ~= top do index = index + 1 end
  return place(job.what, index, path, job.is_key)
end

-- A failed job (see codec_encode.lua) in words. `why` is "large", "deep" or the reason itself; `index` is the top-level
-- value that failed, or `key` the key of table `current` whose value failed, or which itself did.
return function(job)
  local at, why = where(job), job.why
  local aside = at ~= "" and " (at " .. at .. ")" or ""
  if why == "large" then return "message is larger than the limit of " .. raw.max_bytes .. " bytes" .. aside end
  if why == "deep" then return "message is nested deeper than the limit of " .. raw.max_depth .. " levels" .. aside end
  return (at ~= "" and at .. ": " or "") .. why
end
