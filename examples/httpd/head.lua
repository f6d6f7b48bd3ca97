--- The head of a request: RFC 9112, strictly. What two servers might read in two ways is no request: 400.
-- @module httpd.head
local byte, find, lower, match, sub = string.byte, string.find, string.lower, string.match, string.sub
local head = {}

head.LIMITS = {
  line = 8192, -- bytes of the request's line: 414
  head = 16384, -- bytes of all: 431
  fields = 100, -- how many: 431
}

local TOKEN = "[%w!#$%%&'*+.^_`|~-]+"
-- Nothing in between but visible characters, blanks and tabs: no bare CR or LF, no NUL, and nothing else of that kind.
head.FIELD = "^(" .. TOKEN .. "):[ \t]*([\t -~\128-\255]*)\r\n()"
local REQUEST = "^(" .. TOKEN .. ") ([!-~]+) HTTP/(%d)%.(%d)\r\n()"
local HOST = "^[%w.~!$&'()*+,;=:%%%[%]_-]*$"

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, CONNECT = true, OPTIONS = true,
  TRACE = true, PATCH = true }
local HAS_CONTENT = { POST = true, PUT = true, PATCH = true }
local ONCE = { host = true, ["content-length"] = true, ["content-type"] = true, range = true }

--- The fields from `at` on, by their names in small letters; those that are there more than once are a list. And where
-- what is behind them begins; or nil, the status.
local function read_fields(text, at)
  local fields, count = {}, 0
  while true do
    local name, value, next_at = match(text, head.FIELD, at)
    if not name then
      break
    end
    local last = byte(value, -1)
    if last == 32 or last == 9 then
      value = match(value, "^(.-)[ \t]*$")
    end
    name, count = lower(name), count + 1
    local before = fields[name]
    if count > head.LIMITS.fields then
      return nil, 431
    elseif before and ONCE[name] then
      return nil, 400
    end
    fields[name], at = before and before .. ", " .. value or value, next_at
  end
  if sub(text, at, at + 1) ~= "\r\n" then
    return nil, 400
  end
  return fields, at + 2
end

--- Whether the list has the word.
local function has_word(list, word)
  return find("," .. lower(list):gsub("[ \t]", "") .. ",", "," .. word .. ",", 1, true) ~= nil
end

--- Where the body ends: what is wrong with what the fields say of it.
local function read_framing(request)
  local fields = request.fields
  local coding, length = fields["transfer-encoding"], fields["content-length"]
  if coding then
    coding = lower(coding)
    if length or request.minor == 0 or select(2, coding:gsub("chunked", "")) > 1 then
      return 400
    elseif coding ~= "chunked" then
      return find(coding, ",[ \t]*chunked$") and 501 or 400
    end
    request.is_chunked = true
  elseif length then
    if not find(length, "^%d+$") then
      return 400
    elseif #length > 15 then
      return 413
    end
    request.length = tonumber(length)
  elseif HAS_CONTENT[request.method] then
    return 411
  end
end

--- The path of the target, and what is behind the question mark; nothing: it has none.
local function read_target(request)
  local target = request.target
  if byte(target) ~= 47 then -- http://host/path is a target, too
    local authority, rest = match(target, "^[hH][tT][tT][pP]://([^/?#]+)(.*)$")
    if request.method == "OPTIONS" and target == "*" then
      authority, rest = "", "/"
    elseif not authority or find(authority, "@", 1, true) or not find(authority, HOST) then
      return request.method == "CONNECT" and 405 or 400
    end
    target = byte(rest) == 47 and rest or "/" .. rest
  end
  if find(target, "#", 1, true) then
    return 400
  end
  local mark = find(target, "?", 1, true)
  request.path = mark and sub(target, 1, mark - 1) or target
  request.query = mark and sub(target, mark + 1)
end

--- What the fields say; or the status of what is wrong with them.
local function understand(request)
  local fields, connection = request.fields, request.fields.connection
  if request.minor > 0 and not fields.host or fields.host and not find(fields.host, HOST) then
    return 400
  end
  if request.minor > 0 then
    request.keeps = not (connection and has_word(connection, "close"))
  else
    request.keeps = connection ~= nil and has_word(connection, "keep-alive") and not has_word(connection, "close")
  end
  local expect = fields.expect
  if expect and request.minor > 0 then
    if lower(expect) ~= "100-continue" then
      return 417
    end
    request.expects = true
  end
  return not METHODS[request.method] and 501 or read_framing(request) or read_target(request)
end

--- Whether what is there can still become a head: nil, nothing; or nil, status.
local function unfinished(text, at)
  if find(text, "[^\r]\n", at) or find(text, "^\n", at) or find(text, "\r[^\n]", at) then
    return nil, 400
  end
  local size, limits = #text - at + 1, head.LIMITS
  if size > limits.line and not find(text, "\r\n", at, true) then
    return nil, 414
  end
  return nil, size > limits.head and 431 or nil
end

--- Reads a head that begins at `at`.
-- @return the request: method, target, path, query, minor (of the version), fields, keeps (the connection), expects
-- (100 Continue), length or is_chunked (of a body that follows), and where what follows it begins; or nil: it is not
-- whole yet; or nil, the status that it is to be answered with: the connection cannot be kept then
function head.read(text, at)
  if sub(text, at, at + 1) == "\r\n" then
    at = at + 2 -- some clients end a body with it
  end
  local last = find(text, "\r\n\r\n", at, true)
  if not last then
    return unfinished(text, at)
  elseif last - at > head.LIMITS.head then
    return nil, 431
  end
  local method, target, major, minor, fields_at = match(text, REQUEST, at)
  if not method then
    return nil, 400
  elseif fields_at - at > head.LIMITS.line then
    return nil, 414
  elseif major ~= "1" then
    return nil, 505
  end
  local fields, next_at = read_fields(text, fields_at)
  if not fields then
    return nil, next_at
  end
  local request = { method = method, target = target, minor = byte(minor) - 48, fields = fields }
  local status = understand(request)
  if status then
    return nil, status
  end
  return request, next_at
end

return head
