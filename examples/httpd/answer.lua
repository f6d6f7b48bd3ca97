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

local STATUS = {}
for status, reason in pairs(REASONS) do
  STATUS[status] = ("HTTP/1.1 %d %s\r\nDate: "):format(status, reason)
end

--- What the connection is to be told of itself, and the end of the head.
local function ending(request)
  if not request.keeps then
    return "Connection: close\r\n\r\n"
  end
  return request.minor == 0 and "Connection: keep-alive\r\n\r\n" or "\r\n"
end

--- The head of an answer, and a text behind it. fields: lines, each with its end, among them Content-Length where there
-- is a body.
function answer.head(request, status, fields, text)
  return STATUS[status] .. now() .. "\r\n" .. fields .. ending(request) .. (text or "")
end

local LENGTH = "Content-Length: %d\r\n"

--- The field that tells how long a body is.
function answer.length(bytes)
  return LENGTH:format(bytes)
end

--- An answer that is a text: what is to be sent.
function answer.text(request, status, fields, text)
  return answer.head(request, status, fields .. answer.length(#text), request.method ~= "HEAD" and text or nil)
end

--- The answer for a status that is no success, with a word why; of 204 and 304 there is none.
function answer.status(request, status, fields)
  if status == 204 or status == 304 then
    return answer.head(request, status, fields or "")
  end
  return answer.text(request, status, "Content-Type: text/plain\r\n" .. (fields or ""),
    ("%d %s\n"):format(status, REASONS[status]))
end

return answer
