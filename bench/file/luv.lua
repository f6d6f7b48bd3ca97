-- Small files, and reads of what is in memory, over luv: libuv's fs calls. usage: lua luv.lua WORKLOAD [wait]: with
-- `wait` the calls wait in this thread; without they complete to the loop, after libuv's threads have done them, and 64
-- files are under way.
local uv = require "luv"
local DATA, FILE_PATH, FILE_SIZE, SMALL = "build/file/data", "build/file/small/", 16384, 4096

local workloads = {}

local function in_flight(begin)
  local count, begun = 5000, 0
  local function next_one()
    if begun < count then
      begun = begun + 1
      begin(begun - 1, next_one)
    end
  end
  for _ = 1, 64 do
    next_one()
  end
  uv.run()
  return count
end

function workloads.files()
  return in_flight(function(i, ended)
    uv.fs_open(FILE_PATH .. i % 1000, "r", 0, function(_, file)
      uv.fs_read(file, FILE_SIZE, 0, function(_, text)
        assert(#text == FILE_SIZE)
        uv.fs_close(file, ended)
      end)
    end)
  end)
end

function workloads.waiting_files()
  local count = 5000
  for i = 0, count - 1 do
    local file = uv.fs_open(FILE_PATH .. i % 1000, "r", 0)
    assert(#uv.fs_read(file, FILE_SIZE, 0) == FILE_SIZE)
    uv.fs_close(file)
  end
  return count
end

function workloads.cached()
  local file, count = uv.fs_open(DATA, "r", 0), 20000
  local begun = 0
  local function next_one(_, text)
    assert(not text or #text == SMALL)
    if begun < count then
      begun = begun + 1
      uv.fs_read(file, SMALL, begun % 1024 * SMALL, next_one)
    end
  end
  next_one()
  uv.run()
  return count
end

function workloads.waiting_cached()
  local file, count = uv.fs_open(DATA, "r", 0), 200000
  for i = 0, count - 1 do
    assert(#uv.fs_read(file, SMALL, i % 1024 * SMALL) == SMALL)
  end
  return count
end

local began, cpu = uv.hrtime(), os.clock()
local count = workloads[(arg[2] == "wait" and "waiting_" or "") .. arg[1]]()
print(("time %.4f cpu %.4f"):format((uv.hrtime() - began) / 1e3 / count, (os.clock() - cpu) * 1e6 / count))
