--- TINN's Functor: a function with its first argument.
-- @module iocp.tinn.Functor

--- A function that calls `func(target, ...)`, or without a target `func(...)`.
return function(func, target)
  if target == nil then
    return func
  end
  return function(...)
    return func(target, ...)
  end
end
