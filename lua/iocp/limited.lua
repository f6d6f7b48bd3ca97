--- The methods that post to ports with a capacity: enqueue, enqueue_many, send. src/lua/limited.c calls this once a
-- state, when it meets the first such port.
-- @module iocp.limited
local core, private, options = require "iocp.core", require "iocp.private", require "iocp.options"

return function(methods, parts)
  local post = parts.post
  parts.current = function() end -- the fiber that runs, and
  parts.wait = nil -- how it waits: see iocp.shared_waits

  -- Those of ports that are C's, whatever the scheduler or the compiled methods put in their places.
  local plain = assert(core.IOCompletionPort())
  local enqueue, send = plain.enqueue, plain.send
  plain:close()

  --- In a fiber: a look, and a wait for the next one.
  local function post_in_fiber(method, limit, self, ...)
    while true do
      local ok, message, code = post(0, method, self, ...)
      if ok ~= nil or code ~= "FULL" then
        return options.outcome(ok, message, code)
      end
      local _, text, why = parts.wait(self, limit)
      if why == "FULL" then
        return nil, message, code
      elseif why then
        return nil, text, why
      end
    end
  end

  local function posting(method)
    return function(self, ...)
      if type(self) ~= "userdata" then
        return method(self, ...) -- which says so
      elseif parts.current() then
        local patience = parts.patience(self)
        return post_in_fiber(method, patience and core.clock() + patience, self, ...)
      end
      return post(nil, method, self, ...)
    end
  end

  local function put(name, method)
    private.put(methods, "iocp.methods\0iocp.limited", name, method)
  end

  put("enqueue", posting(enqueue))
  put("send", posting(send))

  --- One after the other, as far as there is room: how many there was room for; nil, message, code: for none.
  put("enqueue_many", function(self, keys, bytes, overlapped)
    if type(keys) ~= "table" then
      return plain.enqueue_many(self, keys) -- which says so
    end
    for i = 1, #keys do
      local ok, message, code = methods.enqueue(self, keys[i], bytes, overlapped)
      if not ok and i == 1 then
        return nil, message, code
      elseif not ok then
        return i - 1
      end
    end
    return #keys
  end)

  private.limited = parts
  if private.limited_opened then
    private.limited_opened()
  end
end
