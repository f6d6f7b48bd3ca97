-- A crawler of a site: asks for a page, follows the links in it to others of the same server, and tells what is there
-- and which links lead to nothing. A fiber for each connection, in one thread, so what they share needs no lock.
--
--     lua examples/spider.lua                                    looks at a small site of its own, then ends
--     lua examples/spider.lua http://HOST:PORT/PATH [CONNECTIONS [RATE]]     4 connections, 100 pages a second at most
--
-- Its exit code is 1 if a link leads to nothing.
local iocp = require "iocp"

local LIMIT = 10000000 -- bytes of a page that are read

local url, connections, rate = arg[1], tonumber(arg[2] or 4), tonumber(arg[3] or 100)

-- ---- what HTTP has --------------------------------------------------------------------------------------------------

--- The fields of a head by their names in small letters; or nil.
local function read_fields(client)
  local fields, line = {}, client:read("l")
  while line and line ~= "" do
    local name, value = line:match("^([^:]+):[ \t]*(.-)[ \t]*$")
    if name then
      fields[name:lower()] = value
    end
    line = client:read("l")
  end
  return line and fields
end

local function read_chunks(client)
  local parts, sum = {}, 0
  while true do
    local size = tonumber((client:read("l") or ""):match("^%x+"), 16)
    sum = sum + (size or 0)
    if not size or sum > LIMIT then
      return nil
    elseif size == 0 then
      return read_fields(client) and table.concat(parts)
    end
    parts[#parts + 1] = client:read(size)
    client:read("l")
  end
end

local function read_body(client, fields)
  if (fields["transfer-encoding"] or ""):lower() == "chunked" then
    return read_chunks(client)
  end
  local length = tonumber(fields["content-length"])
  if length == 0 then
    return ""
  end
  return client:read(math.min(length or LIMIT, LIMIT))
end

--- A page: status, fields, body; or nil, why there is none.
local function get(client, host, port, path)
  client:write(("GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n"):format(path, host, port))
  local line, message = client:read("l")
  local status = line and tonumber(line:match("^HTTP/1%.%d (%d%d%d)"))
  local fields = status and read_fields(client)
  local body = fields and read_body(client, fields)
  if not body then
    return nil, message or "no answer that is understood"
  end
  return status, fields, body
end

--- The path that a link leads to from a page; nil: to another server, or to no page at all.
local function resolve(link, base, host, port)
  link = link:gsub("&amp;", "&"):gsub("#.*$", "")
  local authority, rest = link:match("^http://([^/?]+)(.*)$")
  if authority then
    link = authority == ("%s:%d"):format(host, port) and (rest:find("^/") and rest or "/" .. rest) or "other:"
  end
  if link:find("^%a[%w+.-]*:") or link:find("^//") or link == "" then
    return nil
  end
  local path, query = link:match("^([^?]*)(.*)$")
  path = path == "" and base or path:find("^/") and path or base:match("^(.*/)") .. path
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then
      table.remove(parts)
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  local is_folder = path:find("/%.?%.?$") and #parts > 0
  return "/" .. table.concat(parts, "/") .. (is_folder and "/" or "") .. query
end

-- ---- crawling -------------------------------------------------------------------------------------------------------

--- What a crawl knows: pages by their paths, and those that nobody has asked for yet.
local function new_crawl(host, port, path)
  return { host = host, port = port, pages = { [path] = { from = "(the start)" } }, frontier = { path }, busy = 0,
    changed = iocp.Condition(), next_at = iocp.clock() }
end

--- The next path to ask for, at its time; nil: there is none, and none will come.
local function take(crawl)
  while #crawl.frontier == 0 and crawl.busy > 0 do
    crawl.changed:wait()
  end
  local path = table.remove(crawl.frontier, 1)
  if path then
    crawl.busy = crawl.busy + 1
    local due = math.max(crawl.next_at, iocp.clock())
    crawl.next_at = due + 1000 / rate
    iocp.sleep(math.max(0, due - iocp.clock()))
  end
  return path
end

local function follow(crawl, link, path)
  local target = resolve(link, path:gsub("%?.*$", ""), crawl.host, crawl.port)
  if target and not crawl.pages[target] then
    crawl.pages[target] = { from = path }
    crawl.frontier[#crawl.frontier + 1] = target
  end
end

local function note(crawl, path, status, fields, body)
  local page = crawl.pages[path]
  page.status, page.trouble = status, not status and fields or nil
  if status and status >= 300 and status < 400 and fields.location then
    follow(crawl, fields.location, path)
  elseif status and (fields["content-type"] or ""):find("^text/html") then
    for link in body:gmatch("[%s<][hs]r[ec]f?%s*=%s*[\"']([^\"'<>]*)") do
      follow(crawl, link, path)
    end
  end
  page.bytes = status and #body
  crawl.busy = crawl.busy - 1
  crawl.changed:broadcast()
end

--- One connection, which is made anew where the server has ended it.
local function work(crawl)
  local client
  local path = take(crawl)
  while path do
    local message
    if not client then
      client, message = iocp.connect(crawl.host, crawl.port, { timeout = 10000 })
    end
    local status, fields, body = nil, message, nil
    if client then
      status, fields, body = get(client, crawl.host, crawl.port, path)
    end
    if client and (not status or (fields.connection or ""):lower() == "close" or not fields["content-length"]) then
      client:close()
      client = nil
    end
    note(crawl, path, status, fields, body)
    path = take(crawl)
  end
  if client then
    client:close()
  end
end

--- Prints what was found; whether all links lead somewhere.
local function report(crawl, seconds)
  local paths, bytes, broken = {}, 0, 0
  for path in pairs(crawl.pages) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local page = crawl.pages[path]
    bytes = bytes + (page.bytes or 0)
    print(("%s %9d  %s"):format(page.status or "---", page.bytes or 0, path))
    if not page.status or page.status >= 400 then
      broken = broken + 1
      print(("  the link is in %s; %s"):format(page.from, page.trouble or "there is no such page"))
    end
  end
  print(("%d pages, %d bytes in %.2f s; %d broken links"):format(#paths, bytes, seconds, broken))
  return broken == 0
end

local function crawl_site(host, port, path)
  local crawl, begun = new_crawl(host, port, path), iocp.clock()
  iocp.run(function()
    for _ = 1, connections do
      iocp.spawn(work, crawl)
    end
  end)
  return report(crawl, (iocp.clock() - begun) / 1000)
end

-- ---- a site of its own ----------------------------------------------------------------------------------------------

--- Answers with small pages, of which each has links to others, one of them to nothing.
local function serve(client)
  local PAGES = {
    ["/"] = '<a href="a/">A</a> <a href="/b.html?x=1&amp;y=2#here">B</a> <a href="http://example.org/">away</a>',
    ["/a/"] = '<img src="../picture.png"><a href="./../b.html">B</a> <a href="deeper/c.html">C</a>',
    ["/a/deeper/c.html"] = '<a href="/">home</a> <a href="../../nothing.html">nothing</a>',
    ["/b.html"] = '<a href="mailto:nobody">mail</a> <a href="">here</a>',
    ["/picture.png"] = "picture",
  }
  local line, path = client:read(), nil
  while line do
    path = line:match("^GET ([^? ]+)") or path
    if line == "" then
      local page = PAGES[path]
      client:write(("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"):format(page and "200 OK"
        or "404 Not Found", path:find("png$") and "image/png" or "text/html", #(page or ""), page or ""))
    end
    line = client:read()
  end
end

if url then
  local host, port, path = url:match("^http://([^:/]+):?(%d*)(.*)$")
  if not host or not connections or not rate or rate <= 0 then
    io.stderr:write("usage: lua examples/spider.lua [http://HOST:PORT/PATH [CONNECTIONS [RATE]]]\n")
    os.exit(2)
  end
  os.exit(crawl_site(host, tonumber(port) or 80, path ~= "" and path or "/") and 0 or 1)
end
local service = assert(iocp.serve { host = "127.0.0.1", workers = 1, handler = serve })
local host, port = service:address()
crawl_site(host, port, "/")
service:stop(5000)
