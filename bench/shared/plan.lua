--- What bench/shared measures: rows, each with who takes turns at it; the first of a row is its yardstick. `figure`: ns
-- of an operation, elapsed or of CPU, the smaller the better. `asked`: how much of the yardstick's at most.
-- @module bench.shared.plan

local function c(who, workload, asked)
  return { who = who, command = "build/shared/shared " .. workload, asked = asked }
end

local NAMES = { luajit = "LuaJIT", ["lua5.4"] = "Lua 5.4" }

local function lua(who, interpreter, workload, asked)
  return { who = ("%s, %s"):format(who, NAMES[interpreter]), lua = interpreter,
    command = "bench/shared/shared.lua " .. workload, asked = asked }
end

local function other(who, name)
  return { who = who .. ", LuaJIT", lua = "luajit", command = "bench/shared/others.lua " .. name, asked = nil }
end

return {
  { title = "a field of a table in a table, users[i].id", figure = "cpu",
    lua("a plain table", "luajit", "frozen-read plain"), lua("iocp.Frozen", "luajit", "frozen-read frozen", 10) },
  { title = "... Lua 5.4", figure = "cpu",
    lua("a plain table", "lua5.4", "frozen-read plain"), lua("iocp.Frozen", "lua5.4", "frozen-read frozen") },
  { title = "a thread that gets a frozen table, until its end", figure = "time",
    lua("of one entry", "luajit", "frozen-start small"), lua("of 100 MB", "luajit", "frozen-start frozen", 1.1) },
  { title = "a get of a small value, 2 threads", figure = "cpu",
    lua("iocp.Dict", "luajit", "dict-get"), lua("iocp.Dict", "lua5.4", "dict-get"), other("effil.table", "effil"),
    other("lanes' linda", "lanes") },
  { title = "512 x 512 matrix product, for a product", figure = "time",
    lua("iocp.Array, 1 worker", "luajit", "matrix 1"), lua("iocp.Array, 2 workers", "luajit", "matrix 2", 0.56),
    c("C, -O2, 1 thread", "matrix") },
  { title = "an add, 1 thread", figure = "cpu",
    c("C, iocp_atomic_add", "add"), c("C, lock xadd", "add-bare"), lua("iocp.Atomic", "luajit", "add", 1.2),
    lua("iocp.Atomic", "lua5.4", "add") },
  { title = "an add, 2 threads to one atomic", figure = "time",
    c("C, lock xadd", "contended-bare"), c("C, iocp_atomic_add", "contended"),
    lua("iocp.Atomic", "luajit", "contended", 1.2), lua("iocp.Atomic", "lua5.4", "contended") },
}
