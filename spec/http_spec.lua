-- The HTTP server of examples/httpd: what it reads and what it refuses, first without sockets, then over them.
local iocp = require "iocp"
local support = require "support"
local http = require "support.http"
local connection, head, body, Source = require "httpd.connection", require "httpd.head", require "httpd.body",
  require "httpd.source"
local fields, ranges, paths, dates = require "httpd.fields", require "httpd.ranges", require "httpd.paths",
  require "httpd.dates"

local seed = tonumber(os.getenv("IOCP_SPEC_SEED")) or os.time()

-- A generator of our own, so that a printed seed repeats a run on every Lua.
local state = seed % 2147483646 + 1
local function random(n)
  state = (state * 48271) % 2147483647
  return state % n + 1
end

--- The status that a text is answered with, alone and in pieces of one byte; and what else is said.
local function status_of(text)
  local pieces = {}
  for i = 1, #text do
    pieces[i] = text:sub(i, i)
  end
  local whole, cut = http.serve(http.site(), { text }), http.serve(http.site(), pieces)
  local answers = http.read_all(table.concat(whole))
  assert.equal(answers[1] and answers[1].status, (http.read_all(table.concat(cut))[1] or {}).status, text)
  return answers[1] and answers[1].status, answers
end

local GET = "GET / HTTP/1.1\r\n"
local POST = "POST / HTTP/1.1\r\nHost: a\r\n"

