--- Answers: what is sent before a body, and the pages that say why there is none.
-- @module httpd.answer
local dates = require "httpd.dates"
local now = dates.now
local answer = {}

local REASONS = { [200] = "OK", [204] = "No Content", [206] = "Partial Content", [301] = "Moved Permanently",
  [304] = "Not Modified", [400] = "Bad Request", [404] = "Not Found", [405] = "Method Not Allowed",
  [408] = "Request Timeout", [411] = "Length Required", [412] = "Precondition Failed", [413] = "Content Too Large",
  [414] = "URI Too Long", [416] = "Range Not Satisfiable", [417] = "Expectation Failed",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error", [501] = "Not Implemented",
  [505] = "HTTP Version Not Supported" }
answer.REASONS = REASONS

local STATUS, NO_BODY = {}, { [204] = true, [304] = true }
for status, reason in pairs(REASONS) do
  STATUS[status] = ("HTTP/1.1 %d %s\r\nDate: "):format(status, reason)
end

--- What the connection is to be told of itself.
local function connection_field(request)
  if not request.keeps then
    return "Connection: close\r\n"
  end
  return request.minor == 0 and "Connection: keep-alive\r\n" or ""
end

--- The head of an answer. fields: lines, each with its end; length: of the body.
function answer.head(request, status, fields, length)
  if NO_BODY[status] then
    return STATUS[status] .. now() .. "\r\n" .. fields .. connection_field(request) .. "\r\n"
  end
  return STATUS[status] .. now() .. "\r\n" .. fields .. "Content-Length: " .. ("%d"):format(length) .. "\r\n"
    .. connection_field(request) .. "\r\n"
end

--- An answer that is a text: what is to be sent.
function answer.text(request, status, fields, text)
  local head = answer.head(request, status, fields, #text)
  return request.method == "HEAD" and head or head .. text
end

--- The page for a status that is no success.
function answer.status(request, status, fields)
  local text = NO_BODY[status] and "" or ("%d %s\n"):format(status, REASONS[status])
  return answer.text(request, status, "Content-Type: text/plain\r\n" .. (fields or ""), text)
end

return answer
