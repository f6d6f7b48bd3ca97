--- The site that serves the files of a folder: RFC 9110's conditions and ranges. See connection.lua for what a site is.
-- @module httpd.files
local answer, dates, listing = require "httpd.answer", require "httpd.dates", require "httpd.listing"
local lookup, ranges, transfer = require "httpd.lookup", require "httpd.ranges", require "httpd.transfer"
local files = {}

-- ---- conditions -----------------------------------------------------------------------------------------------------

--- Whether the list of a field has the tag, or is a star.
local function has_tag(list, etag, is_weak_enough)
  if list == "*" then
    return true
  end
  for weak, tag in list:gmatch('(W?/?)("[^"]*")') do
    if tag == etag and (is_weak_enough or weak == "") then
      return true
    end
  end
  return false
end

--- Whether it was changed after the date that a field has; nil: that is no date.
local function is_newer(entry, date)
  local order = dates.order(date)
  return order and dates.order(entry.modified) > order
end

--- 412 or 304 where the request's conditions say so.
local function refusal(fields, entry)
  local if_match, if_none = fields["if-match"], fields["if-none-match"]
  local since, unmodified = fields["if-modified-since"], fields["if-unmodified-since"]
  if if_match and not has_tag(if_match, entry.etag) then
    return 412
  elseif not if_match and unmodified and is_newer(entry, unmodified) then
    return 412
  elseif if_none and has_tag(if_none, entry.etag, true) then
    return 304
  elseif not if_none and since and is_newer(entry, since) == false then
    return 304
  end
end

--- The ranges that are asked for, as ranges.read gives them.
local function asked(request, entry)
  local fields = request.fields
  local range, condition = fields.range, fields["if-range"]
  if not range or request.method ~= "GET" or condition and condition ~= entry.etag and condition ~= entry.modified then
    return nil
  end
  return ranges.read(range, entry.size)
end

-- ---- what is sent ---------------------------------------------------------------------------------------------------

--- Sends a part of the file; true, or nil: the connection is lost, or the file has changed.
local function send_part(entry, client, first, last)
  if entry.text then
    return client:write(entry.text:sub(first + 1, last + 1)) and true
  end
  return transfer.each(entry.file, first, last - first + 1, function(text) return client:write(text) end)
end

--- Head and text of a small file. Those who keep their connection are all sent the same for a second.
local function whole_answer(request, entry)
  if not request.keeps or request.minor == 0 then
    return answer.head(request, 200, entry.whole, entry.text)
  end
  local date = dates.now()
  if entry.date ~= date then
    entry.answer, entry.date = answer.head(request, 200, entry.whole, entry.text), date
  end
  return entry.answer
end

local function send_whole(request, entry, client)
  if request.method == "HEAD" then
    return answer.head(request, 200, entry.whole)
  elseif entry.text then
    return whole_answer(request, entry)
  end
  return client:write(answer.head(request, 200, entry.whole)) and send_part(entry, client, 0, entry.size - 1)
end

local CONTENT_RANGE = "Content-Range: bytes %d-%d/%d\r\n"

local function send_one(request, entry, client, range)
  local fields = ("Content-Type: %s\r\n"):format(entry.type) .. entry.fields
    .. CONTENT_RANGE:format(range[1], range[2], entry.size) .. answer.length(range[2] - range[1] + 1)
  return client:write(answer.head(request, 206, fields))
    and send_part(entry, client, range[1], range[2])
end

local boundaries = 0

--- A line between parts that no file has but by chance.
local function new_boundary()
  boundaries = boundaries + 1
  return ("part-%08x%08x-%d"):format(math.random(0, 2 ^ 31 - 1), math.random(0, 2 ^ 31 - 1), boundaries)
end

local function send_many(request, entry, client, list)
  local boundary, heads, length = new_boundary(), {}, 0
  for i, range in ipairs(list) do
    heads[i] = ("%s--%s\r\nContent-Type: %s\r\n%s\r\n"):format(i > 1 and "\r\n" or "", boundary, entry.type,
      CONTENT_RANGE:format(range[1], range[2], entry.size))
    length = length + #heads[i] + range[2] - range[1] + 1
  end
  local last = ("\r\n--%s--\r\n"):format(boundary)
  local fields = ("Content-Type: multipart/byteranges; boundary=%s\r\n"):format(boundary) .. entry.fields
    .. answer.length(length + #last)
  local ok = client:write(answer.head(request, 206, fields))
  for i, range in ipairs(list) do
    ok = ok and client:write(heads[i]) and send_part(entry, client, range[1], range[2])
  end
  return ok and client:write(last) and true
end

local function send(request, entry, client)
  local fields = request.fields
  local status = refusal(fields, entry)
  if status then
    return answer.status(request, status, entry.fields)
  end
  local list = asked(request, entry)
  if list == nil then
    return send_whole(request, entry, client)
  elseif not list then
    return answer.status(request, 416, ("Content-Range: bytes */%d\r\n"):format(entry.size))
  elseif #list == 1 then
    return send_one(request, entry, client, list[1])
  end
  return send_many(request, entry, client, list)
end

-- ---- the site -------------------------------------------------------------------------------------------------------

local function respond(root, request, client)
  if request.method == "OPTIONS" then
    return answer.status(request, 204, files.ALLOW)
  end
  local entry, status, where, names = lookup.find(root, request.path)
  if entry then
    local result = send(request, entry, client)
    if not entry.text then
      entry.file:close()
    end
    return result
  elseif status then
    return answer.status(request, status, status == 301 and ("Location: %s\r\n"):format(where) or nil)
  end
  return answer.text(request, 200, "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\n"
    .. "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n", listing.page(where, names))
end

files.ALLOW = "Allow: GET, HEAD, OPTIONS\r\n"

--- @param root the folder's path
function files.site(root)
  return {
    methods = { GET = true, HEAD = true, OPTIONS = true }, allow = files.ALLOW,
    respond = function(request, client) return respond(root, request, client) end,
  }
end

return files
