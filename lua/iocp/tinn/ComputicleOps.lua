--- TINN's ComputicleOps: the messages of computicles, and values as Lua's source.
-- @module iocp.tinn.ComputicleOps
local ffi = require "ffi"
local TINNThread = require "iocp.tinn.TINNThread"

local ComputicleOps = { Messages = { QUIT = 1, CODE = 2 } }

local function table_text(data)
  if data.__toEssence then
    return data:__toEssence()
  end
  return ("%q"):format(require("dkjson").encode(data, { indent = true })) -- a text of JSON, as his modules have it
end

local texts = {
  cdata = function(data)
    local number = tonumber(data)
    if number then
      return ("%.17g"):format(number)
    end
    return ('TINNThread:StringToPointer("%s")'):format(TINNThread:CreatePointerString(data))
  end,
  table = table_text,
  ["function"] = function(data) return ("loadstring(%q)"):format(string.dump(data)) end,
  string = function(data) return ("%q"):format(data) end,
  number = function(data) return ("%.17g"):format(data) end,
}

--- What has this value when it is run. cdata is carried as its address, tables without __toEssence as JSON.
function ComputicleOps.datumToString(data)
  if ffi.istype("void *", data) and data == nil then
    return "nil"
  end
  local text = texts[type(data)] or tostring
  return text(data)
end

--- Code that sets the fields of a table, `name`.
function ComputicleOps.packParams(params, name)
  local lines = {}
  for key, value in pairs(params or {}) do
    lines[#lines + 1] = ("%s[%s] = %s"):format(name or "_params", ComputicleOps.datumToString(key),
      ComputicleOps.datumToString(value))
  end
  return table.concat(lines, "\n")
end

return ComputicleOps
