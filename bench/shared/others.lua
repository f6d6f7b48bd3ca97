-- A get of a small value by two threads from what other modules share: luajit bench/shared/others.lua NAME prints
-- "time" and "cpu", nanoseconds of one get as shared.lua has them. They are where bench/shared/prepare has put them.
local who = arg[1]
package.path = "build/shared/lanes/src/?.lua;" .. package.path
package.cpath = "build/shared/?.so;build/shared/lanes/?.so;" .. package.cpath

local THREADS, COUNT, KEYS = 2, tonumber(arg[2]) or 400000, 100

local iocp = require "iocp" -- for its clock

local began, cpu

local function start()
  began, cpu = iocp.clock(), os.clock()
end

local function tell()
  local seconds, all = os.clock() - cpu, THREADS * COUNT
  print(("time %g cpu %g"):format((iocp.clock() - began) * 1e6 / all, seconds * 1e9 / all))
end

if who == "effil" then
  local effil = require "effil"
  local shared = effil.table()
  for i = 1, KEYS do
    shared["key " .. i] = i
  end
  local function read(t, count, size)
    local keys, sum = {}, 0
    for i = 1, size do
      keys[i] = "key " .. i
    end
    for _ = 1, count, size do
      for i = 1, size do
        sum = sum + t[keys[i]]
      end
    end
    return sum
  end
  local threads = {}
  start()
  for i = 1, THREADS do
    threads[i] = effil.thread(read)(shared, COUNT, KEYS)
  end
  for i = 1, THREADS do
    assert(threads[i]:get())
  end
  tell()
else
  local lanes = require "lanes".configure()
  local linda = lanes.linda()
  for i = 1, KEYS do
    linda:set("key " .. i, i)
  end
  local function read(its_linda, count, size)
    local keys, sum = {}, 0
    for i = 1, size do
      keys[i] = "key " .. i
    end
    for _ = 1, count, size do
      for i = 1, size do
        sum = sum + its_linda:get(keys[i])
      end
    end
    return sum
  end
  local threads = {}
  start()
  for i = 1, THREADS do
    threads[i] = lanes.gen("*", read)(linda, COUNT, KEYS)
  end
  for i = 1, THREADS do
    assert(threads[i][1])
  end
  tell()
end
