-- iocp.File: operations and their packets. In brackets: the rule that a spec shows. All of it is shown again where the
-- system has no ring for transfers.
local iocp = require "iocp"
local support = require "support"
local sockets, files = require "support.sockets", require "support.files"
local number, take, take_all, none = sockets.number, sockets.take, sockets.take_all, sockets.none
local packet = files.packet

local WITHOUT = os.getenv("IOCP_SPEC_WITHOUT") -- run once more, without the ring

local port, heap, paths

local function with(text)
  local path = files.with(text)
  paths[#paths + 1] = path
  return path
end

local function fresh()
  local path = files.path()
  paths[#paths + 1] = path
  return path
end

before_each(function()
  port, heap, paths = assert(iocp.IOCompletionPort()), assert(iocp.Heap()), {}
end)

after_each(function()
  port:close()
  heap:destroy()
  for _, path in ipairs(paths) do
    os.remove(path)
  end
end)

describe("a file", function()
  it("says what it is", function()
    local path = with("hello")
    local file = assert(iocp.File(path))
    assert.matches("^iocp%.File: 0x%x+ %(file, 5 bytes%)$", tostring(file))
    local info = assert(file:info())
    assert.equal("file", info.type)
    assert.equal(5, info.size)
    assert.equal(5, file:size())
    assert.is_true(math.abs(info.modified - os.time()) < 100)
    assert.equal(info.id, iocp.File(path):info().id)
    assert.are_not.equal(info.id, iocp.File(with("")):info().id)
    assert.is_true(file:close())
    assert.matches("(closed)", tostring(file), 1, true)
    for _, method in ipairs { "close", "size", "info", "native" } do
      assert.same({ nil, "the file is closed", "INVALID" }, { file[method](file) })
    end
    assert.equal("INVALID", select(3, file:truncate(0)))
  end)

  it("is the same userdata for the same file, however it is found [49]", function()
    local file = assert(iocp.File(with("")))
    local native, handle = file:native(), file:handle()
    assert.is_true(rawequal(file, iocp.File.open(handle)))
    assert.is_true(rawequal(file, iocp.File.open(tonumber(handle))))
    assert.is_true(rawequal(file, iocp.File.adopt(native)))
    file:close()
    assert.equal("INVALID", select(3, iocp.File.open(handle)))
    local other = assert(iocp.File(with("")))
    assert.are_not.equal(handle, other:handle())
    assert.equal("INVALID", select(3, iocp.Socket.open(other:handle())))
    getmetatable(other).__close(other)
    assert.equal("INVALID", select(3, other:native()))
  end)

  it("says which argument is wrong", function()
    local file, pipe = assert(iocp.File(with(""))), assert(iocp.File.pipe())
    for _, case in ipairs {
      { "path: expected a string without zero bytes", iocp.File, 1 },
      { "path: expected a string without zero bytes", iocp.File, "a\0b" },
      { "mode: expected \"r\", \"w\" or \"a\"", iocp.File, "x", "" },
      { "mode: expected \"r\", \"w\" or \"a\"", iocp.File, "x", "rx" },
      { "mode: expected \"r\", \"w\" or \"a\"", iocp.File, "x", "w++" },
      { "mode: expected \"r\", \"w\" or \"a\"", iocp.File, "x", 1 },
      { "port: expected iocp.IOCompletionPort", file.associate, file, 1 },
      { "address: expected an address", file.read, file, "x" },
      { "size: expected bytes, an integer from 1 to 2147483646", file.read, file, 1, 0 },
      { "offset: expected bytes from the file's start", file.read, file, 1 },
      { "offset: expected bytes from the file's start", file.read, file, 1, 1, -1 },
      { "offset: expected bytes from the file's start", file.read, file, 1, 1, 0.5 },
      { "offset: expected bytes from the file's start", file.write, file, "x" },
      { "offset: expected bytes from the file's start", pipe.read, pipe, 1, 1, "x" },
      { "overlapped: expected an address, nil, or false", file.read, file, 1, 1, 1, true },
      { "at: expected an integer", file.read, file, 1, 1, 1, nil, -1 },
      { "data: expected a string, or the address of a block", file.write, file, {} },
      { "size: expected an integer", file.truncate, file, -1 },
      { "native: expected an open file, or a descriptor", iocp.File.adopt, {} },
      { "self: expected iocp.File", file.size, port },
    } do
      local ok, message = pcall(case[2], case[3], case[4], case[5], case[6], case[7], case[8])
      assert.is_false(ok, case[1])
      assert.matches(case[1], message, 1, true)
    end
  end)

  it("is opened as its mode says, and with POSIX' codes if it is not", function()
    local path = fresh()
    assert.same({ nil, path .. ": no such file or directory", "ENOENT" }, { iocp.File(path) })
    assert.equal("ENOENT", select(3, iocp.File(path, "r+")))
    assert.is_true(assert(iocp.File(path, "wx")):close())
    assert.equal("EEXIST", select(3, iocp.File(path, "w+x")))
    assert.equal("EEXIST", select(3, iocp.File(path, "ax")))
    local file = files.open(port, path, "w+b")
    assert.equal(3, packet(port, file:write("abc", 0)).bytes)
    assert.equal("abc", files.all(file, port, heap))
    assert.equal(0, assert(iocp.File(path, "w")):size())
    local reader = files.open(port, path)
    assert.equal("EBADF", packet(port, reader:write("x", 0)).code)
    local writer = files.open(port, path, "w")
    assert.equal("EBADF", packet(port, writer:read(heap:alloc(1), 1, 0)).code)
    assert.equal("EISDIR", select(3, iocp.File(support.windows and os.getenv("TEMP") or "/tmp")))
  end)

  it("is written and read at offsets, in any order [42, 44]", function()
    local file = files.open(port, fresh(), "w+")
    local text = sockets.pattern(300000)
    local block = assert(heap:put(text))
    for i = 0, 2 do
      assert.is_true(file:write(block, 100000, i * 100000, i + 1, i * 100000))
    end
    for i, done in pairs(take_all(port, 3)) do
      assert.same({ key = number(file), bytes = 100000, overlapped = i }, done)
    end
    none(port)
    assert.equal(300000, file:size())
    local into = assert(heap:alloc(300000))
    for i = 2, 0, -1 do
      assert.equal(100000, packet(port, file:read(into, 100000, i * 100000, nil, i * 100000)).bytes)
    end
    assert.is_true(heap:read(into) == text)
    assert.is_true(heap:free(into))
  end)

  it("ends behind its last byte: 0 bytes, and no error", function()
    local file, block = files.open(port, with("0123456789")), assert(heap:alloc(100))
    assert.equal(10, packet(port, file:read(block, nil, 0)).bytes)
    assert.equal(3, packet(port, file:read(block, nil, 7, nil, 50)).bytes)
    assert.equal("789", heap:read(block, 50, 3))
    for _, offset in ipairs { 10, 11, 2 ^ 40, 2 ^ 53 - 1 } do
      assert.same({ key = number(file), bytes = 0, overlapped = block }, packet(port, file:read(block, nil, offset)))
    end
  end)

  it("sends no packet for what is done at once, if that is asked for", function()
    local file, block = files.open(port, with("0123456789")), assert(heap:alloc(100))
    local bytes = file:read(block, 4, 2, false)
    if bytes == true then
      assert.equal(4, take(port).bytes) -- it was not in memory
    else
      assert.equal(4, bytes)
    end
    assert.equal("2345", heap:read(block, 0, 4))
    none(port)
  end)

  it("is not associated: INVALID; its port is closed: CLOSED [42, 48]", function()
    local path = with("x")
    local file, block = assert(iocp.File(path, "r+")), assert(heap:alloc(1))
    assert.equal("INVALID", select(3, file:read(block, 1, 0)))
    assert.equal("INVALID", select(3, file:write("x", 0)))
    assert.equal("INVALID", select(3, file:sync()))
    assert.is_true(file:associate(port, 77))
    assert.equal("INVALID", select(3, file:associate(port)))
    assert.equal(77, packet(port, file:read(block, 1, 0)).key)
    assert.equal("INVALID", select(3, file:read(block + 1, 1, 0)))
    assert.equal("INVALID", select(3, file:read(block, 2, 0)))
    port:close()
    assert.equal("CLOSED", select(3, file:read(block, 1, 0)))
    assert.equal("CLOSED", select(3, assert(iocp.File(path)):associate(port)))
    assert.is_true(heap:free(block))
    assert.is_true(file:close())
  end)

  it("is kept by its association, until it is closed [42]", function()
    local handle
    do
      handle = files.open(port, with("kept")):handle()
    end
    collectgarbage()
    collectgarbage()
    local file = assert(iocp.File.open(handle))
    assert.equal("kept", files.all(file, port, heap))
    assert.is_true(file:close())
    assert.is_nil(iocp.File.open(handle))
  end)

  it("has its data on the device when it was synced", function()
    local file = files.open(port, fresh(), "w")
    assert.is_true(file:write("x", 0, 1))
    assert.equal(1, take(port).overlapped)
    assert.same({ key = number(file), bytes = 0, overlapped = 2 }, packet(port, file:sync(2)))
    assert.equal("EINVAL", packet(port, files.pipe(port):sync()).code)
  end)

  it("becomes shorter and longer", function()
    local file, block = files.open(port, with("0123456789"), "r+"), assert(heap:alloc(20))
    assert.is_true(file:truncate(4))
    assert.equal(4, packet(port, file:read(block, 10, 0)).bytes)
    assert.equal(0, packet(port, file:read(block, 10, 6)).bytes)
    assert.is_true(file:truncate(12))
    assert.equal(12, packet(port, file:read(block, 20, 0)).bytes)
    assert.equal("0123" .. ("\0"):rep(8), heap:read(block, 0, 12))
    assert.is_nil(assert(iocp.File(with(""))):truncate(1))
  end)

  it("in mode a is written at its end, in the order of the calls", function()
    local path = with("start ")
    local file, other, expected = files.open(port, path, "a"), files.open(port, path, "a"), { "start " }
    local n = support.scaled(300)
    for i = 1, n do
      assert.is_true(file:write(("%d "):format(i), i % 2 == 0 and 0 or nil, i))
      expected[#expected + 1] = ("%d "):format(i)
    end
    for i = 1, n do
      local done = take(port)
      assert.same({ i, nil }, { done.overlapped, done.code })
    end
    assert.equal(table.concat(expected), support.read(path))
    for i = 1, n do -- two writers: each write is in one piece
      assert.is_true((i % 2 == 0 and file or other):write(("<%05d>"):format(i), nil, i))
    end
    take_all(port, n)
    local seen, count = {}, 0
    for i in support.read(path):sub(#table.concat(expected) + 1):gmatch("<(%d%d%d%d%d)>") do
      assert.is_nil(seen[i])
      seen[i], count = true, count + 1
    end
    assert.equal(n, count)
  end)

  it("without a name is for whoever opens it, and goes with it", function()
    local file = assert(iocp.File.temporary())
    assert.is_true(file:associate(port))
    assert.equal(5, packet(port, file:write("12345", 0)).bytes)
    assert.equal("12345", files.all(file, port, heap))
    assert.is_true(file:close())
  end)

  it("crosses to other threads as a value, and is found there by a packet's key", function()
    local path, text = fresh(), sockets.pattern(100000)
    local file = files.open(port, path, "w+")
    local thread = iocp.Thread(function(f, p, h)
      local i = require "iocp"
      local block = h:put("from a thread")
      assert(f:write(block, nil, 0))
      local key, bytes = p:dequeue()
      local found = assert(i.File.open(key))
      assert(rawequal(found, f))
      h:free(block)
      return bytes, found
    end, file, port, heap)
    local ok, bytes, found = thread:join()
    assert.is_true(ok)
    assert.equal(13, bytes)
    assert.is_true(rawequal(found, file))
    assert.equal("from a thread", support.read(path))
    assert.equal(#text, packet(port, file:write(text, 0)).bytes)
    local threads, results = {}, iocp.IOCompletionPort()
    for t = 1, 4 do -- one file, four threads, a port of theirs
      threads[t] = iocp.Thread(function(name, to, first)
        local i = require "iocp"
        local own, h = i.IOCompletionPort(), i.Heap()
        local f, block, sum = assert(i.File(name)), h:alloc(1000), 0
        f:associate(own)
        for n = first, 99, 4 do
          f:read(block, 1000, n * 1000)
          sum = sum + select(2, own:dequeue())
        end
        to:enqueue(sum + 1)
        f:close()
      end, path, results, t - 1)
    end
    for t = 1, 4 do
      assert.is_true((threads[t]:join()))
      assert.equal(25001, results:dequeue())
    end
  end)

  it("is closed under its operations: each sends its packet [42]", function()
    local n = support.scaled(200)
    for _ = 1, 5 do
      local file = files.open(port, fresh(), "w+")
      for i = 1, n do
        assert.is_true(file:write(("x"):rep(5000), i * 5000, i))
      end
      assert.is_true(file:cancel() <= n)
      assert.is_true(file:close())
      for _, done in pairs(take_all(port, n)) do
        assert.is_true(done.code == "ECANCELED" or done.code == nil and done.bytes == 5000, done.code)
      end
      none(port, 0)
    end
  end)

  it("frees what its operations hold when its port closes [48]", function()
    local own = iocp.IOCompletionPort()
    local file, blocks = files.open(own, fresh(), "w"), {}
    for i = 1, 100 do
      blocks[i] = heap:put(("x"):rep(5000))
      assert.is_true(file:write(blocks[i], nil, i * 5000))
    end
    own:close()
    for i = 1, 100 do
      assert.is_true(support.eventually(function()
        return heap:free(blocks[i])
      end))
    end
    assert.is_true(file:close())
  end)

  it("keeps a destroyed heap's blocks until its operations have ended [44]", function()
    local own = iocp.Heap()
    local file = files.open(port, fresh(), "w")
    for i = 1, 100 do
      assert.is_true(file:write(own:put(("y"):rep(5000)), nil, i * 5000, i))
    end
    assert.is_true(own:destroy())
    for _, done in pairs(take_all(port, 100)) do
      assert.is_true(done.code == "ECANCELED" or done.bytes == 5000)
    end
  end)

  it("is opened and closed any number of times", function()
    local path, block = with("0123456789"), heap:alloc(10)
    local function round(n)
      for i = 1, n do
        local file = files.open(port, path)
        assert.equal(10, packet(port, file:read(block, 10, 0, i)).bytes)
        assert.is_true(file:close())
      end
    end
    round(support.scaled(300))
    local before = support.resident()
    round(support.soaked(3000))
    local grown = support.resident() - before
    assert.is_true(not support.measures or grown < 1000, grown .. " KiB")
  end)
end)

describe("a pipe", function()
  it("carries bytes in the order of the calls [45]", function()
    local reader, writer = files.pipe(port)
    local block = assert(heap:alloc(100))
    assert.matches("(pipe)", tostring(reader), 1, true)
    assert.is_true(reader:read(block)) -- before there is anything
    none(port)
    assert.is_true(writer:write("first ", nil, 1))
    assert.is_true(writer:write("second", nil, 2))
    local done = take_all(port, 3)
    assert.is_true(done[block].bytes == 6 or done[block].bytes == 12)
    assert.equal(6, done[1].bytes)
    if done[block].bytes == 6 then
      assert.equal("first ", heap:read(block, 0, 6))
      assert.equal(6, packet(port, reader:read(block)).bytes)
    end
    assert.is_true(writer:close())
    assert.equal(0, packet(port, reader:read(block)).bytes)
  end)

  it("is written as a whole, however little room there is", function()
    local own = iocp.IOCompletionPort()
    local reader, writer = files.pipe(own, port)
    local text = sockets.pattern(3000000)
    assert.is_true(writer:write(text, nil, 1))
    assert.is_true(writer:write("end", nil, 2))
    local block, parts, left = heap:alloc(65536), {}, #text + 3
    while left > 0 do
      local done = packet(own, reader:read(block))
      parts[#parts + 1] = heap:read(block, 0, done.bytes)
      left = left - done.bytes
    end
    assert.is_true(table.concat(parts) == text .. "end")
    local done = take_all(port, 2)
    assert.same({ #text, 3 }, { done[1].bytes, done[2].bytes })
  end)

  it("that nobody reads from: EPIPE, and no signal [50]", function()
    local reader, writer = files.pipe(port)
    assert.is_true(writer:write(("x"):rep(1000000), nil, 1))
    none(port)
    assert.is_true(reader:close())
    assert.equal("EPIPE", take(port).code)
    assert.equal("EPIPE", packet(port, writer:write("x")).code)
    assert.equal("EPIPE", select(3, writer:write("x", nil, false)))
  end)

  it("gives up what waits when it is cancelled or closed [42]", function()
    local reader, writer = files.pipe(port)
    local a, b = heap:alloc(10), heap:alloc(10)
    assert.is_true(reader:read(a))
    assert.is_true(reader:read(b))
    assert.equal("INVALID", select(3, reader:read(a)))
    assert.equal(1, reader:cancel(a))
    assert.same({ key = number(reader), bytes = 0, overlapped = a, code = "ECANCELED" }, take(port))
    assert.equal(0, reader:cancel(a))
    assert.is_true(heap:free(a))
    assert.is_true(reader:close())
    assert.equal("ECANCELED", take(port).code)
    assert.is_true(heap:free(b))
    none(port)
    assert.equal("EPIPE", packet(port, writer:write("x")).code)
  end)

  it("ends what waits with its port, or its heap [44, 48]", function()
    local own, other = iocp.IOCompletionPort(), iocp.Heap()
    local reader = files.pipe(own)
    local block = heap:alloc(10)
    assert.is_true(reader:read(block))
    own:close()
    assert.is_true(heap:free(block))
    reader = files.pipe(port)
    assert.is_true(reader:read(other:alloc(10)))
    assert.is_true(other:destroy())
    assert.equal("ECANCELED", take(port).code)
  end)

  it("wakes who waits in another thread", function()
    local reader, writer = files.pipe(port)
    local thread = iocp.Thread(function(p, h)
      local _, bytes, block = p:dequeue()
      return h:read(block, 0, bytes)
    end, port, heap)
    assert.is_true(reader:read(heap:alloc(10)))
    iocp.sleep(20)
    local own = iocp.IOCompletionPort()
    assert.is_true(writer:close())
    local second = assert(iocp.File.pipe())
    assert.is_true(second:associate(own))
    local ok, text = thread:join()
    assert.is_true(ok)
    assert.equal("", text)
  end)
end)

if not support.windows then
  describe("on this system a file", function()
    local function run(command, ...)
      assert.is_true(({ os.execute(command:format(...)) })[1] ~= nil)
    end

    it("that is not in memory is read by others meanwhile", function()
      local text = sockets.pattern(2000000)
      local path = with(text)
      run("sync %s && dd if=%s iflag=nocache count=0 2>/dev/null", path, path)
      local file, blocks = files.open(port, path), {}
      for i = 0, 9 do
        blocks[i] = heap:alloc(200000)
        assert.is_true(file:read(blocks[i], nil, i * 200000))
      end
      local done = take_all(port, 10)
      for i = 0, 9 do
        assert.equal(200000, done[blocks[i]].bytes)
        assert.is_true(heap:read(blocks[i]) == text:sub(i * 200000 + 1, (i + 1) * 200000))
      end
    end)

    it("of /proc is read to its end, whatever its size says", function()
      local file = files.open(port, "/proc/self/status")
      assert.equal(0, file:size())
      assert.matches("^Name:.*\nPid:.*\n$", files.all(file, port, heap))
      local memory = files.open(port, "/proc/self/mem", "r")
      assert.equal("EIO", packet(port, memory:read(heap:alloc(1), 1, 0)).code)
    end)

    it("on a full disk fails, with what was written", function()
      local full = files.open(port, "/dev/full", "w")
      assert.equal("device", full:info().type)
      assert.equal("ENOSPC", packet(port, full:write("x", 0)).code)
      local zero = files.open(port, "/dev/zero", "r")
      local block = heap:put(("x"):rep(1000))
      assert.equal(1000, packet(port, zero:read(block, nil, 0)).bytes)
      assert.equal(("\0"):rep(1000), heap:read(block))
      assert.equal(9, packet(port, files.open(port, "/dev/null", "w"):write("forgotten", 0)).bytes)
    end)

    it("on a small disk that is full fails after the part that fits, and goes on once there is room", function()
      local folder = fresh()
      run("mkdir %s", folder)
      -- A disk that is this child's alone, and goes with it.
      local linux = require "support.linux"
      linux.environment = "unshare -rm env"
      local code, output = support.child(([[
        local folder = %q
        if not ({ [true] = true, [0] = true })[os.execute("mount -t tmpfs -o size=64k none " .. folder)] then
          os.exit(77)
        end
        local iocp = require "iocp"
        local port = iocp.IOCompletionPort()
        local function write(name, size, offset)
          local file = assert(iocp.File(folder .. name, "r+") or iocp.File(folder .. name, "w"))
          file:associate(port)
          file:write(("x"):rep(size), offset)
          local key, bytes, code, _, written = port:dequeue()
          print(name, key and bytes or code .. " after " .. written, file:size())
          file:close()
        end
        write("/large", 100000, 0)
        write("/small", 5000, 0)
        assert(iocp.File(folder .. "/large", "r+")):truncate(0)
        write("/small", 5000, 0)
      ]]):format(folder))
      linux.environment = nil
      os.remove(folder)
      if code == 77 or output:find("unshare:", 1, true) then
        pending("nobody may mount a disk here")
        return
      end
      assert.equal(0, code, output)
      local fits, size = output:match("/large\tENOSPC after (%d+)\t(%d+)")
      assert.equal(size, fits, output)
      assert.is_true(tonumber(fits) > 0 and tonumber(fits) <= 65536, output)
      assert.matches("/small\tENOSPC after 0\t0\n/small\t5000\t5000", output, 1, true)
    end)

    it("is truncated under those who read it: what is left, and no error", function()
      local size, n, path = 4096, 200, with(("x"):rep(200 * 4096))
      run("sync %s && dd if=%s iflag=nocache count=0 2>/dev/null", path, path)
      local file, other = files.open(port, path), assert(iocp.File(path, "r+"))
      for i = 0, n - 1 do
        assert.is_true(file:read(heap:alloc(size), nil, i * size, i + 1))
      end
      assert.is_true(other:truncate(100))
      for i, done in pairs(take_all(port, n)) do
        assert.is_nil(done.code)
        local is_left = done.bytes == size or done.bytes == 0 or i == 1 and done.bytes == 100
        assert.is_true(is_left, ("%d: %d"):format(i, done.bytes))
      end
    end)

    it("is opened ten thousand times at once, and leaves nothing behind", function()
      local limit = io.popen("ulimit -Hn")
      local most = math.min(support.scaled(10000), (tonumber(limit:read("*l")) or 20000) - 100)
      limit:close()
      local code, output = support.child(([[
        local iocp, support = require "iocp", require "support"
        local port, heap, path, n = iocp.IOCompletionPort(), iocp.Heap(), %q, %d
        local block = heap:alloc(1)
        local function round()
          local files = {}
          for i = 1, n do
            files[i] = assert(iocp.File(path))
            assert(files[i]:associate(port))
            assert(files[i]:read(block, 1, i %% 10))
            local key, bytes = port:dequeue()
            assert(key == tonumber(files[i]:handle()) and bytes == 1)
          end
          for i = 1, n do
            assert(files[i]:close())
          end
          files = nil -- garbage, which is gone before the next round, so that none of it makes the process larger
          return support.resident()
        end
        round()
        local before, open = round(), support.descriptors()
        round()
        round()
        print(round() - before, support.descriptors() - open)
        local file, message, code = nil, nil, nil
        local files = {}
        repeat
          file, message, code = iocp.File(path)
          files[#files + 1] = file
        until not file
        print(code, #files >= n)
      ]]):format(with("0123456789"), most), 100, nil, nil, most + 50)
      assert.equal(0, code, output)
      local grown, open, refused = output:match("^(%-?%d+)\t(%-?%d+)\n(.*)$")
      assert.equal("EMFILE\ttrue", refused, output)
      assert.equal("0", open)
      assert.is_true(not support.measures or tonumber(grown) < 2000, grown)
    end)

    it("is done by others, where it waits for a device", function()
      assert.equal(0, packet(port, files.open(port, fresh(), "w"):sync()).bytes)
      local threads = {}
      for thread in require("lfs").dir("/proc/self/task") do
        local name = io.open("/proc/self/task/" .. thread .. "/comm")
        if name then -- it is no folder's, and has not ended meanwhile
          threads[name:read("*l") or ""] = true
          name:close()
        end
      end
      assert.is_true(threads["iocp file"] or threads["iocp ring"] and not WITHOUT)
    end)

    it("is read as it was when it is removed, and no further when it became shorter", function()
      local path, block = with(("x"):rep(10000)), heap:alloc(10000)
      local file, other = files.open(port, path), files.open(port, path, "r+")
      assert.equal(10000, packet(port, file:read(block, nil, 0)).bytes)
      assert.is_true(other:truncate(100))
      assert.equal(100, packet(port, file:read(block, nil, 0)).bytes)
      assert.equal(0, packet(port, file:read(block, nil, 5000)).bytes)
      os.remove(path)
      assert.equal(100, packet(port, file:read(block, nil, 0)).bytes)
      assert.equal(0, file:info().links)
    end)

    it("of others is left as it is", function()
      local path = with("0123456789")
      local stream = assert(io.open(path))
      local file, block = assert(iocp.File.adopt(stream)), heap:alloc(10)
      assert.is_true(rawequal(file, iocp.File.adopt(stream)))
      assert.is_true(rawequal(file, iocp.File.adopt(file:native())))
      assert.is_true(file:associate(port))
      assert.equal(3, packet(port, file:read(block, 3, 7)).bytes)
      assert.equal("0123456789", stream:read("*a"))
      assert.is_true(file:close())
      assert.equal(0, stream:seek("set"))
      assert.equal("0123456789", stream:read("*a"))
      stream:close()
      assert.equal("INVALID", select(3, iocp.File.adopt(1000000)))
    end)

    it("over a pipe of others never waits, and leaves it one that does", function()
      local stream = io.popen("sleep 0.1; echo done", "r")
      local file, block = assert(iocp.File.adopt(stream)), heap:alloc(100)
      assert.equal("pipe", file:info().type)
      assert.is_true(file:associate(port))
      assert.is_true(file:read(block))
      assert.equal(5, take(port).bytes)
      assert.equal(0, packet(port, file:read(block)).bytes)
      assert.is_true(file:close())
      stream:close()
      stream = io.popen("sleep 0.1; cat > /dev/null", "w")
      file = assert(iocp.File.adopt(stream))
      assert.is_true(file:associate(port))
      assert.is_true(file:write(("x"):rep(1000000), nil, 3))
      none(port, 0)
      assert.equal(1000000, take(port).bytes)
      assert.is_true(file:close())
      assert.is_truthy(stream:write("as before"))
      stream:close()
    end)

    it("that is a FIFO is opened without a wait", function()
      local path = fresh()
      run("mkfifo %s", path)
      assert.equal("ENXIO", select(3, iocp.File(path, "w")))
      local reader, block = files.open(port, path), heap:alloc(100)
      assert.equal("pipe", reader:info().type)
      assert.is_true(reader:read(block))
      none(port) -- nobody has opened it for writing yet: that is not its end
      local writer = files.open(port, path, "w")
      assert.equal(5, writer:write("hello", nil, false))
      assert.equal(5, take(port).bytes)
      assert.is_true(writer:close())
      assert.equal(0, packet(port, reader:read(block)).bytes)
      writer = files.open(port, path, "w")
      assert.is_true(reader:read(block))
      none(port)
      assert.equal(5, writer:write("again", nil, false))
      assert.equal(5, take(port).bytes)
    end)

    it("is a terminal, or what others have made", function()
      local file = iocp.File("/dev/ptmx", "r+")
      if file then
        assert.is_true(file:associate(port))
        assert.equal("terminal", file:info().type)
        assert.is_true(file:write("typed\n", nil, 1))
        assert.equal(6, take(port).bytes)
        local block = heap:alloc(100)
        assert.is_true(file:read(block)) -- the echo
        assert.equal("typed", heap:read(block, 0, take(port).bytes):match("%w+"))
      end
    end)

    it("is not inherited [50]", function()
      local file = assert(iocp.File(with("x")))
      local descriptor = file:native()
      assert.is_true(descriptor > 2)
      local list = io.popen(("test -e /proc/self/fd/%d && readlink /proc/self/fd/%d"):format(descriptor, descriptor))
      assert.are_not.equal(paths[1], (list:read("*l")))
      list:close()
    end)

    if not WITHOUT then
      for _, way in ipairs {
        { "where the environment wants no ring", "IOCP_NO_URING=1" },
        { "where the system refuses its ring", "build/c/refuse io_uring_setup" },
        { "where nothing tells what would wait", "build/c/refuse io_uring_setup,preadv2,pwritev2" },
      } do
        it("does all of this " .. way[1], function()
          local program = way[2]:match("^build/%S+")
          local is_built = not program or io.open(program)
          if not is_built then
            pending("make c-tests builds " .. program)
            return
          end
          local output = io.popen(("IOCP_SPEC_WITHOUT=1 %s timeout 300 %s %s -o TAP spec/file_spec.lua 2>&1"):format(
            way[2], support.interpreter(), arg[0]))
          local text = output:read("*a")
          output:close()
          assert.is_nil(text:match("not ok[^\n]*"), text)
          assert.matches("\nok 37 ", text)
        end)
      end
    end
  end)
end
