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

--- What a @return line says: "`true`; or nil, message, code: `CLOSED`".
function words.result(values)
  local said, fails = {}, #values > 1 and values[#values].type == "iocp.Code?"
  for i = 1, #values - (fails and 2 or 0) do
    local type = i == 1 and fails and words.needed(values[i].type):gsub("|nil|", "|") or words.type(values[i].type)
    said[i] = ("`%s`%s"):format(type, values[i].name and " " .. values[i].name or "")
  end
  local text = table.concat(said, ", ") .. (fails and "; or nil, message, code" or "")
  return text .. (values.text ~= "" and ": " .. words.with_codes(values.text) or "")
end

return words
