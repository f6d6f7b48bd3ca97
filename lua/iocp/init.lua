--- Real OS threads for Lua scripts, working off one I/O completion port, with messages owned by a private heap. What
-- takes time to load is loaded when it is used: a thread whose body requires this costs little more than its state.
-- @module iocp
local core = require "iocp.core"
local private = require "iocp.private" -- what only the module's own files use; iocp.core brings it

if rawget(_G, "jit") then
  local function load()
    if pcall(require, "ffi") then -- a LuaJIT can be built without
      require "iocp.jit"()
    end
  end
  if core.current() then
    private.load_when_used(load)
  else
    load()
  end
end

-- What the scheduler gives: it is loaded with the first look for one of them, which then stands in core itself.
local scheduled = {}
for name in ("run spawn spawn_after spawn_every fibers fiber port within Condition coroutine pcall"):gmatch "%S+" do
  scheduled[name] = true
end
-- Its parts, which are one in a state, though a script may clear package.loaded meanwhile, as frameworks for tests do.
local parts = {}
local function load_part(load)
  for name, part in pairs(parts) do
    package.loaded[name] = package.loaded[name] or part
  end
  local loaded = load()
  for name, part in pairs(package.loaded) do
    if name:find("^iocp%.") then
      parts[name] = part
    end
  end
  return loaded
end
local function streams(name, load)
  scheduled[name] = function()
    local _ = core.run
    core[name] = load_part(load)
  end
end
streams("connect", function() return require "iocp.connect" end)
streams("listen", function() return require("iocp.server").listen end)
streams("serve", function() return require "iocp.serve" end)
streams("datagram", function() return require "iocp.datagram" end)

-- What threads share: its classes are made with the first look for one of them.
local shared = { Atomic = true, Dict = true, Array = true }

setmetatable(core, {
  __index = function(_, name)
    if name == "Pool" then
      require "iocp.pool"(core, private.open_pool()) -- which sets core.Pool
      if private.pools_opened then
        private.pools_opened()
      end
    elseif scheduled[name] then
      if type(scheduled[name]) == "function" then
        scheduled[name]()
      else
        load_part(function() require("iocp.scheduler").install() end)
      end
    elseif shared[name] then
      for class, value in pairs(private.open_shared()) do
        core[class] = value
      end
    elseif name == "E" then
      core.E = private.io_errors()
    end
    return rawget(core, name)
  end,
})

return core
