--- The pool beyond one machine: jobs lie in Redis, workers on any machine take them, and who submits them has the local
-- pool's verbs. The guide: doc/remote.md. Needs Redis 7, redis-lua and lua-messagepack, which `iocp` itself does not.
-- @module iocp.remote
return {
  --- A pool over a queue: pool.lua.
  Pool = require("iocp.remote.pool").new,
  --- A worker of a queue: worker.lua.
  serve = function(given) return require "iocp.remote.worker"(given) end,
}
