-- The one door to the host. `door(operation, …)` is a Python function; nothing but strings, numbers, booleans and nil
-- passes through it in either direction, and no part but this one and `call`'s users can reach it. It never raises: `false`
-- says that the call failed, and the text is fetched by a second call, so that no Python exception can become a Lua value.
local door, raw, position = ...
local error, type = raw.error, raw.type

local host = { call = door }

--- Raises the failure of the last call. `level` as for `error`, counted from the caller: 1 names the function that
--- called `fail`, 2 its caller.
function host.fail(level)
  error(door(LAST_ERROR, position()), level and level + 1 or 3)
end

--- A call whose failure is the script's error.
function host.must(...)
  local answer = door(...)
  if answer == false then error(door(LAST_ERROR, position()), 3) end
  return answer
end

--- The failure as Lua's io library gives it: nil, text and error number; a denial is raised all the same.
function host.outcome(answer)
  if answer ~= false then return answer end
  local text = door(LAST_ERROR, position())
  local number = door(LAST_ERRNO)
  if not number then error(text, 3) end
  return nil, text, number
end

return host
