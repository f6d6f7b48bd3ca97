--- What bench/http measures: rows, each so many connections that ask for a page of so many bytes, and the servers that
-- take turns at it. The first server of a row is its yardstick. `figure`: what is compared, the smaller the better:
-- `cpu`, the server's processor time a request, us; `p99`, ms, where the client asks at a rate. `asked`: how much of
-- the yardstick's at most.
-- @module bench.http.plan
local rows = {}

local NAMES = { luajit = "LuaJIT", ["lua5.4"] = "Lua 5.4" }

-- A server: who it is, what is run (threads and bytes are put behind it), and with which Lua.
local C = { who = "C, epoll", command = "build/http/epoll" }
local NGINX = { who = "nginx", command = "bench/http/nginx.sh" }
local NGINX_LUA = { who = "nginx with Lua", command = "LUA=1 bench/http/nginx.sh" }
local GO = { who = "Go, net/http", command = "build/http/go" }
local NODE = { who = "Node, http", command = "node bench/http/server.js" }

local function others(name)
  return { who = name .. ", LuaJIT", command = ("luajit bench/http/%s.lua"):format(name:gsub("-", "_")) }
end

local function ours(kind, interpreter, asked)
  return { who = ("iocp, %s, %s"):format(kind == "httpd" and "HTTP example" or "streams", NAMES[interpreter]),
    command = ("%s bench/http/%s.lua"):format(interpreter, kind), lua = interpreter, asked = asked }
end

local function add(row)
  row.figure = row.figure or "cpu"
  rows[#rows + 1] = row
end

add { title = "hello world: 64 connections", threads = 1, connections = 64, size = 13,
  C, ours("stream", "luajit", 1.15), ours("httpd", "luajit", 1.4), ours("stream", "lua5.4", 1.35),
  ours("httpd", "lua5.4", 1.8), NGINX, NGINX_LUA, others "luv", others "cqueues", others "copas", others "lua-http", GO,
  NODE }
add { title = "hello world: 64 connections by 2 threads", threads = 2, connections = 64, size = 13,
  C, ours("stream", "luajit"), ours("httpd", "luajit"), ours("httpd", "lua5.4"), NGINX, NGINX_LUA, GO, NODE }
add { title = "hello world: 1000 connections", threads = 1, connections = 1000, size = 13,
  C, ours("stream", "luajit"), ours("httpd", "luajit"), ours("httpd", "lua5.4"), NGINX, others "luv",
  others "cqueues", GO,
  NODE }
add { title = "10 KiB file: 64 connections", threads = 1, connections = 64, size = 10240,
  C, ours("httpd", "luajit"), ours("httpd", "lua5.4"), NGINX, others "luv", others "lua-http", GO, NODE }
add { title = "10 KiB file: 1000 connections by 2 threads", threads = 2, connections = 1000, size = 10240,
  C, ours("httpd", "luajit"), ours("httpd", "lua5.4"), NGINX, GO }
add { title = "10000 requests a second by 64 connections", threads = 1, connections = 64, size = 13, rate = 10000,
  figure = "p99", NGINX, ours("httpd", "luajit", 2), ours("httpd", "lua5.4", 2), C, GO, NODE }

return rows
