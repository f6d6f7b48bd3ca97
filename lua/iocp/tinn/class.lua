--- How TINN's classes are made: `Class(...)` is `Class:create(...)`, and that `Class:init(...)`.
-- @module iocp.tinn.class
return function()
  local class = {}
  class.__index = class

  function class:create(...)
    return self:init(...)
  end

  return setmetatable(class, {
    __call = function(self, ...)
      return self:create(...)
    end,
  })
end
