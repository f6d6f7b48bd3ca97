-- What only Windows has of files: paths, names, and files of others.
local iocp = require "iocp"
local lfs = require "lfs"
local support = require "support"
local sockets, files = require "support.sockets", require "support.files"
local take, none, packet = sockets.take, sockets.none, files.packet

if not support.windows then
  support.nothing = "Linux has no HANDLEs"
  return
end

local port, heap, paths

local function with(text)
  local path = files.with(text)
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

describe("a file of this system", function()
  it("has a name in UTF-8", function()
    local folder = files.path() -- the C library cannot remove the file by its name
    assert(lfs.mkdir(folder))
    local path = folder .. "\\\195\164\226\130\172" -- two letters that no code page of 8 bits has together with others
    assert.equal("EILSEQ", select(3, iocp.File(path:sub(1, -2), "w")))
    local file = files.open(port, path, "w+x")
    assert.equal(5, packet(port, file:write("12345", 0)).bytes)
    assert.equal("EEXIST", select(3, iocp.File(path, "wx")))
    assert.is_true(file:close())
    file = files.open(port, path)
    assert.equal("12345", files.all(file, port, heap))
    assert.is_true(file:close())
    os.execute("rmdir /s /q " .. folder)
    assert.is_nil(lfs.attributes(folder))
  end)

  it("has a name of any length", function()
    local folder, name = ("iocp"):rep(24), ("f"):rep(100)
    local path = folder .. "/" .. folder
    assert(lfs.mkdir(folder))
    assert(lfs.mkdir(path))
    local file = files.open(port, path .. "/./" .. name, "w")
    assert.equal(4, packet(port, file:write("deep", 0)).bytes)
    local same = assert(iocp.File(lfs.currentdir() .. "\\" .. path .. "\\" .. name))
    assert.equal(4, same:size())
    assert.is_true(file:close())
    assert.is_true(same:close())
    assert.is_true(os.rename(path, folder .. "/b")) -- to what the C library can remove
    assert.is_true(os.rename(folder, "iocp-a"))
    assert.is_true(os.remove("iocp-a/b/" .. name))
    assert.is_true(lfs.rmdir("iocp-a/b"))
    assert.is_true(lfs.rmdir("iocp-a"))
  end)

  it("is truncated under its reader, or removed", function()
    local path, block = with(("x"):rep(10000)), heap:alloc(10000)
    local file, other = files.open(port, path), files.open(port, path, "r+")
    assert.equal(10000, packet(port, file:read(block, nil, 0)).bytes)
    assert.is_true(other:truncate(100))
    assert.equal(100, packet(port, file:read(block, nil, 0)).bytes)
    assert.equal(0, packet(port, file:read(block, nil, 5000)).bytes)
    assert.equal("EINVAL", select(3, file:truncate(0)))
    assert.is_true(os.remove(path))
    assert.equal(100, packet(port, file:read(block, nil, 0)).bytes)
  end)

  it("in mode a becomes shorter, and is written there", function()
    local file = files.open(port, with("0123456789"), "a+")
    assert.is_true(file:truncate(3))
    assert.equal(1, packet(port, file:write("x")).bytes)
    assert.equal("012x", files.all(file, port, heap))
    assert.equal(0, packet(port, file:sync()).bytes)
  end)

  it("that is read-only is not written", function()
    local path = with("text")
    os.execute(("attrib +r %s"):format(path))
    assert.equal(tonumber("444", 8), iocp.File(path):info().permissions)
    local file, _, code = iocp.File(path, "w")
    os.execute(("attrib -r %s"):format(path))
    assert.equal(tonumber("666", 8), iocp.File(path):info().permissions)
    assert.same({ nil, "EACCES" }, { file, code })
  end)

  it("that is hidden is written, and emptied", function()
    local path = with("text")
    os.execute(("attrib +h %s"):format(path))
    assert.equal(0, assert(iocp.File(path, "w")):size())
    os.execute(("attrib -h %s"):format(path))
  end)

  it("is nothing, if it is NUL", function()
    local file = files.open(port, "NUL", "r+")
    assert.equal("device", file:info().type)
    assert.equal(9, packet(port, file:write("forgotten", 0)).bytes)
    assert.equal(0, packet(port, file:read(heap:alloc(1), 1, 0)).bytes)
  end)

  it("of the C library is not overlapped, so it is not adopted", function()
    local stream = assert(io.open(with("x")))
    assert.equal("INVALID", select(3, iocp.File.adopt(stream)))
    assert.equal("x", stream:read("*a"))
    stream:close()
  end)

  it("goes on with its syncs when it is closed", function()
    local file = files.open(port, with(""), "w")
    for i = 1, 20 do
      assert.is_true(file:write(("x"):rep(1000), i * 1000, i))
      assert.is_true(file:sync(100 + i))
    end
    assert.is_true(file:cancel() <= 40)
    assert.is_true(file:close())
    for _ = 1, 40 do
      local done = take(port)
      assert.is_true(done.code == nil or done.code == "ECANCELED", done.code)
    end
    none(port)
  end)
end)

