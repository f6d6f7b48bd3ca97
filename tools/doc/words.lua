--- What both forms of the reference say of types, arguments and results, in Markdown.
local words = {}

-- This module's own codes; all others begin with an E.
local CODES = "|TIMEOUT|CLOSED|ABANDONED|CANCELLED|NOMEM|INVALID|ERROR|RAW|MESSAGE|EXISTS|MISSING|FULL|"

--- The text, its codes marked.
function words.with_codes(text)
  return (text:gsub("%f[%w_`%.]%u[%u_%d]+%f[^%w_`]", function(word)
    return (word:find("^E%u") or CODES:find("|" .. word .. "|", 1, true)) and "`" .. word .. "`" or nil
  end))
end

--- A type, shorter than LuaCATS: without "iocp." before what is a type there.
function words.type(text)
  return (text:gsub("iocp%.(%u)", "%1"))
end

--- Of what may be left out, without the nil.
function words.needed(text)
  return (words.type(text):gsub("^nil|", ""):gsub("|nil$", ""):gsub("%?$", ""))
end

--- "`ms?: number` text", of an argument or a field.
function words.argument(param)
  local its = param.optional and words.needed(param.type) or words.type(param.type)
  return ("`%s%s: %s` %s"):format(param.name, param.optional and "?" or "", its, words.with_codes(param.text))
end

-- The type of codes, of this module or one beside it.
local CODE = "iocp%.[%l.]*Code"

-- "integer" of "integer|string|nil" without string; "" where nothing else is left. The name is a pattern.
local function without(text, name)
  local rest = {}
  for part in (text:gsub("%?$", "") .. "|"):gmatch("(.-)|") do
    if not part:find("^" .. name .. "$") and part ~= "nil" then
      rest[#rest + 1] = part
    end
  end
  return table.concat(rest, "|")
end

-- The types of what is returned, as they are where nothing has failed, by value; and whether something may.
local function types_of(values)
  local types, last = {}, #values
  local fails = last > 2 and values[last].type:find(CODE) ~= nil
  for i, value in ipairs(values) do
    types[i] = value.type
  end
  if fails then
    types[1], types[last] = without(types[1], "nil"), without(types[last], CODE)
    types[last - 1] = types[last - 1] == "string?" and "" or values[last - 1].type:find("|", 1, true)
      and without(types[last - 1], "string") or types[last - 1]
  end
  return types, fails
end

--- What a @return line says: "`true`; or nil, message, code: `CLOSED`".
function words.result(values)
  local said = {}
  local types, fails = types_of(values)
  for i, value in ipairs(values) do
    if types[i] ~= "" then
      said[#said + 1] = ("`%s`%s"):format(words.type(types[i]), value.name and " " .. value.name or "")
    end
  end
  local text = table.concat(said, ", ") .. (fails and "; or nil, message, code" or "")
  return text .. (values.text ~= "" and ": " .. words.with_codes(values.text) or "")
end

return words
