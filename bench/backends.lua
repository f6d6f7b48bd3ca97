-- The workloads on what is for macOS and the BSDs, beside Linux' own, in interleaved rounds: prints one table.
-- usage: make bench BACKEND=posix [ONLY=W1]
package.path = "bench/?.lua;" .. package.path
local cells, measure, plan = require "cells", require "measure", require "plan"
local only = os.getenv("ONLY") or ""

-- The contender, with the module of that backend, below the folder. nil: there is none.
local function of(contender, folder)
  if not contender or contender.futexes then
    return nil
  end
  local copy = { lua = "luajit", program = folder .. "/c/bench",
    prefix = ([[LUA_CPATH="%s/luajit/?.so;;" ]]):format(folder) .. (contender.prefix or "") }
  for name, value in pairs(contender) do
    copy[name] = copy[name] or value
  end
  return copy
end

-- The row with its contenders on both, five rounds each; nil: it has none.
local function compared(row)
  local c = row.c and (row.c.c or ""):find("iocp", 1, true) and row.c
  local both = { rounds = measure.ROUNDS, luajit = of(row.luajit, "build"), c = of(c, "build"),
    luajit_posix = of(row.luajit, "build/posix"), c_posix = of(c, "build/posix") }
  for _, name in ipairs { "id", "title", "unit", "kind", "scale", "count" } do
    both[name] = row[name]
  end
  return (both.luajit or both.c) and both
end

local WHO = { "luajit", "luajit_posix", "c", "c_posix" }
local FORMAT = "| %s | %s | %s | %s | %s | %s | %s | %s | %s |"
print(FORMAT:format("", "workload", "unit", "LuaJIT", "posix", "ratio", "C over iocp.h", "posix", "ratio"))
print(("|---"):rep(9) .. "|")
for _, plain in ipairs(plan.rows) do
  local row = compared(plain)
  if row and (only == "" or ("," .. only .. ","):find("," .. row.id .. ",", 1, true)) then
    local f = measure.row(row, WHO)
    print(FORMAT:format(row.id, row.title, row.unit, cells.figure(f.luajit), cells.figure(f.luajit_posix),
      cells.speed(row, f.luajit_posix, f.luajit), cells.figure(f.c), cells.figure(f.c_posix),
      cells.speed(row, f.c_posix, f.c)))
  end
end
