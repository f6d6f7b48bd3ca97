--- The program iocp-worker: serve, with options from the command line. These are read by argparse (the rock argparse,
-- Debian's lua-argparse), as usage, checks and help would be more code than what they are for.
-- @module iocp.remote.command
local function parser()
  local ok, argparse = pcall(require, "argparse")
  if not ok then
    error("iocp-worker needs the Lua module 'argparse' (the rock argparse, Debian's package lua-argparse): "
      .. tostring(argparse), 0)
  end
  local it = argparse("iocp-worker", "Takes jobs from a queue in Redis and runs them, until SIGTERM. Only functions of "
    .. "the modules that it is told are run.")
  local function number(name, what)
    it:option(name, what):convert(tonumber)
  end
  it:option("--redis", "host:port, a unix socket's path, or a redis:// address; a password is better given in the "
    .. "environment, IOCP_REDIS"):default(os.getenv("IOCP_REDIS") or "127.0.0.1:6379")
  it:option("--queue", "the queue's name"):count(1)
  it:option("--modules", "what is served: module, or module:function,function"):args("+"):count("+")
  number("--workers", "threads; as many as there are processors")
  number("--prefetch", "jobs taken ahead; 4 for each thread")
  number("--lease", "ms after which the jobs of a worker that is not heard of are others'; 30000")
  number("--deaths", "how many workers may die of a job before it is given up; 3")
  number("--grace", "ms for what runs when it is told to stop; 30000")
  return it
end

--- The table that serve takes.
local function modules_of(groups)
  local modules = {}
  for _, group in ipairs(groups) do
    for _, text in ipairs(group) do
      local module, functions = text:match("^([^:]+):(.+)$")
      if not module then
        modules[#modules + 1] = text
      else
        modules[module] = modules[module] or {}
        for name in functions:gmatch("[^,]+") do
          table.insert(modules[module], name)
        end
      end
    end
  end
  return modules
end

--- Runs it: the exit code.
-- @param arguments a list, arg
return function(arguments)
  local made, it = pcall(parser)
  if not made then
    io.stderr:write(it, "\n")
    return 1
  end
  local given = it:parse(arguments)
  given.modules = modules_of(given.modules)
  local ok, done, message = pcall(require("iocp.remote").serve, given)
  if not ok or not done then
    io.stderr:write("iocp-worker: ", tostring(ok and message or done), "\n")
    return 1
  end
  return 0
end
