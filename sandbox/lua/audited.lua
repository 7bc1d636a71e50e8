-- The door of a state whose decisions are recorded: each call that may ask for permissions says where the script is. Where
-- there is the native module, the host asks that instead, and only for what is decided: it takes a quarter of the time.
local raw, door, coroutines = ...
local position = coroutines.position

-- PLEDGE has its position anyhow.
local ASK = {
  [CREATE_PREPARE] = true, [FUNCTION_PREPARE] = true, [ALLOW_LOAD] = true, [READ_SOURCE] = true, [READABLE] = true,
  [GETENV] = true, [FILE_OPEN] = true, [FS_LIST] = true, [FS_TYPE] = true, [FS_FOLLOW] = true, [FS_COPY] = true,
  [FS_MOVE] = true, [FS_REMOVE] = true, [FS_MAKE_DIRECTORY] = true, [FS_MAKE_LINK] = true, [FS_TEMPORARY_NAME] = true,
}

return function(operation, ...)
  if ASK[operation] then return door(ASKING, position(), operation, ...) end
  return door(operation, ...)
end
