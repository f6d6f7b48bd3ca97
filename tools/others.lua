-- LUA tools/others.lua MODE FOLDER FILE [LAST...]: runs a test of another project, as it is, where iocp is: MODE
-- "plain", with iocp.luasocket in luasocket's place; "fiber", the same in a fiber; "threads", in four threads at once,
-- each of which has to print one of LAST in the end; "last", without iocp: what it prints in the end is the last line
-- of the output. Modules of the folder's own `lua` come first. Fails as the test does.
local lfs = require "lfs"
local mode, folder, file = ...
local last = { select(4, ...) }
local interpreter = arg[-1]
rawset(_G, "arg", { [-1] = interpreter, [0] = file })
assert(lfs.chdir(folder))

--- Runs a test to its end: what it printed last.
local function run(its_file, its_interpreter)
  local said, exit = "", {}
  rawset(_G, "print", function(...)
    local texts = { n = select("#", ...), ... }
    for n = 1, texts.n do
      texts[n] = tostring(texts[n])
    end
    said = table.concat(texts, "\t")
  end)
  rawset(os, "exit", function() error(exit, 0) end) -- it would end the process
  rawset(_G, "arg", { [-1] = its_interpreter, [0] = its_file })
  package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
  local ok, value = pcall(dofile, its_file)
  assert(ok or value == exit, value)
  return said
end

if mode == "last" then
  io.write("\n", run(file, interpreter):match("[^\n]*$"), "\n")
  return
end

local iocp = require "iocp"

if mode == "threads" then
  local threads = {}
  for i = 1, 4 do
    threads[i] = assert(iocp.Thread({ name = file .. " " .. i, body = run }, file, interpreter))
  end
  for i, thread in ipairs(threads) do
    local ok, said = thread:join()
    local is_said = false
    for _, text in ipairs(last) do
      is_said = is_said or said:match("[^\n]*$") == text
    end
    assert(ok and is_said, ("thread %d: %s"):format(i, tostring(said)))
  end
  return
end

package.loaded["socket.core"] = require "iocp.luasocket"
require("socket")._DEBUG = true -- luasocket's tests ask for a build that has it
if mode == "fiber" then
  iocp.run(assert(loadfile(file)))
else
  dofile(file)
end
