-- The examples do what they say, on every Lua.
local iocp = require "iocp"
local support = require "support"

--- Runs an example with arguments; its exit code and what it printed.
local function run(script, ...)
  local arguments = {}
  for i, argument in ipairs { ... } do
    arguments[i] = ("%q"):format(argument)
  end
  return support.child(("arg = { %s } dofile %q"):format(table.concat(arguments, ", "), script))
end

local function succeed(script, ...)
  local code, output = run(script, ...)
  assert.equal(0, code, output)
  return output
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

describe("the example", function()
  it("parallel_map counts words in files", function()
    local output = succeed("examples/parallel_map.lua", "spec/examples_spec.lua", "lua/iocp/init.lua", "README.md")
    assert.equal(3, count(output, "\n"))
    assert.matches("lua/iocp/init.lua\n.*README.md", output)
    assert.matches("%d+ +%d+ +%d+ +%d+  spec/examples_spec.lua", output)
  end)

  it("results counts primes as they come, and gives up what takes too long", function()
    local output = succeed("examples/results.lua", "20000", "2")
    assert.matches("^imap: 2262 primes below 20000\n", output)
    for _, line in ipairs { "2262 primes below 20000", "1229 primes below 10000", "669 primes below 5000",
      "367 primes below 2500" } do
      assert.matches("\nas_completed: " .. line .. "\n", output)
    end
    assert.matches("\ntimeout: TIMEOUT: the task ran out of its time, 20 ms", output)
  end)

  it("pipeline sends functions through three stages", function()
    local output = succeed("examples/pipeline.lua", "20")
    assert.matches("even 20: 'the' 40 times, through 3 stages", output, 1, true)
    assert.matches("odd 1: 'the' 2 times, through 3 stages", output, 1, true)
  end)

  it("thumbnails and nightly have three processes do the work", function()
    local why = require("support.redis").missing()
    if why or support.windows then
      pending(why or "a worker is started by /proc/self/exe")
      return
    end
    local output = succeed("examples/thumbnails.lua")
    assert.equal(9, count(output, ": 48 x 36\n"))
    assert.matches("\n9 thumbnails, 0 refused$", output)
    local nightly, total = require "nightly", 0
    for customer = 1, 300 do
      total = total + nightly.invoice(customer)
    end
    assert.matches(("^300 invoices, %.2f in all, in "):format(total / 100), succeed("examples/nightly.lua", "300"))
  end)

  if rawget(_G, "jit") then
    it("run shares messages, and says why a worker got few", function()
      local output = succeed("examples/run.lua", "20000")
      local total, least = 0, math.huge
      for done in output:gmatch("\nworker %d +(%d+)") do
        total, least = total + done, math.min(least, done)
      end
      assert.equal(20000, total)
      local is_said = output:find("no fault: %d+ run at a time, as many as there are processors") ~= nil
      assert.equal(least * 10 < total / 4, is_said, output)
    end)
  end

  it("wordcount counts as many words as there are", function()
    local files, words, locals = 0, 0, 0
    for name in require("lfs").dir("spec/support") do
      if name:find("%.lua$") then
        files = files + 1
        for word in support.read("spec/support/" .. name, "rb"):gmatch("%a+") do
          words = words + 1
          locals = locals + (word:lower() == "local" and 1 or 0)
        end
      end
    end
    local output = succeed("examples/wordcount.lua", "spec/support", "1000")
    assert.matches(("%d files, %d words"):format(files, words), output, 1, true)
    assert.matches("\n +" .. locals .. "  local\n", output)
  end)

  it("grep finds the lines that match, with any number of reads in flight", function()
    local expected = 0
    for name in require("lfs").dir("spec/support") do
      if name:find("%.lua$") then
        expected = expected + count("\n" .. support.read("spec/support/" .. name, "rb"), "\nlocal function %w+")
      end
    end
    for _, in_flight in ipairs { "1", "3", "64" } do
      local output = succeed("examples/grep.lua", "^local function %w+", "spec/support", in_flight)
      assert.matches(("%d lines of "):format(expected), output, 1, true)
      assert.equal(expected, count(output, "lua:%d+:local function "))
    end
  end)

  describe("cp", function()
    local lfs = require "lfs"
    local folder

    local function put(path, text)
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
    end

    local function remove(path)
      if lfs.symlinkattributes(path, "mode") == "directory" then
        for name in lfs.dir(path) do
          if name ~= "." and name ~= ".." then
            remove(path .. "/" .. name)
          end
        end
        lfs.rmdir(path)
      else
        os.remove(path)
      end
    end

    before_each(function()
      folder = support.temporary()
      os.remove(folder)
      for _, name in ipairs { "", "/from", "/from/inner", "/from/inner/none" } do
        assert(lfs.mkdir(folder .. name))
      end
      put(folder .. "/from/large", ("0123456789abcdef"):rep(70000)) -- more than four parts
      put(folder .. "/from/inner/part", ("x"):rep(256 * 1024)) -- exactly one
      put(folder .. "/from/inner/empty", "")
      put(folder .. "/from/inner/small", "small")
    end)

    after_each(function()
      remove(folder)
    end)

    local files = { "/large", "/inner/part", "/inner/empty", "/inner/small" }

    local function is_copied(to)
      for _, name in ipairs(files) do
        assert.is_true(support.read(folder .. "/from" .. name, "rb") == support.read(to .. name, "rb"), name)
      end
      assert.equal("directory", lfs.attributes(to .. "/inner/none", "mode"))
    end

    it("copies a tree, with any number of parts in flight, and says nothing", function()
      for _, in_flight in ipairs { "1", "3", "64" } do
        local to = folder .. "/to" .. in_flight
        assert.equal("", succeed("examples/cp.lua", folder .. "/from", to, in_flight))
        is_copied(to)
      end
      assert.equal("", succeed("examples/cp.lua", folder .. "/from", folder .. "/to1")) -- is a folder by now
      is_copied(folder .. "/to1/from")
      assert.equal("", succeed("examples/cp.lua", folder .. "/from", folder .. "/from/inner/self"))
      is_copied(folder .. "/from/inner/self")
    end)

    it("names what it cannot copy, copies the rest, and ends with 1", function()
      assert(lfs.mkdir(folder .. "/to"))
      assert(lfs.mkdir(folder .. "/to/from"))
      assert(lfs.mkdir(folder .. "/to/from/large"))
      local code, output = run("examples/cp.lua", folder .. "/from", folder .. "/to")
      assert.equal(1, code, output)
      assert.matches("^cp: [^\n]*/to/from/large: [^\n]+$", output)
      assert.equal("small", support.read(folder .. "/to/from/inner/small", "rb"))
      code, output = run("examples/cp.lua", folder .. "/from/large", folder .. "/from/large")
      assert.equal(1, code, output)
      assert.matches("large: is the same file", output, 1, true)
      assert.equal(70000 * 16, lfs.attributes(folder .. "/from/large", "size"))
      code, output = run("examples/cp.lua", folder .. "/from", folder .. "/nowhere/at/all")
      assert.equal(1, code, output)
      assert.equal(1, count(output, "cp: "))
      code, output = run("examples/cp.lua", folder .. "/nowhere", folder .. "/to/nowhere")
      assert.equal(1, code, output)
      assert.matches("cp: [^\n]*/nowhere: ", output)
    end)

    it("shows a bar on a terminal, and keeps permissions and links", function()
      assert.is_truthy(os.execute(("chmod 751 %s/from/large; chmod 440 %s/from/inner/small; chmod 500 %s/from/inner; "
        .. "ln -s inner/small %s/from/link"):format(folder, folder, folder, folder)))
      local output = support.on_terminal(support.interpreter(),
        ("arg = { %q, %q } dofile 'examples/cp.lua'"):format(folder .. "/from", folder .. "/to"), 100, "xterm")
      assert.matches("%[####################%] 100 %%, 1%.3 MiB of 1%.3 MiB, [^\n]*/s, 4 of 4 files", output)
      is_copied(folder .. "/to")
      for _, name in ipairs { "/large", "/inner/small", "/inner", "/inner/none" } do
        assert.equal(lfs.attributes(folder .. "/from" .. name, "permissions"),
          lfs.attributes(folder .. "/to" .. name, "permissions"))
      end
      assert.equal("inner/small", lfs.symlinkattributes(folder .. "/to/link", "target"))
      assert.is_truthy(os.execute(("chmod 700 %s/from/inner %s/to/inner"):format(folder, folder)))
    end)
  end)

  it("mandelbrot draws the same picture with any number of workers, and draw_trace its trace", function()
    local picture, trace, drawing = support.temporary(), support.temporary(), support.temporary()
    local one = succeed("examples/mandelbrot.lua", "60", "1", picture)
    local three = succeed("examples/mandelbrot.lua", "60", "3", picture, trace)
    assert.equal(one:match("Adler%-32 (%x+)"), three:match("Adler%-32 (%x+)"))
    local header, pixels = "P6\n60 60\n255\n", support.read(picture, "rb")
    assert.equal(header, pixels:sub(1, #header))
    assert.equal(#header + 60 * 60 * 3, #pixels)
    -- The first pixel is outside of the set, the one at (0, 0) in it: 30 rows down, 48 columns to the right.
    assert.not_equal("\0\0\0", pixels:sub(#header + 1, #header + 3))
    local origin = #header + (30 * 60 + 48) * 3
    assert.equal("\0\0\0", pixels:sub(origin + 1, origin + 3))

    -- 60 rows, in chunks of 2.
    assert.matches("^30 spans of [123] workers", succeed("examples/draw_trace.lua", trace, drawing))
    local svg = support.read(drawing, "rb")
    assert.matches("^<svg .*mandelbrot.*</svg>%s*$", svg)
    assert.equal(30, count(svg, "<title>rows: [%d.]+ ms</title>"))
    for _, path in ipairs { picture, trace, drawing } do
      os.remove(path)
    end
  end)

  it("mandelbrot compares one worker with two", function()
    local output = succeed("examples/mandelbrot.lua", "--compare", "40", "3")
    assert.matches("median of 3 rounds: [%d.]+ s, [%d.]+ s, speed%-up [%d.]+ %([%d.]+ to [%d.]+%)", output)
  end)

  it("build cancels what depends on a target that fails, and nothing else", function()
    local output = succeed("examples/build.lua", "parser.o", "20") -- which looks at each target itself
    assert.equal(8 + 5, count(output, " completed "))
    assert.matches("\n  parser.o   failed     grammar.h +parser.o: line 20: syntax error\n", output)
    assert.equal(2, count(output, " cancelled "))
    assert.matches("\n  program 1.0 is ready, hash %x+\n", output)
    output = succeed("examples/build.lua", "version.h", "20")
    assert.equal(3, count(output, " cancelled "))
  end)

  it("crawler finds each file once, and reads no faster than allowed", function()
    local output = succeed("examples/crawler.lua", "lua/iocp/init.lua", "40")
    assert.matches("\n    lua/iocp/pool.lua  %d+ bytes\n      lua/iocp/", output) -- by way of later.lua
    assert.matches("\n      lua/iocp/parallel.lua  %d+ bytes\n", output)
    local seen, found = {}, 0
    for path in output:gmatch("([%w_/]+%.lua)  %d+ bytes") do
      assert.is_nil(seen[path], path)
      seen[path], found = true, found + 1
    end
    local files, seconds = output:match("\n(%d+) files in ([%d.]+) s")
    assert.equal(found, tonumber(files))
    assert.is_true(tonumber(seconds) >= (found - 1) / 40, output)
  end)

  it("echo sends everything back, by workers that know the port alone", function()
    local output, echoed = succeed("examples/echo.lua"), 0
    for messages in output:gmatch("worker %d +(%d+) messages") do
      echoed = echoed + messages
    end
    assert.equal(2000, echoed)
  end)

  it("httpd answers", function()
    local output = succeed("examples/httpd.lua")
    assert.matches("3 requests, one behind the other: 3 answers", output, 1, true)
    for _, status in ipairs { 200, 206, 301, 400, 404, 405, 411, 416, 501, 505 } do
      assert.matches((" %d "):format(status), output, 1, true)
    end
    assert.matches("stopped%s+true", output)
  end)

  it("load asks at its rate, and tells how long the answers took", function()
    local output = succeed("examples/load.lua")
    assert.matches("^500 answers in [%d.]+ s", output)
    assert.matches("99 %% +[%d.]+ ms\n", output)
    local counted = 0
    for n in output:gmatch(" ms +(%d+)  #") do
      counted = counted + n
    end
    assert.equal(500, counted)
  end)

  it("spider finds each page once, and the link that leads to nothing", function()
    local output = succeed("examples/spider.lua")
    assert.equal(6, count("\n" .. output, "\n200 "))
    assert.matches("404         0  /nothing.html\n  the link is in /a/deeper/c.html", output, 1, true)
    assert.matches("\n7 pages, 353 bytes in [%d.]+ s; 1 broken links", output)
  end)

  it("chat tells each what the others say", function()
    local output = succeed("examples/chat.lua")
    assert.equal(6, select(2, output:gsub("hears: %a+: hello, I am", "")))
  end)

  it("proxy passes on what comes, both ways", function()
    local output = succeed("examples/proxy.lua")
    assert.matches("QUESTION 1, QUESTION 2, QUESTION 3, QUESTION 4, QUESTION 5\n5 connections, 100 bytes passed on",
      output, 1, true)
  end)

  it("tls_proxy passes on what came through TLS", function()
    local output = succeed("examples/tls_proxy.lua")
    assert.matches(pcall(require, "ssl") and "20 answers came through TLS" or "LuaSec is not there", output, 1, true)
  end)

  it("ping has its datagrams come back", function()
    assert.matches("\n5 of 5 came back", succeed("examples/ping.lua"))
  end)

  it("scan finds who listens", function()
    local port, listener = iocp.IOCompletionPort(), assert(iocp.Socket())
    assert(listener:bind("127.0.0.1", 0))
    assert(listener:listen())
    assert(listener:associate(port))
    local number = select(2, listener:address())
    local output = succeed("examples/scan.lua", ("%d"):format(number - 10), ("%d"):format(number), "5")
    assert.matches(("open: [%%d ]*%d"):format(number), output)
    assert.matches("11 ports in [%d.]+ s, up to 5 under way: %d+ open", output)
    succeed("examples/scan.lua")
  end)

  it("votes counts each vote once, and looks each name up once", function()
    local output = succeed("examples/votes.lua", "3", "200")
    assert.matches("\n600 votes of 3 threads, 5 names looked up", output, 1, true)
  end)

  it("frozen has its workers see the new table from the moment it is there", function()
    local output = succeed("examples/frozen.lua", "1000", "2")
    assert.matches("200 texts in .* by 2 workers, 99 by the first edition and 101 by the second; 66%d%d verbs", output)
    assert.matches("table 1 of 1002", output, 1, true)
  end)

  it("matrix multiplies as one thread does", function()
    local trace = succeed("examples/matrix.lua", "24", "1"):match("trace is (%S+)")
    assert.equal(trace, succeed("examples/matrix.lua", "24", "3"):match("trace is (%S+)"))
    local expected = 0
    for i = 0, 23 do
      for k = 0, 23 do
        expected = expected + ((i * 24 + k) % 7 - 3) / 2 * (((k * 24 + i) % 5 - 2) / 4)
      end
    end
    assert.equal(("%.3f"):format(expected), trace)
  end)

  it("exceptions logs what failed and goes on", function()
    local output = succeed("examples/exceptions.lua", "log")
    assert.equal(2, count(output,
      "logged: orders: exceptions.lua:%d+ failed in worker [12]: [^\n]*exceptions.lua:%d+: "))
    assert.matches("6 orders packed in 70 boxes, 2 failed", output, 1, true)
  end)

  it("exceptions raises what failed in the main thread, which ends it", function()
    local code, output = run("examples/exceptions.lua", "raise")
    assert.equal(1, code, output)
    assert.matches("examples/exceptions.lua:%d+: .*stack traceback:", output)
    assert.matches("submit seven lamps", output, 1, true)
    assert.is_nil(output:find("packed", 1, true))
  end)
end)