it("a pipe is read and written at once, if that can be", function()
  local reader, writer = files.pipe(port)
  local block = heap:alloc(10)
  assert.equal(5, writer:write("hello", nil, false))
  assert.equal(5, reader:read(block, 10, nil, false))
  assert.is_true(reader:read(block, 10, nil, false)) -- there is nothing
  none(port)
  assert.equal(0, writer:write("", nil, false)) -- which is not the end
  none(port)
  assert.is_true(writer:close())
  assert.equal(0, take(port).bytes)
  assert.equal(0, reader:read(block, 10, nil, false))
end)

if rawget(_G, "jit") then
  describe("a file of others", function()
    local ffi = require "ffi"
    require "iocp.tinn.WTypes"
    ffi.cdef [[
      HANDLE CreateNamedPipeW(const uint16_t *name, DWORD mode, DWORD pipe_mode, DWORD instances, DWORD out, DWORD in,
        DWORD ms, void *security);
      HANDLE CreateFileW(const uint16_t *name, DWORD access, DWORD share, void *security, DWORD how, DWORD flags,
        HANDLE template);
      BOOL WriteFile(HANDLE file, const void *buffer, DWORD size, DWORD *count, void *overlapped);
      BOOL CloseHandle(HANDLE handle);
    ]]
    local C = ffi.C
    local server, client

    before_each(function()
      local name = ("\\\\.\\pipe\\iocp-spec-files-%s"):format(port:handle())
      local wide = ffi.new("uint16_t[?]", #name + 1)
      for i = 1, #name do
        wide[i - 1] = name:byte(i)
      end
      server = C.CreateNamedPipeW(wide, 0x40000003, 6, 1, 4096, 4096, 0, nil) -- duplex, overlapped; whole messages
      client = C.CreateFileW(wide, 0xC0000000, 0, nil, 3, 0, nil)
    end)

    after_each(function()
      C.CloseHandle(client)
      assert.equal(1, C.CloseHandle(server)) -- nobody else has
    end)

    it("is adopted, and left to them", function()
      local file, block = assert(iocp.File.adopt(server)), heap:alloc(4)
      assert.is_true(rawequal(file, iocp.File.adopt(file:native())))
      assert.equal("pipe", file:info().type)
      assert.is_true(file:associate(port))
      assert.equal(1, C.WriteFile(client, "hello", 5, ffi.new("DWORD[1]"), nil))
      local done = packet(port, file:read(block))
      assert.same({ "EMSGSIZE", 4 }, { done.code, done.bytes }) -- what there was room for
      assert.equal("hell", heap:read(block))
      done = packet(port, file:read(block))
      assert.same({ nil, 1 }, { done.code, done.bytes })
      none(port)
      assert.is_true(file:read(block))
      assert.is_true(file:close())
      assert.equal("ECANCELED", take(port).code)
    end)

    it("that is not overlapped is not adopted", function()
      assert.equal("INVALID", select(3, iocp.File.adopt(client)))
    end)
  end)
end
