--- What bench/luasocket measures: rows, each a Lua, how many GETs are under way at once, and what socket.http stands
-- on, the yardstick first. `asked`: how much of the yardstick's processor time at most.
-- @module bench.luasocket.plan
local rows = {}

local NAMES = { luajit = "LuaJIT", ["lua5.4"] = "Lua 5.4" }

local NOTHING = { who = "nothing: socket.http's own part", kind = "nothing" }

for _, lua in ipairs { "luajit", "lua5.4" } do
  rows[#rows + 1] = { title = "one GET at a time, " .. NAMES[lua], lua = lua, at_once = 1, figure = "cpu",
    { who = "luasocket", kind = "luasocket" },
    { who = "iocp.luasocket, no fibers", kind = "ours", asked = 1.11 },
    NOTHING,
  }
end
local FIBERS = { who = "iocp.luasocket in fibers", kind = "fibers", asked = 0.67 }
rows[#rows + 1] = { title = "64 GETs at a time, LuaJIT", lua = "luajit", at_once = 64, figure = "cpu",
  { who = "copas of the system", kind = "copas" }, FIBERS, NOTHING,
}
local folder = os.getenv "COPAS" or ""
if folder ~= "" then
  for _, lua in ipairs { "luajit", "lua5.4" } do
    rows[#rows + 1] = { title = "64 GETs beside COPAS, " .. NAMES[lua], lua = lua, at_once = 64, figure = "cpu",
      { who = "copas of COPAS", kind = "copas", folder = folder }, FIBERS,
    }
  end
end

return rows
