-- The HTTP server of examples/httpd over iocp.serve: the files of a folder, and nothing else.
local iocp = require "iocp"
local support = require "support"
local http = require "support.http"
local lfs = require "lfs"

local root, outside, service, host, port

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local LARGE = {}
for i = 1, 30000 do
  LARGE[i] = ("line %d\n"):format(i)
end
LARGE = table.concat(LARGE)
-- What is not to be taken for a page or an address: the name, as it is in a link, and as it is shown.
local NAMED = support.windows and { "&'%20 .txt", "%26%27%2520%20.txt", "&amp;&#39;%20 .txt" }
  or { "<b>&\"'%20 \195\188.txt", "%3Cb%3E%26%22%27%2520%20%C3%BC.txt",
    "&lt;b&gt;&amp;&quot;&#39;%20 \195\188.txt" }

local function make_folder()
  local base = support.temporary()
  os.remove(base)
  root, outside = base .. ".root", base .. ".secret"
  for _, folder in ipairs { root, root .. "/sub", root .. "/with_index" } do
    assert(lfs.mkdir(folder))
  end
  write(outside, "secret")
  write(root .. "/small.txt", "0123456789")
  write(root .. "/empty.bin", "")
  write(root .. "/large.txt", LARGE)
  write(root .. "/sub/inner.html", "<p>inner</p>")
  write(root .. "/with_index/index.html", "<p>index</p>")
  write(root .. "/.hidden", "hidden")
  write(root .. "/" .. NAMED[1], "named")
  if not support.windows then
    assert(lfs.link(outside, root .. "/link.txt", true))
    assert(lfs.link("/", root .. "/link", true))
    assert(lfs.link(root .. "/sub", root .. "/sub/loop", true))
    assert(lfs.link(root .. "/small.txt", root .. "/with_index/small.txt", true))
    assert(os.execute("mkfifo '" .. root .. "/fifo'"))
  end
end

local function remove_folder()
  for _, folder in ipairs { root .. "/sub", root .. "/with_index", root } do
    for name in lfs.dir(folder) do
      os.remove(folder .. "/" .. name)
    end
    lfs.rmdir(folder)
  end
  os.remove(outside)
end

--- One request on a connection of its own: the answer.
local function ask(path, lines, method)
  local text = ("%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n"):format(method or "GET", path, lines or "")
  return (http.read(http.ask(host, port, text), 1, method))
end

local function serve()
  make_folder()
  local folder = root
  service = assert(iocp.serve { host = "127.0.0.1", workers = 2, handler = function(client, worker)
    require("httpd.connection").serve(client, require("httpd.files").site(folder), worker)
  end })
  host, port = service:address()
end

local function stop()
  local ended = service:stop(support.patience(10000))
  remove_folder()
  assert.is_true(ended)
end

