-- The same in Lua, over iocp.File. usage: lua file.lua WORKLOAD [packet], as bench/file/iocp.c. What goes past the
-- system's memory needs LuaJIT's ffi to open the file.
local iocp = require "iocp"
local DATA, FILE_PATH = "build/file/data", "build/file/small/"
local SMALL, FILE_SIZE, PART, PARTS = 4096, 16384, 256 * 1024, 4096 -- as in file.h, as are the counts below

local port, heap = iocp.IOCompletionPort(), iocp.Heap()
local overlapped = arg[2] ~= "packet" and false or nil -- false: no packet for what is done at once
local workloads = {}

local function associated(file)
  assert(file:associate(port, 1))
  return file
end

local function open_device()
  local ffi = require "ffi"
  ffi.cdef "int open(const char *path, int flags, ...);"
  local O_DIRECT = ffi.arch:find("^arm") and 0x10000 or 0x4000
  return associated(assert(iocp.File.adopt(ffi.C.open(DATA, O_DIRECT))))
end

local function read(file, block, size, offset)
  local bytes, _ = file:read(block, size, offset, overlapped)
  if bytes == true then
    _, bytes = port:dequeue()
  end
  if bytes ~= size then
    error("read")
  end
end

function workloads.cached()
  local file, block, count = associated(iocp.File(DATA)), heap:alloc(SMALL), 200000
  for i = 0, count - 1 do
    read(file, block, SMALL, i % 1024 * SMALL)
  end
  return count
end

function workloads.random()
  local file, blocks, batches = open_device(), {}, 64
  math.randomseed(os.time() + iocp.clock() % 1000)
  for i = 1, 32 do
    blocks[i] = heap:alloc(FILE_SIZE)
  end
  for _ = 1, batches do
    for i = 1, 32 do
      assert(file:read(blocks[i], SMALL, math.random(0, PARTS * PART / SMALL - 1) * SMALL))
    end
    for _ = 1, 32 do
      assert(select(2, assert(port:dequeue())) == SMALL)
    end
  end
  return batches
end

function workloads.files()
  local block, count = heap:alloc(FILE_SIZE), 5000
  for i = 0, count - 1 do
    local file = associated(assert(iocp.File(FILE_PATH .. i % 1000)))
    read(file, block, FILE_SIZE, 0)
    assert(#heap:read(block) == FILE_SIZE)
    file:close()
  end
  return count
end

local function read_all(file)
  for i = 0, 3 do
    assert(file:read(heap:alloc(PART), PART, i * PART))
  end
  for i = 4, PARTS + 3 do
    local _, bytes, block = assert(port:dequeue())
    assert(bytes == PART)
    if i < PARTS then
      assert(file:read(block, PART, i * PART))
    end
  end
  return 1
end

function workloads.device()
  return read_all(open_device())
end

function workloads.memory()
  return read_all(associated(iocp.File(DATA)))
end

local began, cpu = iocp.clock(), os.clock()
local count = workloads[arg[1]]()
print(("time %.4f cpu %.4f"):format((iocp.clock() - began) * 1e3 / count, (os.clock() - cpu) * 1e6 / count))
