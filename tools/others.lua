-- LUA tools/others.lua MODE FOLDER FILE [LAST...]: runs a test of another project, as it is, where iocp is: MODE
-- "plain", with iocp.luasocket in luasocket's place; "fiber", the same in a fiber; "threads", in four threads at once,
-- each of which has to print one of LAST in the end. Fails as the test does.
local iocp, lfs = require "iocp", require "lfs"
local mode, folder, file = ...
local last = { select(4, ...) }
rawset(_G, "arg", { [0] = file })
assert(lfs.chdir(folder))

if mode == "threads" then
  local threads = {}
  for i = 1, 4 do
    threads[i] = assert(iocp.Thread({ name = file .. " " .. i, body = function(its_file)
      local said
      rawset(_G, "print", function(...)
        said = table.concat({ ... }, "\t")
      end)
      local exit = {}
      rawset(os, "exit", function() error(exit, 0) end) -- it would end the process
      rawset(_G, "arg", { [0] = its_file })
      local ok, value = pcall(dofile, its_file)
      assert(ok or value == exit, value)
      return said
    end }, file))
  end
  for i, thread in ipairs(threads) do
    local ok, said = thread:join()
    local is_said = false
    for _, text in ipairs(last) do
      is_said = is_said or said == text
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
