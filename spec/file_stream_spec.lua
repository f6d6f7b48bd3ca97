-- Files, pipes and the standard streams as streams, in fibers.
local iocp = require "iocp"
local support = require "support"
local files = require "support.files"
local run, spawn = iocp.run, iocp.spawn

local is_51 = _VERSION == "Lua 5.1" and not rawget(_G, "jit") -- iterators cannot wait there
local paths = {}

local function with(text)
  local path = files.with(text)
  paths[#paths + 1] = path
  return path
end

--- A script of this Lua as a child with pipes, and its streams.
local function child(code)
  local command = support.lua_command(code)
  paths[#paths + 1] = command[#command]
  command.stdin, command.stdout = "pipe", "pipe"
  command.env = support.environment { LUA_PATH = package.path, LUA_CPATH = package.cpath }
  local process = assert(iocp.Process(command))
  return process, assert(iocp.open_file(process.stdin)), assert(iocp.open_file(process.stdout))
end

describe("a file as a stream", function()
  after_each(function()
    for i, path in ipairs(paths) do
      os.remove(path)
      paths[i] = nil
    end
  end)

  it("is read as io does", function()
    local text = "one\ntwo\r\n\nfour without end"
    local path = with(text)
    run(function()
      local file = assert(iocp.open_file(path))
      assert.same({ "one", "two\r\n", "", "four", " without end" },
        { file:read(), file:read("*L"), file:read("l"), file:read(4), file:read("*a") })
      assert.same({ "", nil, nil }, { file:read("a"), file:read(1), file:read() })
      assert.equal(4, file:seek("set", 4))
      assert.equal("two\r", file:read())
      assert.equal(9, file:seek())
      assert.equal(#text - 3, file:seek("end", -3))
      assert.equal("end", file:read_some())
      assert.same({ nil, "EINVAL" }, { file:seek("set", -1), select(3, file:seek("set", -1)) })
      assert.is_true(file:close())
      assert.is_true(file:close())
      assert.equal("CLOSED", select(3, file:read()))
      assert.equal("CLOSED", select(3, file:write("x")))
      assert.equal(text, iocp.read_file(path))
    end)
    assert.equal(text, iocp.read_file(path))
  end)

  it("gives its lines", not is_51 and function()
    local path = with("a\nb\nc")
    run(function()
      local lines = {}
      local file = assert(iocp.open_file(path))
      for line in file:lines() do
        lines[#lines + 1] = line
      end
      file:close()
      assert.same({ "a", "b", "c" }, lines)
      file = assert(iocp.open_file(path, "r", { max_line = 1 }))
      file:seek("set", 1)
      assert.equal("", file:read())
      file:close()
    end)
  end or function() pending("an iterator cannot wait in Lua 5.1") end)

  it("is written, read and written in turn, at its place", function()
    local path = with("")
    run(function()
      local file = assert(iocp.open_file(path, "w+"))
      assert.equal(file, file:write("hello\n", 12, "\nworld\n"))
      assert.equal(0, file:seek("set"))
      assert.equal("hello", file:read())
      assert.equal(file, file:write("XY"))
      assert.equal(8, file:seek())
      assert.equal("\nworld\n", file:read("a"))
      file:write("end")
      assert.is_true(file:close())
      assert.equal("hello\nXY\nworld\nend", iocp.read_file(path))
      assert.is_true(iocp.write_file(path, "new"))
      assert.is_true(iocp.write_file(path, "er", "a"))
      assert.equal("newer", iocp.read_file(path))
    end)
  end)

  it("has each write of many fibers whole", function()
    local path, n = with(""), support.scaled(200)
    run(function()
      local file = assert(iocp.open_file(path, "w"))
      run(function()
        for i = 1, n do
          spawn(function() assert(file:write(("%d "):format(i):rep(i), "\n")) end)
        end
      end)
      assert.is_true(file:close())
      local seen, count = {}, 0
      for line in assert(iocp.read_file(path)):gmatch("[^\n]+") do
        local i = tonumber(line:match("^%d+"))
        assert.equal(("%d "):format(i):rep(i), line)
        count, seen[i] = count + (seen[i] and 0 or 1), true
      end
      assert.equal(n, count)
    end)
  end)

  it("may be large", function()
    local text = ("0123456789abcde\n"):rep(support.scaled(1000000) / 16)
    local path = with("")
    run(function()
      assert.is_true(iocp.write_file(path, text))
      assert.is_true(iocp.read_file(path) == text)
      local file, n = assert(iocp.open_file(path)), 0
      while file:read() do
        n = n + 1
      end
      file:close()
      assert.equal(math.floor(#text / 16), n)
    end)
  end)

  it("fails as the system says", function()
    local missing = files.path()
    local path = with("x")
    run(function()
      local _, message, code = iocp.open_file(missing)
      assert.equal("ENOENT", code)
      assert.matches(missing, message, 1, true)
      assert.equal("ENOENT", (select(3, iocp.read_file(missing))))
      assert.equal("EEXIST", (select(3, iocp.write_file(path, "y", "wx"))))
      local file = assert(iocp.open_file(path))
      assert.is_nil(file:write("y"))
      file:close()
      assert.is_false(iocp.pcall(file.read, {}))
      assert.is_false(iocp.pcall(file.seek, file, "nowhere"))
      assert.is_false(iocp.pcall(iocp.open_file))
      assert.is_false(iocp.pcall(iocp.open_file, path, "z"))
    end)
  end)

  it("times out and is cancelled, and has read nothing", function()
    run(function()
      local from, to = iocp.File.pipe()
      local reader, writer = assert(iocp.open_file(from)), assert(iocp.open_file(to))
      assert.equal("TIMEOUT", select(3, reader:timeout(5):read()))
      reader:timeout(nil)
      local fiber = spawn(function() return select(3, reader:read()) end)
      iocp.yield()
      fiber:cancel()
      assert.same({ true, "CANCELLED" }, { fiber:wait() })
      local second = spawn(function() return reader:read() end)
      iocp.yield()
      local ok, message = iocp.pcall(reader.read, reader)
      assert.is_false(ok)
      assert.matches("one at a time", message, 1, true)
      writer:write("a line\nand")
      assert.same({ true, "a line" }, { second:wait() })
      writer:close()
      assert.same({ "and", nil }, { reader:read(), reader:read() })
      assert.equal("ESPIPE", (select(3, reader:seek())))
      reader:close()
    end)
  end)

  it("holds who writes into a pipe that is not read, and not memory", function()
    run(function()
      local from, to = iocp.File.pipe()
      local reader, writer = assert(iocp.open_file(from)), assert(iocp.open_file(to, nil, { timeout = 20 }))
      local written = 0
      local ok, _, code = true, nil, nil
      while ok do
        ok, _, code = writer:write(("x"):rep(10000))
        written = written + (ok and 10000 or 0)
      end
      assert.equal("TIMEOUT", code)
      assert.is_true(written < 2000000)
      local fiber = spawn(function() return #reader:read("a") end)
      writer:close()
      local _, n = fiber:wait()
      assert.is_true(n >= written - 70000 and n <= written + 10000, n)
      reader:close()
    end)
  end)
end)

describe("a child's pipes", function()
  after_each(function()
    for i, path in ipairs(paths) do
      os.remove(path)
      paths[i] = nil
    end
  end)

  it("are read and written, and its end waited for, while others run", function()
    run(function()
      local fibers = {}
      for i = 1, 3 do
        fibers[i] = spawn(function()
          local process, input, output = child("for line in io.lines() do io.write(line:upper(), '\\n') io.flush() end")
          for j = 1, 3 do
            assert(input:write("line ", i, " ", j, "\n"))
            assert.equal(("LINE %d %d"):format(i, j), (output:read():gsub("\r", "")))
          end
          input:close()
          assert.is_nil(output:read())
          output:close()
          assert.same({ true, 0 }, { process:wait() })
        end)
      end
      for i = 1, 3 do
        assert(fibers[i]:wait())
      end
    end)
  end)
end)

describe("the standard streams", function()
  after_each(function()
    for i, path in ipairs(paths) do
      os.remove(path)
      paths[i] = nil
    end
  end)

  it("are streams", function()
    run(function()
      local process, input, output = child([[
        local iocp = require "iocp"
        io.write("first\n")
        iocp.run(function()
          iocp.stdout:write("second\n")
          local ticks = 0
          iocp.spawn_every(1, function() ticks = ticks + 1 end)
          local line = iocp.stdin:read()
          iocp.stdout:write(line, " after ", ticks > 0 and "ticks" or "none", "\n")
          iocp.stdout:write(iocp.stdin:read("a"))
          iocp.stdout:flush()
        end)
      ]])
      assert.same({ "first", "second" }, { output:read(), output:read() })
      iocp.sleep(50)
      input:write("typed\nrest\nof it")
      assert.equal("typed after ticks", output:read())
      input:close()
      assert.equal("rest\nof it", output:read("a"))
      output:close()
      assert.same({ true, 0 }, { process:wait() })
    end)
  end)

  it("are read in one thread after another", function()
    run(function()
      local process, input, output = child([[
        local iocp = require "iocp"
        iocp.run(function() print("main", iocp.stdin:read()) io.stdout:flush() end)
        print("thread", select(2, iocp.Thread(function()
          local stdin = require "iocp".stdin
          return require "iocp".run(function() return stdin:read() .. "," .. stdin:read("a") end)
        end):join()))
      ]])
      input:write("one\n")
      assert.equal("main\tone", (output:read():gsub("\r", "")))
      input:write("two\nthree\nfour\n")
      input:close()
      assert.equal("thread\ttwo,three\nfour\n\n", (output:read("a"):gsub("\r", "")))
      output:close()
      assert.same({ true, 0 }, { process:wait() })
    end)
  end)
end)
