--- The fields of a head, and what they say of the request: RFC 9112, strictly. What two servers might read in two ways
-- is 400. They know nothing of the request's line, so what a client says in each of its requests is read once, and
-- remembered.
-- @module httpd.fields
local byte, find, lower, match = string.byte, string.find, string.lower, string.match
local memory = require "httpd.memory"
local fields = {}

fields.LIMITS = {
  fields = 100, -- how many: 431
  remembered = 256, -- by each thread, and
  bytes = 262144, -- of them
}

fields.TOKEN = "[%w!#$%%&'*+.^_`|~-]+"
-- Nothing in between but visible characters, blanks and tabs: no bare CR or LF, no NUL, and nothing else of that kind.
fields.LINE = "^(" .. fields.TOKEN .. "):[ \t]*([\t -~\128-\255]*)\r\n()"
fields.HOST = "^[%w.~!$&'()*+,;=:%%%[%]_-]*$"

local ONCE = { host = true, ["content-length"] = true, ["content-type"] = true, range = true }

--- The fields by their names in small letters; those that are there more than once are one list. Or nil, the status.
-- block: all lines, with the empty one behind them.
local function split(block)
  local list, count, at = {}, 0, 1
  while at < #block - 1 do
    local name, value, next_at = match(block, fields.LINE, at)
    if not name then
      return nil, 400
    end
    local last = byte(value, -1)
    if last == 32 or last == 9 then
      value = match(value, "^(.-)[ \t]*$")
    end
    name, count = lower(name), count + 1
    local before = list[name]
    if count > fields.LIMITS.fields then
      return nil, 431
    elseif before and ONCE[name] then
      return nil, 400
    end
    list[name], at = before and before .. ", " .. value or value, next_at
  end
  return list
end

--- Whether the list has the word.
local function has_word(list, word)
  return find("," .. lower(list):gsub("[ \t]", "") .. ",", "," .. word .. ",", 1, true) ~= nil
end

--- The body that follows: is_chunked or length; or the status of what is wrong with what is said of it.
local function read_framing(about, list)
  local coding, length = list["transfer-encoding"], list["content-length"]
  if coding then
    coding = lower(coding)
    if length or select(2, coding:gsub("chunked", "")) > 1 then
      return 400
    elseif coding ~= "chunked" then
      return find(coding, ",[ \t]*chunked$") and 501 or 400
    end
    about.is_chunked = true
  elseif length then
    if not find(length, "^%d+$") then
      return 400
    elseif #length > 15 then
      return 413
    end
    about.length = tonumber(length)
  end
end

local function understand(list)
  local connection, expect = list.connection or "", list.expect
  local about = {
    fields = list, has_host = list.host ~= nil,
    closes = has_word(connection, "close"), keeps_alive = has_word(connection, "keep-alive"),
    expects = expect and (lower(expect) == "100-continue" and "continue" or "else"),
  }
  about.status = list.host and not find(list.host, fields.HOST) and 400 or read_framing(about, list)
  about.has_body = about.is_chunked or (about.length or 0) > 0
  return about
end

local remembered = memory.new(fields.LIMITS.remembered, fields.LIMITS.bytes)

--- Reads fields.
-- @param block their lines, and the empty one behind them
-- @return what they say, not to be changed: fields, by their names in small letters; status: of what is wrong, or nil;
-- has_host, closes, keeps_alive, expects ("continue", "else" or nil), has_body, and then
-- is_chunked or length; or nil, the status
function fields.read(block)
  local about = remembered.known[block]
  if about then
    return about
  end
  local list, status = split(block)
  if not list then
    return nil, status
  end
  about = understand(list)
  memory.put(remembered, block, about, #block)
  return about
end

--- Whether it is a field, as they may also be behind a body.
function fields.is_one(line)
  return find(line .. "\r\n", fields.LINE) ~= nil
end

return fields