describe("a head", function()
  it("is read when it is whole", function()
    local text = "POST /a%20b?c=d HTTP/1.1\r\nHost: a:80\r\nACCEPT:\t x \t\r\nAccept: y\r\nContent-Length: 3\r\n\r\nabc"
    for i = 1, #text - 4 do
      local request, status = head.read(text:sub(1, i), 1)
      assert.is_nil(request)
      assert.is_nil(status, text:sub(1, i))
    end
    local request, next_at = head.read("xx" .. text, 3)
    assert.equal("POST", request.method)
    assert.equal("/a%20b", request.path)
    assert.equal("c=d", request.query)
    assert.equal("x, y", request.fields.accept)
    assert.equal(3, request.about.length)
    assert.is_true(request.keeps)
    assert.equal("abc", ("xx" .. text):sub(next_at))
  end)

  it("says whether the connection is kept", function()
    for text, keeps in pairs {
      ["GET / HTTP/1.1\r\nHost: a\r\n\r\n"] = true,
      ["GET / HTTP/1.1\r\nHost: a\r\nConnection: x ,CLOSE\r\n\r\n"] = false,
      ["GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n"] = true,
      ["GET / HTTP/1.0\r\n\r\n"] = false,
      ["GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"] = true,
      ["GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"] = false,
      ["GET / HTTP/1.9\r\nHost: a\r\n\r\n"] = true,
      ["\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n"] = true,
    } do
      assert.equal(keeps, assert(head.read(text, 1)).keeps, text)
    end
  end)

  it("may name the server in its target", function()
    assert.equal("/", head.read("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 1).path)
    assert.equal("/b", head.read("GET HTTP://a:80/b?c HTTP/1.1\r\nHost: a\r\n\r\n", 1).path)
    assert.equal("/", head.read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1).path)
  end)

  -- What two servers might read in two ways: RFC 9112, 2.2, 3.2, 5.1, 5.2, 6.1, 6.3, 7.1.
  local refused = {
    ["a length twice"] = { 400, POST .. "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" },
    ["two lengths"] = { 400, POST .. "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" },
    ["two lengths in one field"] = { 400, POST .. "Content-Length: 5, 5\r\n\r\nhello" },
    ["a length with chunks"] = { 400, POST .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["chunks with a length"] = { 400, POST .. "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" },
    ["a length with a sign"] = { 400, POST .. "Content-Length: +5\r\n\r\nhello" },
    ["a length below nothing"] = { 400, POST .. "Content-Length: -5\r\n\r\nhello" },
    ["a length in hexadecimal digits"] = { 400, POST .. "Content-Length: 0x5\r\n\r\nhello" },
    ["a length of digits and a blank"] = { 400, POST .. "Content-Length: 5 5\r\n\r\nhello" },
    ["no length"] = { 400, POST .. "Content-Length:\r\n\r\nhello" },
    ["an endless length"] = { 413, POST .. "Content-Length: 99999999999999999999\r\n\r\nhello" },
    ["chunked twice"] = { 400, POST .. "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" },
    ["chunked in two fields"] = { 400,
      POST .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["chunked, and then another coding"] = { 400, POST .. "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" },
    ["another coding, and then chunked"] = { 501, POST .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    ["another coding"] = { 400, POST .. "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" },
    ["a coding like chunked"] = { 400, POST .. "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" },
    ["a quoted coding"] = { 400, POST .. "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" },
    ["a coding behind a vertical tab"] = { 400, POST .. "Transfer-Encoding: \11chunked\r\n\r\n0\r\n\r\n" },
    ["chunks of HTTP/1.0"] = { 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["a blank before the colon"] = { 400, POST .. "Content-Length : 5\r\n\r\nhello" },
    ["a tab before the colon"] = { 400, POST .. "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" },
    ["a blank before the name"] = { 400, GET .. " Host: a\r\n\r\n" },
    ["a folded field"] = { 400, GET .. "Host: a\r\nX: b\r\n c\r\n\r\n" },
    ["a field without a name"] = { 400, GET .. "Host: a\r\n: b\r\n\r\n" },
    ["a field without a colon"] = { 400, GET .. "Host: a\r\nb\r\n\r\n" },
    ["LF alone"] = { 400, "GET / HTTP/1.1\nHost: a\n\n" },
    ["LF alone behind a field"] = { 400, GET .. "Host: a\nX: b\r\n\r\n" },
    ["LF alone behind the head"] = { 400, GET .. "Host: a\r\n\n" },
    ["CR alone in a value"] = { 400, GET .. "Host: a\r\nX: b\rc\r\n\r\n" },
    ["CR alone in the line"] = { 400, "GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n" },
    ["NUL in a value"] = { 400, GET .. "Host: a\r\nX: b\0c\r\n\r\n" },
    ["NUL in the target"] = { 400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["no host"] = { 400, GET .. "\r\n" },
    ["two hosts"] = { 400, GET .. "Host: a\r\nHost: a\r\n\r\n" },
    ["a host with a blank"] = { 400, GET .. "Host: a b\r\n\r\n" },
    ["a host with a slash"] = { 400, GET .. "Host: a/b\r\n\r\n" },
    ["a blank line too many"] = { 400, "\r\n\r\n" .. GET .. "Host: a\r\n\r\n" },
    ["two blanks in the line"] = { 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a blank behind the line"] = { 400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" },
    ["a tab in the line"] = { 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["no version"] = { 400, "GET /\r\nHost: a\r\n\r\n" },
    ["no such version"] = { 400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n" },
    ["a version in small letters"] = { 400, "GET / http/1.1\r\nHost: a\r\n\r\n" },
    ["another version"] = { 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n" },
    ["the first version"] = { 505, "GET / HTTP/0.9\r\n\r\n" },
    ["another method"] = { 501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a method in small letters"] = { 501, "get / HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["no method"] = { 400, "(get) / HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a target that is no path"] = { 400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a star"] = { 400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a fragment"] = { 400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a user in the target"] = { 400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["another scheme"] = { 400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a tunnel"] = { 405, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["bytes of more than 7 bits in the target"] = { 400, "GET /\195\188 HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["content without a length"] = { 411, POST .. "\r\n" },
    ["an expectation"] = { 417, POST .. "Content-Length: 5\r\nExpect: more\r\n\r\nhello" },
    ["a target that is too long"] = { 414, "GET /" .. ("a"):rep(9000) .. " HTTP/1.1\r\nHost: a\r\n\r\n" },
    ["a target without an end"] = { 414, "GET /" .. ("a"):rep(9000) },
    ["a head that is too long"] = { 431,
    GET .. "Host: a\r\n" .. ("X: " .. ("b"):rep(2000) .. "\r\n"):rep(9) .. "\r\n" },
    ["a head without an end"] = { 431, GET .. "Host: a\r\n" .. ("X: " .. ("b"):rep(2000) .. "\r\n"):rep(9) },
    ["too many fields"] = { 431, GET .. "Host: a\r\n" .. ("X: b\r\n"):rep(101) .. "\r\n" },
    ["a chunk that is no number"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\nx\r\n0\r\n\r\n" },
    ["a chunk with 0x"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n" },
    ["a chunk with a sign"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n" },
    ["a chunk below nothing"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n" },
    ["a chunk that is longer than it says"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" },
    ["a chunk that ends with LF"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n" },
    ["a chunk's line that ends with LF"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n" },
    ["CR in a chunk's extension"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n1;a\rb\r\na\r\n0\r\n\r\n" },
    ["a blank before a chunk's length"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n" },
    ["a chunk's line that is too long"] = { 400,
      POST .. "Transfer-Encoding: chunked\r\n\r\n1;" .. ("a"):rep(2000) .. "\r\na\r\n0\r\n\r\n" },
    ["an endless chunk"] = { 413, POST .. "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" },
    ["chunks that are too much"] = { 413,
      POST .. "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n100000\r\n" },
    ["a trailer that is none"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n0\r\na b: c\r\n\r\n" },
    ["a folded trailer"] = { 400, POST .. "Transfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n c\r\n\r\n" },
  }
  for what, row in pairs(refused) do
    it("with " .. what .. " is " .. row[1] .. ", and ends the connection", function()
      local site = http.site()
      local written = http.serve(site, { row[2] .. "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" })
      local answers = http.read_all(table.concat(written))
      assert.equal(1, #answers)
      assert.equal(row[1], answers[1].status)
      assert.equal("close", answers[1].fields.connection)
      assert.equal(0, #site.asked)
      assert.equal(row[1], (status_of(row[2])))
    end)
  end
end)

describe("a body", function()
  local function read(about, ...)
    local pieces, at = { ... }, 0
    local source = Source.new(function()
      at = at + 1
      return pieces[at], pieces[at] == nil and "end" or nil
    end)
    local text, why = body.read(about, source)
    return text, why, source.text:sub(source.at) .. table.concat(pieces, "", math.min(at, #pieces) + 1)
  end

  it("is as long as was said", function()
    assert.same({ "hello", nil, "GET" }, { read({ length = 5 }, "he", "l", "loGET") })
    assert.same({ nil, "end", "" }, { read({ length = 5 }, "hel", "l") })
    assert.same({ nil, 413, "" }, { read({ length = body.LIMITS.body + 1 }) })
  end)

  it("is read in chunks", function()
    local text = "5\r\nhello\r\n00B;x=\"y\" \r\n, beautiful\r\n1 ;z\r\n!\r\n0\r\nX: y\r\n\r\nGET"
    for i = 1, #text - 1 do
      local result, why, rest = read({ is_chunked = true }, text:sub(1, i), text:sub(i + 1))
      assert.equal("hello, beautiful!", result, why)
      assert.equal("GET", rest)
    end
    assert.same({ nil, "end", "" }, { read({ is_chunked = true }, "5\r\n", "hel") })
  end)

  it("that was not read never becomes a request", function()
    local smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    for _, framed in ipairs { ("Content-Length: %d\r\n\r\n%s"):format(#smuggled, smuggled),
      ("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"):format(#smuggled, smuggled) } do
      for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "HEAD" } do
        local site = http.site()
        http.serve(site,
          { method .. " / HTTP/1.1\r\nHost: a\r\n" .. framed .. "GET /next HTTP/1.1\r\nHost: a\r\n\r\n" })
        local expected = site.methods[method] and { method .. " /", "GET /next" } or {}
        assert.same(expected, site.asked)
      end
    end
  end)

  it("is asked for where the client waits for that", function()
    local text = POST .. "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    local answers = http.read_all(table.concat(http.serve(http.site(), { text, "hello" })))
    assert.same({ 100, 200 }, { answers[1].status, answers[2].status })
    assert.equal("POST / [hello]", answers[2].body)
    answers = http.read_all(table.concat(http.serve(http.site(), { text .. "hello" })))
    assert.equal(200, answers[1].status)
    answers = http.read_all(table.concat(http.serve(http.site(), { (text:gsub("POST", "PUT")) })))
    assert.same({ 405, "GET, HEAD, POST" }, { answers[1].status, answers[1].fields.allow })
    answers = http.read_all(table.concat(http.serve(http.site(), { (text:gsub("5", "5555555")) })))
    assert.same({ 413, 1 }, { answers[1].status, #answers })
  end)
end)

describe("a range", function()
  it("is read as RFC 9110 has it", function()
    for value, expected in pairs {
      ["bytes=0-9"] = { { 0, 9 } }, ["bytes=90-"] = { { 90, 99 } }, ["bytes=-10"] = { { 90, 99 } },
      ["bytes=50-1000"] = { { 50, 99 } }, ["bytes=-1000"] = { { 0, 99 } }, ["BYTES=0-0 , 5-6,"] = { { 0, 0 }, { 5,
      6 } },
      ["bytes=100-"] = false, ["bytes=-0"] = false, ["bytes=100-,0-1"] = { { 0, 1 } },
    } do
      assert.same(expected, ranges.read(value, 100), value)
    end
    for _, value in ipairs { "bytes", "bytes=", "bytes=-", "bytes=5-4", "lines=1-2", "bytes=a-b", "bytes=1",
      "bytes=1-2-3", "bytes=0-99,0-99", "bytes=" .. ("0-0,"):rep(17), "bytes=99999999999999999999-" } do
      assert.is_nil(ranges.read(value, 100), value)
    end
    assert.is_false(ranges.read("bytes=0-", 0))
  end)
end)

describe("a path", function()
  local function split(path, is_windows)
    local names, more = paths.split(path, is_windows)
    return names and table.concat(names, "|") or more
  end

  it("is the names of folders and a file", function()
    assert.equal("a b|c", split("/a%20b/c", false))
    assert.equal("", split("/", false))
    assert.equal("a..b|c.", split("/a..b/c.", false))
    assert.is_true(select(2, paths.split("/a/", false)))
  end)

  it("has no name that leads elsewhere", function()
    for path, status in pairs {
      ["/.."] = 404, ["/../a"] = 404, ["/a/../b"] = 404, ["/%2e%2e/a"] = 404, ["/.%2E/a"] = 404, ["/./a"] = 404,
      ["/a%2fb"] = 404, ["/..%2f"] = 404, ["/%2fetc"] = 404, ["//etc/passwd"] = 404, ["/a//b"] = 404, ["/.git"] = 404,
      ["/a\\b"] = 404, ["/..%5c"] = 404, ["/%5c%5chost"] = 404, ["/a%00.html"] = 400, ["/%00"] = 400, ["/%"] = 400,
      ["/%4"] = 400, ["/%zz"] = 400, ["/%0a"] = 404, ["/%7f"] = 404, ["/%252e%252e/a"] = "%2e%2e|a",
      ["/" .. ("a"):rep(256)] = 404,
    } do
      assert.equal(status, split(path, false), path)
      assert.equal(status, split(path, true), path)
    end
    for _, path in ipairs { "/c:", "/C:/a", "/a:b", "/a::$DATA", "/nul", "/NUL.txt", "/con", "/Aux.c", "/com1",
      "/lpt9.x",
      "/COM%C2%B9", "/conin$", "/nul%20.txt", "/a.", "/a%20", "/progra~1", "/a%3f", "/a%2a", "/a%7cb", "/a%22" } do
      assert.equal(404, split(path, true), path)
    end
    assert.equal("console|nula|com10", split("/console/nula/com10", true))
  end)

  it("is written so that nothing of it is taken for a page", function()
    assert.equal("%22%3E%3Cb%3Ea%20%25%23%3F", paths.encode('"><b>a %#?'))
    assert.equal("&quot;&gt;&lt;b&gt;a &amp;&#39;", paths.escape("\"><b>a &'"))
  end)
end)

describe("a date", function()
  it("is written and read", function()
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", dates.format(784111777))
    assert.is_true(dates.order("Sun, 06 Nov 1994 08:49:37 GMT") < dates.order("Mon, 07 Nov 1994 00:00:00 GMT"))
    assert.is_nil(dates.order("Sunday, 06-Nov-94 08:49:37 GMT"))
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", dates.now())
  end)
end)

describe("a field that a client repeats", function()
  it("is read once, and what is remembered has an end", function()
    local block = "Host: a\r\nX: y\r\n\r\n"
    assert.equal(fields.read(block), fields.read(block))
    for i = 1, 2 * fields.LIMITS.remembered do
      assert(fields.read(("Host: a\r\nX: %d\r\n\r\n"):format(i)))
    end
    assert.equal("y", fields.read(block).fields.x)
  end)
end)

describe("mutated requests", function()
  --- What an input comes to: statuses, and what the site was asked; a refusal is one, whichever it is.
  local function outcome(pieces)
    local site = http.site()
    local written = http.serve(site, pieces)
    local list, good = {}, 0
    for i, text in ipairs(written) do
      good = good + (text:find("^HTTP/1.1 200") and 1 or 0)
      local method = text:find("^HTTP/1.1 200") and site.asked[good]:match("^%u+")
      local answer, after = http.read(text, 1, method or text:find("\r\n\r\n$") and "HEAD" or "GET")
      assert(after == #text + 1, "more than an answer")
      if answer.status >= 400 and answer.fields.connection == "close" then
        assert(i == #written, "an answer behind the last one")
        list[#list + 1] = "refused"
      elseif answer.status ~= 100 then
        list[#list + 1] = answer.status
      end
    end
    return table.concat(list, " ") .. "; " .. table.concat(site.asked, "; ")
  end

  it("are answered or refused, and the same in one piece and in many", function()
    print(("    seed %d: IOCP_SPEC_SEED=%d repeats this"):format(seed, seed))
    for i = 1, support.soaked(10000) do
      local text = http.mutated(random)
      local pieces = http.cut(text, random)
      local ok, whole = pcall(outcome, { text })
      local also, cut = pcall(outcome, pieces)
      assert(ok and also and whole == cut, ("seed %d, request %d: %q\n%s\n%s"):format(seed, i, text, tostring(whole),
        tostring(cut)))
    end
  end)

  it("do the same over a socket", function()
    local service = assert(iocp.serve { host = "127.0.0.1", workers = 2, handler = function(client, worker)
      require("httpd.connection").serve(client, require("support.http").site(), worker)
    end })
    local host, port = service:address()
    iocp.run(function()
      for _ = 1, 8 do
        iocp.spawn(function()
          for _ = 1, support.soaked(800) / 8 do
            local client = assert(iocp.connect(host, port, { timeout = 60000 }))
            client:write(http.mutated(random))
            client:shutdown()
            local text, message = client:read("*a")
            assert(text or message)
            client:close()
          end
        end)
      end
    end)
    assert.matches("^HTTP/1.1 200 OK", http.ask(host, port, "GET / HTTP/1.0\r\n\r\n"))
    assert.is_true(service:stop(support.patience(20000)))
    assert.equal(0, service:stats().connections)
  end)
end)

--- Runs f(host, port) while the site is served here, with other limits of time.
local function served(limits, f)
  local before = {}
  for name, value in pairs(limits) do
    before[name], connection.LIMITS[name] = connection.LIMITS[name], value
  end
  iocp.run(function()
    local server = assert(iocp.listen("127.0.0.1"))
    local host, port = server:address()
    local accepts = iocp.spawn(function()
      local client = server:accept()
      while client do
        iocp.spawn(function(one)
          connection.serve(one, http.site(), { stopping = false })
          one:close()
        end, client)
        client = server:accept()
      end
    end)
    f(host, port)
    accepts:cancel()
    server:close()
  end)
  for name, value in pairs(before) do
    connection.LIMITS[name] = value
  end
end

describe("a connection", function()
  it("is kept, and has its requests answered in their order", function()
    served({}, function(host, port)
      local text = {}
      for i = 1, 50 do
        text[i] = ("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"):format(i)
      end
      text[51] = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      local answers = http.read_all(http.ask(host, port, table.concat(text)))
      assert.equal(51, #answers)
      for i = 1, 50 do
        assert.equal(("GET /%d []"):format(i), answers[i].body)
        assert.is_nil(answers[i].fields.connection)
      end
      assert.equal("close", answers[51].fields.connection)
    end)
  end)

  it("gets 408 when a head or a body does not come to its end, and nothing when none begins", function()
    served({ head = 50, body = 50, wait = 50, linger = 50 }, function(host, port)
      for text, status in pairs { [GET] = 408, [POST .. "Content-Length: 5\r\n\r\nhe"] = 408,
        [POST .. "Transfer-Encoding: chunked\r\n\r\n5\r\n"] = 408 } do
        local answers = http.read_all(http.ask(host, port, text))
        assert.same({ status, "close" }, { answers[1].status, answers[1].fields.connection })
      end
      assert.equal("", http.ask(host, port, "") or "")
      local answers = http.read_all(http.ask(host, port, GET .. "Host: a\r\n\r\n"))
      assert.same({ 1, 200 }, { #answers, answers[1].status })
    end)
  end)

  it("that sends next to nothing holds nobody else (slowloris)", function()
    local n = support.scaled(300)
    served({ head = 2000, linger = 50 }, function(host, port)
      local slow = {}
      for i = 1, n do
        slow[i] = assert(iocp.connect(host, port, { timeout = 60000 }))
        slow[i]:write(GET .. "X: ")
      end
      for _ = 1, 10 do
        assert.matches("^HTTP/1.1 200", http.ask(host, port, "GET / HTTP/1.0\r\n\r\n"))
        for i = 1, n do
          slow[i]:write("y") -- which may find that it is over
        end
      end
      for i = 1, n do
        assert.equal("HTTP/1.1 408 Request Timeout", slow[i]:read())
        slow[i]:close()
      end
    end)
  end)

  it("ends with its client in the middle of anything", function()
    served({}, function(host, port)
      for _, text in ipairs { "", "GET", GET, POST .. "Content-Length: 5\r\n\r\nhe", POST
        .. "Transfer-Encoding: chunked\r\n\r\n5\r\nhe" } do
        local client = assert(iocp.connect(host, port, { timeout = 60000 }))
        client:write(text)
        client:close()
      end
      assert.matches("^HTTP/1.1 200", http.ask(host, port, "GET / HTTP/1.0\r\n\r\n"))
    end)
  end)

  it("shows the answer to who still sends a body that is too long", function()
    served({}, function(host, port)
      local client = assert(iocp.connect(host, port, { timeout = 60000 }))
      client:write(POST .. "Content-Length: 200000000\r\n\r\n" .. ("x"):rep(100000))
      assert.equal("HTTP/1.1 413 Content Too Large", client:read())
      client:close()
    end)
  end)
end)
