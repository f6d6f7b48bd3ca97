--- What bench/net measures: rows, each a workload of client.c and the servers that take turns at it. The first server
-- of a row is its yardstick. `figure`: what is compared, the smaller the better: `cpu`, the server's processor time a
-- message, us; `trip`, the time a message takes, us; `memory`, bytes; `call` and `latency`, us, of a post, where no
-- server is run but what measures itself. `asked`: how much of the yardstick's at most, or how many bytes.
-- @module bench.net.plan
local rows = {}

-- A server: who it is, what is run (its buffer's size is put in place of %d), and with which Lua.
local function c(name, threads, mode)
  return ("build/net/%s %d %%d %s"):format(name, threads, mode or "")
end

local function lua(name, threads, mode)
  return ("bench/net/%s.lua %d %%d %s"):format(name, threads, mode or "")
end

local function epoll(threads)
  return { who = ("C, epoll, %s"):format(threads == 1 and "1 thread" or threads .. " with SO_REUSEPORT"),
    command = c("epoll", threads) }
end

local function count(threads)
  return threads == 1 and "" or (", %d threads"):format(threads)
end

local function ours_in_c(threads, asked, mode)
  return { who = "iocp, C" .. count(threads), command = c("echo", threads, mode), asked = asked }
end

local function ours(interpreter, threads, asked, mode)
  return { who = ("iocp, %s%s"):format(interpreter == "luajit" and "LuaJIT" or "Lua 5.4", count(threads)),
    command = lua("echo", threads, mode), lua = interpreter, asked = asked }
end

local BLOCKING = { who = "C, blocking", command = c("blocking", 1) }
local LUV = { who = "luv, LuaJIT", command = lua("luv", 1), lua = "luajit" }
local CQUEUES = { who = "cqueues, LuaJIT", command = lua("cqueues", 1), lua = "luajit" }

local function add(row)
  row.buffer = row.size > 4096 and 2 * row.size or 4096
  row.figure = row.figure or "cpu"
  rows[#rows + 1] = row
end

local function echo(title, connections, size, asked)
  add { title = title, workload = "echo", connections = connections, size = size,
    epoll(1), ours_in_c(1, asked and 1.05), ours("luajit", 1, asked and 1.1), ours("lua5.4", 1), LUV, CQUEUES }
end

echo("echo, 64 connections, 64 B", 64, 64, true)
add { title = "... by 2 threads", workload = "echo", connections = 64, size = 64,
  epoll(2), ours_in_c(2, 1), ours("luajit", 2) }
echo("echo, 1000 connections, 64 B", 1000, 64)
echo("echo, 64 connections, 16 KiB", 64, 16384)
echo("echo, 1000 connections, 16 KiB", 1000, 16384)
add { title = "round trip, 1 connection, 64 B", workload = "turn", connections = 1, size = 64, figure = "trip",
  BLOCKING, epoll(1), ours_in_c(1, 1.15), ours_in_c(4, 1.15), ours("luajit", 1), LUV, CQUEUES }
add { title = "round trip, 1 connection, 16 KiB", workload = "turn", connections = 1, size = 16384, figure = "trip",
  BLOCKING, ours_in_c(1), ours("luajit", 1) }
add { title = "connections made, 64 at once", workload = "accept", connections = 64, size = 64,
  epoll(1), ours_in_c(1), ours("luajit", 1), LUV, CQUEUES }
add { title = "100 messages a second, 20 connections", workload = "trickle", connections = 20, size = 64, seconds = 4,
  epoll(1), ours_in_c(4, 1.2), ours("luajit", 4), LUV }
add { title = "an idle connection of 10,000", workload = "idle", connections = 10000, size = 64, figure = "memory",
  rounds = 1, epoll(1), ours_in_c(1, 320, "READY"), ours("luajit", 1, 320, "READY"), ours("lua5.4", 1, 320, "READY"),
  LUV, CQUEUES }

for _, figure in ipairs { "call", "latency" } do
  add { title = "a post's wake-up: " .. (figure == "call" and "the call" or "until it runs"), figure = figure, size = 0,
    { who = "iocp, C, no sockets", command = "build/net/wake plain 2000" },
    { who = "iocp, C, a follower", command = "build/net/wake follower 2000", asked = 1.05 },
    { who = "iocp, C, the leader", command = "build/net/wake leader 2000", asked = 1.2 } }
end

return rows
