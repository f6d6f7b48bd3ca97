--- What a pool's worker does in its own Lua state before its first task. Called by the C part with the pool's setup;
-- returns a function that lets failures be known, or nil, init and fini.
require "iocp" -- the methods of what tasks are called with

local function to_stderr(text)
  io.stderr:write(text .. "\n")
  io.stderr:flush() -- on Windows it may be buffered, and the process may end before
end

--- on_error and logger are those of iocp.Pool.
local function reporter(setup)
  local on_error, logger = setup.on_error, setup.logger or to_stderr
  if on_error == "log" then
    return function(message, task, worker)
      local text = ("%s: %s failed in worker %d: %s"):format(setup.name, task, worker, message)
      local ok, trouble = pcall(logger, text)
      if not ok then
        to_stderr(("%s: logger failed: %s; it was to log: %s"):format(setup.name, tostring(trouble), text))
      end
    end
  elseif type(on_error) == "function" then
    return function(message, task, worker)
      local ok, trouble = pcall(on_error, message, { pool = setup.name, task = task, worker = worker })
      if not ok then
        to_stderr(("%s: on_error failed: %s; it was to report: %s"):format(setup.name, tostring(trouble), message))
      end
    end
  end
  return nil
end

--- Also tells the thread that made the pool, by a port: see told.lua.
local function telling_maker(setup, report)
  if not setup.told then
    return report
  end
  return function(message, task, worker)
    setup.told:send(message, task, worker)
    if report then
      report(message, task, worker)
    end
  end
end

return function(setup)
  return telling_maker(setup, reporter(setup)), setup.init, setup.fini
end
