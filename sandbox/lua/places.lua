-- How error messages say where in nested tables something lies: `.callback[3]["two words"]`.
local raw = ...
local format, gsub, byte = raw.string_format, raw.string_gsub, raw.string_byte
local find, sub, concat = raw.string_find, raw.string_sub, raw.table_concat
local math_type, type, getmetatable = raw.math_type, raw.type, raw.getmetatable
local tostring, utf8_len = raw.tostring, raw.utf8_len
local special = raw.special or {}

local KEY_LENGTH <const> = 40 -- longer keys are cut
local PATH_ENDS <const> = 8   -- parts shown at each end of a longer path

local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(character)
  return ESCAPES[character] or (gsub(character, ".", function(c) return format("\\x%02X", byte(c)) end))
end

--- A key as a part of a path.
local function key_text(key)
  if type(key) == "string" then
    if #key <= KEY_LENGTH and find(key, "^[%a_][%w_]*$") then return "." .. key end
    local text, dots = key, ""
    if #text > KEY_LENGTH then text, dots = sub(text, 1, KEY_LENGTH - 3), "..." end
    -- C1 controls are controls too; other bytes beyond ASCII are shown when they are UTF-8 (also up to the cut).
    text = gsub(text, '[%c"\\]', escape)
    text = utf8_len(text) and gsub(text, "\xC2[\x80-\x9F]", escape) or gsub(text, "[\x80-\xFF]", escape)
    return '["' .. text .. dots .. '"]'
  end
  local kind = math_type(key)
  if kind then return "[" .. format(kind == "integer" and "%d" or "%.14g", key) .. "]" end
  if type(key) == "boolean" then return "[" .. tostring(key) .. "]" end
  return "[" .. ((special[getmetatable(key)] or {}).name or type(key)) .. "]"
end

--- A path of `count` such parts, the middle of a long one left out.
local function path_text(path, count)
  if count <= 2 * PATH_ENDS then return concat(path, "", 1, count) end
  return concat(path, "", 1, PATH_ENDS) .. "…" .. concat(path, "", count - PATH_ENDS + 1, count)
end

return { key_text = key_text, path_text = path_text }
