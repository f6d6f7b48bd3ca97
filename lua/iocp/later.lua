--- What iocp has that is loaded with the first look for it: the pool and all that waits for the scheduler.
-- @module iocp.later

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
  scheduled[name] = function(core, private)
    local _ = core.run
    private.put(core, "iocp", name, load_part(load))
  end
end
streams("connect", function() return require "iocp.connect" end)
streams("listen", function() return require("iocp.server").listen end)
streams("serve", function() return require "iocp.serve" end)
for name, part in pairs { open_file = "open", read_file = "read", write_file = "write" } do
  streams(name, function() return require("iocp.file_stream")[part] end)
end
for _, name in ipairs { "stdin", "stdout", "stderr" } do
  streams(name, function() return require("iocp.file_stream").standard(name) end)
end
streams("datagram", function() return require "iocp.datagram" end)

for name in ("wait_any wait_all as_completed"):gmatch "%S+" do
  streams(name, function() return require("iocp.completed")[name] end)
end

--- core[name], which stands there from then on; nil for any other name.
return function(core, private, name)
  -- Of the pool's methods those that wait by the scheduler.
  private.load_with_scheduler = private.load_with_scheduler or function(part)
    local _ = core.run
    return load_part(function() return require(part) end)
  end
  if name == "Pool" then
    private.pool_parts = private.open_pool()
    require "iocp.pool"(core, private.pool_parts) -- which sets core.Pool
    if private.pools_opened then
      private.pools_opened()
    end
  elseif scheduled[name] then
    if type(scheduled[name]) == "function" then
      scheduled[name](core, private)
    else
      load_part(function() require("iocp.scheduler").install() end)
    end
  elseif name == "E" then
    core.E = private.io_errors()
  end
  return rawget(core, name)
end
