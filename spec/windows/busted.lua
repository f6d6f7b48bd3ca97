-- Runs busted as Debian installs it in /usr/share/lua, with stand-ins for those of its modules that are in C:
--   luajit.exe spec/windows/busted.lua [arguments of busted]
-- IOCP_BUILD names the folder with the DLLs.
local version = rawget(_G, "jit") and "5.1" or _VERSION:match("%d%.%d")
package.path = ("/usr/share/lua/%s/?.lua;/usr/share/lua/%s/?/init.lua;"):format(version, version) .. package.path
package.cpath = os.getenv("IOCP_BUILD") .. "/?.dll"

package.preload["system.core"] = function()
  local process = require "spec_process"
  return { gettime = process.gettime, monotime = process.monotime, sleep = process.sleep }
end
package.preload["term.core"] = function()
  return { isatty = function() return false end }
end

io.stdout:setvbuf("no") -- so that nothing is lost if the process does not end as it should
require "busted.runner" { standalone = false }
