-- Child processes, with files as their streams. On both systems the children are this very Lua, so that what they do is
-- the same: support.lua_command.
local iocp = require "iocp"
local support = require "support"

--- A process that runs this Lua with the code, and options of iocp.Process.
local function lua(code, options)
  options = options or {}
  local command = support.lua_command(code)
  for i = 1, #command do
    options[i] = command[i]
  end
  return iocp.Process(options)
end

--- All that comes from a file until its end.
local function read_all(file)
  local port, heap, parts = iocp.IOCompletionPort(), iocp.Heap(), {}
  assert(file:associate(port))
  local block = heap:alloc(65536)
  while true do
    assert(file:read(block))
    local key, bytes = port:dequeue(20000)
    assert(key, bytes)
    if bytes == 0 then
      return table.concat(parts)
    end
    parts[#parts + 1] = heap:read(block, 0, bytes)
  end
end

describe("a process", function()
  it("tells its exit code, again and again", function()
    local process = assert(lua("os.exit(3)"))
    assert.same({ true, 3 }, { process:wait(20000) })
    assert.same({ true, 3 }, { process:wait(0) })
    assert.matches("ended with 3", tostring(process))
    assert.same({ true, 0 }, { assert(lua("")):wait(20000) })
  end)

  it("that does not exist says so", function()
    local process, message, code = iocp.Process { "./a folder that is not there/a program" }
    assert.same({ nil, "ENOENT" }, { process, code })
    assert.matches("./a folder that is not there/a program: no such file", message, 1, true)
    process, message, code = lua("", { cwd = "/a folder that is not there" })
    assert.same({ nil, "ENOENT" }, { process, code })
    assert.matches(" in /a folder that is not there: no such file", message, 1, true)
  end)

  it("goes on while it is waited for, and ends by kill", function()
    local process = assert(lua("io.read()", { stdin = "pipe" }))
    assert.equal("TIMEOUT", select(3, process:wait(20)))
    assert.matches(("%d, running"):format(process:id()), tostring(process))
    assert.is_true(process:kill())
    assert.same({ n = 3, true, nil, "TERM" }, { n = select("#", process:wait(20000)), process:wait(0) })
    assert.equal("ESRCH", select(3, process:kill("KILL")))
  end)

  it("completes to a port, once", function()
    local port = iocp.IOCompletionPort()
    local process = assert(lua("io.read()", { stdin = "pipe" }))
    local timer = assert(process:notify(port, 7, 8))
    assert.is_nil((port:dequeue(20)))
    process.stdin:close()
    assert.same({ 7, 0, 8 }, { port:dequeue(20000) })
    assert.is_false(timer:cancel())
    assert(process:notify(port, 9))
    assert.equal(9, (port:dequeue(0)))
  end)

  it("gets its arguments as they are", function()
    local odd = { "", " ", "a b", 'say "hi"', "back\\slash\\", '\\"', "$HOME %PATH% *", "\195\164", "-e" }
    local options = { stdout = "pipe" }
    local command = support.lua_command("for _, a in ipairs(arg) do io.write(#a, ':', a, ';') end")
    for _, argument in ipairs(odd) do
      command[#command + 1] = argument
    end
    for i, argument in ipairs(command) do
      options[i] = argument
    end
    local process = assert(iocp.Process(options))
    local expected = {}
    for i, argument in ipairs(odd) do
      expected[i] = #argument .. ":" .. argument .. ";"
    end
    if support.windows then -- whose C library reads them in the system's own character set
      expected[8], odd[8] = nil, nil
      local got = read_all(process.stdout)
      assert.matches(expected[5], got, 1, true)
      return
    end
    assert.equal(table.concat(expected), read_all(process.stdout))
  end)

  it("may be the system's shell, with words of its own", function()
    local shell = support.windows and { "cmd.exe", "/c", "echo", "hello" } or { "sh", "-c", "echo hello" }
    shell.stdout = "pipe"
    assert.matches("^hello%s*$", read_all(assert(iocp.Process(shell)).stdout))
  end)

  it("has the environment and the folder that it is given", function()
    local environment = support.environment { IOCP_SPEC_NAME = "a value" }
    local process = assert(lua("io.write(tostring(os.getenv 'IOCP_SPEC_NAME'), tostring(os.getenv 'IOCP_SPEC_OTHER'))",
      { env = environment, stdout = "pipe" }))
    assert.equal("a valuenil", read_all(process.stdout))
  end)

  if not support.windows then
    it("begins with a named pipe as its input, which nobody writes to yet", function()
      local path = os.tmpname()
      os.remove(path)
      assert(os.execute("mkfifo " .. path))
      local code, output = support.child(([[
        local iocp = require "iocp"
        local fifo = assert(iocp.File(%q))
        local process = assert(iocp.Process { "cat", stdin = fifo, stdout = false })
        process:kill("KILL") -- or it has ended before: nobody writes
        assert(process:wait(20000))
      ]]):format(path))
      os.remove(path)
      assert.equal(0, code, output)
    end)
  end

  it("writes into pipes, and reads from them", function()
    local process = assert(lua("for line in io.lines() do io.write(line:upper(), '\\n') end io.stderr:write 'done'",
      { stdin = "pipe", stdout = "pipe", stderr = "pipe" }))
    assert.is_nil(process.foo)
    local port = iocp.IOCompletionPort()
    assert(process.stdin:associate(port))
    assert(process.stdin:write("one\ntwo\n", nil, 1))
    assert.equal(1, (select(3, port:dequeue(20000))))
    process.stdin:close()
    assert.equal("ONE\nTWO\n", (read_all(process.stdout):gsub("\r", "")))
    assert.equal("done", read_all(process.stderr))
    assert.same({ true, 0 }, { process:wait(20000) })
  end)

  it("has nothing to read, and writes into nothing, with false", function()
    local process = assert(lua("io.write 'x' os.exit(io.read() == nil and 5 or 6)", { stdin = false, stdout = false }))
    assert.same({ true, 5 }, { process:wait(20000) })
  end)

  it("writes errors where its output goes", function()
    local process = assert(lua("io.stderr:write 'a' io.stdout:write 'b'", { stdout = "pipe", stderr = "stdout" }))
    local text = read_all(process.stdout)
    assert.is_true(text == "ab" or text == "ba", text)
  end)

  it("passes what it writes on to another one through a pipe of files", function()
    local reader, writer = iocp.File.pipe()
    if support.windows then
      return -- the ends of such a pipe are overlapped, which programs do not expect: "pipe" has others
    end
    local first = assert(lua("io.write 'hello'", { stdout = writer }))
    writer:close()
    local second = assert(lua("io.write(io.read('*a'):upper())", { stdin = reader, stdout = "pipe" }))
    reader:close()
    assert.equal("HELLO", read_all(second.stdout))
    assert.same({ true, 0, true, 0 }, { first:wait(20000), select(2, first:wait(0)), second:wait(20000),
      select(2, second:wait(0)) })
  end)

  it("crosses to other states", function()
    local process = assert(lua("os.exit(4)"))
    local thread = iocp.Thread(function(p) return p:wait(20000) end, process)
    assert.same({ true, true, 4 }, { thread:join(20000) })
  end)

  it("that nobody refers to goes on, and leaves nothing behind", function()
    local port = iocp.IOCompletionPort()
    for i = 1, 5 do
      assert(lua("")):notify(port, i)
    end
    collectgarbage()
    collectgarbage()
    for _ = 1, 5 do
      assert(port:dequeue(20000))
    end
    if not support.windows then
      local own = io.open("/proc/self/stat"):read("*n")
      local pipe = io.popen("ps -o stat= --ppid " .. own)
      local states = pipe:read("*a")
      pipe:close()
      assert.is_nil(states:match("Z"), states)
    end
  end)

  it("that is started wrongly says what is wrong", function()
    local function fails(pattern, options)
      local ok, message = pcall(iocp.Process, options)
      assert.is_false(ok)
      assert.matches(pattern, message)
    end
    fails("options: expected a table", "ls")
    fails("empty", {})
    fails("program: expected a string", { 1 })
    fails("argument 2: expected a string without zero bytes, got string", { "a", "b", "c\0d" })
    fails("there is no 'sdtin'", { "a", sdtin = "pipe" })
    fails('stdin: expected nil, false, "pipe" or an iocp.File, got 3', { "a", stdin = 3 })
    fails("env: expected a table", { "a", env = "A=1" })
    fails("env: a name is empty, or has a '='", { "a", env = { ["A=B"] = "1" } })
    fails("cwd: expected a string", { "a", cwd = 1 })
    local process = assert(lua(""))
    assert.has_error(function() process:kill("NOTHING") end)
    process:wait()
    assert.has_error(function() process:kill("NOTHING") end) -- also when it has ended
  end)
end)

describe("filters", function()
  it("by four threads at once give back what they were fed", function()
    local threads = {}
    for i = 1, 4 do
      threads[i] = assert(iocp.Thread(function(number, options, lines)
        local there = require "iocp"
        options.stdin, options.stdout = "pipe", "pipe"
        local process = assert(there.Process(options))
        local port, heap = there.IOCompletionPort(), there.Heap()
        process.stdin:associate(port, 1)
        process.stdout:associate(port, 2)
        local text = ("line of thread " .. number .. "\n"):rep(lines)
        local block, got = heap:alloc(4096), 0
        assert(process.stdin:write(text))
        assert(process.stdout:read(block))
        while true do
          local key, bytes, overlapped = port:dequeue(30000)
          assert(key, overlapped)
          if key == 1 then
            process.stdin:close() -- the filter sees its input end
          elseif bytes == 0 then
            return got == #text and select(2, process:wait(30000))
          else
            got = got + bytes
            assert(process.stdout:read(block))
          end
        end
      end, i, support.lua_command("for line in io.lines() do io.write(line, '\\n') end"), 20000))
    end
    if support.windows then -- where a C library adds a carriage return to each line
      return support.join_all(threads)
    end
    for i = 1, 4 do
      assert.same({ true, 0 }, { threads[i]:join(60000) })
    end
  end)
end)
