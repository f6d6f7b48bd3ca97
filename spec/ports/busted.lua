-- Runs busted as Debian installs it in /usr/share/lua: lua spec/ports/busted.lua [arguments of busted]
-- IOCP_BUILD names the folder with the module, and with those of busted's modules that are in C, unless IOCP_BUSTED
-- does.
local version = rawget(_G, "jit") and "5.1" or "5.4" -- Debian has none for 5.5, and what there is for 5.4 does there
package.path = ("/usr/share/lua/%s/?.lua;/usr/share/lua/%s/?/init.lua;"):format(version, version) .. package.path
package.cpath = os.getenv("IOCP_BUILD") .. "/?.so"
if os.getenv("IOCP_BUSTED") then
  package.cpath = package.cpath .. ";" .. os.getenv("IOCP_BUSTED") .. "/?.so"
end

package.preload["term.core"] = function()
  return { isatty = function() return false end }
end

-- Debian's Penlight and busted assign to the variables of loops, which Lua 5.5 forbids: then they are copies.
if _VERSION == "Lua 5.5" then
  table.insert(package.searchers, 2, function(name)
    local path = package.searchpath(name, package.path)
    if not path or not path:find("^/usr/share/lua/") then
      return nil
    end
    local file = assert(io.open(path)) -- LuaJIT reads this, too: no <close>
    local text = file:read("*a"):gsub("for ([%w_, ]+) in ([^\n]-) do\n", "for %1 in %2 do local %1 = %1\n")
    file:close()
    return assert(load(text, "@" .. path)), path
  end)
end

io.stdout:setvbuf("no") -- so that nothing is lost if the process does not end as it should
require "busted.runner" { standalone = false }