describe("the files of a folder", function()
  setup(serve)
  teardown(stop)

  it("are sent as they are", function()
    local answer = ask("/small.txt")
    assert.same({ 200, "0123456789", "text/plain; charset=utf-8", "bytes" },
      { answer.status, answer.body, answer.fields["content-type"], answer.fields["accept-ranges"] })
    assert.equal("0123456789", ask("/small.txt?query").body)
    assert.equal("", ask("/empty.bin").body)
    assert.equal(LARGE, ask("/large.txt").body)
    assert.equal("<p>inner</p>", ask("/sub/inner%2ehtml").body)
    assert.equal("<p>index</p>", ask("/with_index/").body)
    assert.equal("named", ask("/" .. NAMED[2]).body)
  end)

  it("are sent without a body for HEAD", function()
    for _, path in ipairs { "/small.txt", "/large.txt", "/", "/nothing" } do
      local get, headed = ask(path), ask(path, nil, "HEAD")
      assert.equal(get.status, headed.status)
      assert.equal(get.fields["content-length"], headed.fields["content-length"])
    end
  end)

  it("are all that can be reached", function()
    for _, path in ipairs { "/nothing", "/small.txt/", "/small.txt/x", "/link.txt", "/link", "/link/",
      "/link/etc/passwd", "/sub/loop/", "/sub/loop/inner.html", "/with_index/small.txt", "/fifo", "/.hidden",
      "/../" .. outside:match("[^/\\]+$"),
      "/sub/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/%2fetc%2fpasswd", "/sub\\inner.html" } do
      local answer = ask(path)
      assert.equal(404, answer.status, path)
      assert.is_nil(answer.body:find("secret", 1, true))
    end
    assert.equal(400, ask("/small.txt%00.html").status)
  end)

  it("are listed, with their names escaped", function()
    local answer = ask("/")
    assert.equal("text/html; charset=utf-8", answer.fields["content-type"])
    assert.matches(('<a href="./%s">%s</a>'):format(NAMED[2], NAMED[3]), answer.body, 1, true)
    assert.matches('<a href="./sub/">sub/</a>', answer.body, 1, true)
    for _, hidden in ipairs { "link", "hidden", "fifo", "../" } do
      assert.is_nil(answer.body:find(hidden, 1, true), hidden)
    end
    assert.matches('<a href="../">../</a>', ask("/sub/").body, 1, true)
    answer = ask("/sub")
    assert.same({ 301, "/sub/" }, { answer.status, answer.fields.location })
  end)

  it("are sent in parts", function()
    for range, expected in pairs { ["0-3"] = "0123", ["5-"] = "56789", ["-2"] = "89", ["8-100"] = "89" } do
      local answer = ask("/small.txt", "Range: bytes=" .. range .. "\r\n")
      assert.same({ 206, expected }, { answer.status, answer.body })
      assert.matches("^bytes %d%-%d/10$", answer.fields["content-range"])
    end
    local answer = ask("/large.txt", "Range: bytes=100000-199999\r\n")
    assert.same({ 206, LARGE:sub(100001, 200000) }, { answer.status, answer.body })
    answer = ask("/small.txt", "Range: bytes=10-\r\n")
    assert.same({ 416, "bytes */10" }, { answer.status, answer.fields["content-range"] })
    assert.equal(200, ask("/small.txt", "Range: lines=1-2\r\n").status)
    assert.equal("0123456789", ask("/small.txt", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").body)
  end)

  it("are sent in many parts at once", function()
    local answer = ask("/small.txt", "Range: bytes=0-1,4-5,-1\r\n")
    local boundary = answer.fields["content-type"]:match("^multipart/byteranges; boundary=(.+)$")
    assert.equal(206, answer.status)
    local expected = {}
    for i, part in ipairs { { "0-1", "01" }, { "4-5", "45" }, { "9-9", "9" } } do
      expected[i] = ("--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes %s/10\r\n\r\n%s\r\n")
        :format(boundary, part[1], part[2])
    end
    assert.equal(table.concat(expected) .. "--" .. boundary .. "--\r\n", answer.body)
  end)

  it("are sent on conditions", function()
    local first = ask("/small.txt").fields
    local etag, modified = first.etag, first["last-modified"]
    local later, earlier = "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"
    for _, row in ipairs {
      { 304, "If-None-Match: " .. etag }, { 304, "If-None-Match: \"x\", W/" .. etag }, { 304, "If-None-Match: *" },
      { 200, "If-None-Match: \"x\"" }, { 304, "If-Modified-Since: " .. modified }, { 304,
      "If-Modified-Since: " .. later },
      { 200, "If-Modified-Since: " .. earlier }, { 200, "If-Modified-Since: yesterday" },
      { 200, "If-None-Match: \"x\"\r\nIf-Modified-Since: " .. later }, { 200, "If-Match: " .. etag },
      { 412, "If-Match: \"x\"" }, { 412, "If-Match: W/" .. etag }, { 412, "If-Unmodified-Since: " .. earlier },
      { 200, "If-Unmodified-Since: " .. later }, { 206, "Range: bytes=0-0\r\nIf-Range: " .. etag },
      { 206, "Range: bytes=0-0\r\nIf-Range: " .. modified },
    } do
      local answer = ask("/small.txt", row[2] .. "\r\n")
      assert.equal(row[1], answer.status, row[2])
      assert.equal(row[1] ~= 412 and etag or answer.fields.etag, answer.fields.etag)
    end
  end)

  it("are neither written nor asked for otherwise", function()
    for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH", "TRACE" } do
      local answer = ask("/small.txt", "Content-Length: 0\r\n", method)
      assert.same({ 405, "GET, HEAD, OPTIONS" }, { answer.status, answer.fields.allow })
    end
    assert.equal(204, ask("*", nil, "OPTIONS").status)
  end)

  it("are sent anew when they have changed", function()
    write(root .. "/changes.txt", "one")
    assert.equal("one", ask("/changes.txt").body)
    write(root .. "/changes.txt", "other")
    assert.is_true(support.eventually(function() return ask("/changes.txt").body == "other" end))
    os.remove(root .. "/changes.txt")
    assert.is_true(support.eventually(function() return ask("/changes.txt").status == 404 end))
  end)

  it("are sent to clients that do not read them, and leave, or read slowly", function()
    for _ = 1, 20 do
      local client = assert(iocp.connect(host, port, { timeout = 60000 }))
      client:write(("GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n"):rep(20))
      client:read(1)
      client:close()
    end
    local client = assert(iocp.connect(host, port, { timeout = 60000 }))
    client:write(("GET /large.txt HTTP/1.1\r\nHost: a\r\n\r\n"):rep(3) .. "GET / HTTP/1.0\r\n\r\n")
    local parts, piece = {}, client:read_some(5000)
    while piece do -- until the server closes, after the last one
      parts[#parts + 1] = piece
      iocp.sleep(1)
      piece = client:read_some(5000)
    end
    client:close()
    local answers = http.read_all(table.concat(parts))
    assert.equal(4, #answers)
    assert.equal(LARGE, answers[3].body)
  end)

  --- What curl prints.
  local function curl(arguments)
    local pipe = io.popen("curl -s --max-time 60 " .. arguments .. " 2>&1")
    local text = pipe:read("*a")
    pipe:close()
    return text
  end

  it("are what curl gets", function()
    local address = ("http://%s:%d"):format(host, port)
    if not curl("--version"):find("^curl ") then
      return pending("there is no curl")
    end
    local status = "-o /dev/null -w '%{http_code}' "
    assert.equal("0123456789", curl(address .. "/small.txt"))
    assert.equal("0123456789", curl("-0 " .. address .. "/small.txt"))
    assert.equal("0123456789" .. LARGE, curl(address .. "/small.txt " .. address .. "/large.txt"))
    assert.equal("345", curl("-r 3-5 " .. address .. "/small.txt"))
    assert.matches("Content%-Range: bytes 0%-0/10\r\n\r\n0\r\n.*Content%-Range: bytes 9%-9/10\r\n\r\n9\r\n",
      curl("-r 0-0,-1 " .. address .. "/small.txt"))
    assert.matches("^HTTP/1.1 200 OK\r\n.*\r\nContent%-Length: 10\r\n", curl("-I " .. address .. "/small.txt"))
    assert.equal("<p>inner</p>", curl("-L --path-as-is " .. address .. "/sub/inner.html"))
    assert.equal("404", curl(status .. "--path-as-is " .. address .. "/../etc/passwd"))
    assert.equal("405", curl(status .. "-T - -H 'Transfer-Encoding: chunked' " .. address .. "/new </dev/null"))
    assert.equal("405", curl(status .. "-d data -H 'Expect: 100-continue' " .. address .. "/"))
    assert.equal("501", curl(status .. "-X BREW " .. address .. "/"))
    assert.equal("416", curl(status .. "-r 10- " .. address .. "/small.txt"))
    assert.equal("200", curl(status .. "-X GET -d body " .. address .. "/small.txt"))
    assert.equal("304", curl(status .. "-z 'Fri, 31 Dec 9999 23:59:59 GMT' " .. address .. "/small.txt"))
  end)
end)
