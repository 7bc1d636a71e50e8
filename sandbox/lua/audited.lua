-- The door of a state whose decisions are recorded: each call that may ask for permissions says where the script is.
local raw, door, coroutines = ...
local position = coroutines.native and coroutines.native.position or coroutines.position

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
