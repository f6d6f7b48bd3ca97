--- The methods of dictionaries that call a script's functions: no lock is held while they run, and whatever becomes of
-- one leaves nothing locked. The claim to compute a value is a userdata that ends with its collection at the latest.
-- @module iocp.dict
local _, private = require "iocp.core", require "iocp.private" -- which the former brings
local options = require "iocp.options"

--- src/lua/dict.c calls this with the methods of dictionaries, once a state.
return function(dicts, parts)
  local claim, release, hold, swap = parts.claim, parts.release, parts.hold, parts.swap
  local add, get = dicts.add, dicts.get
  parts.wait = claim
  parts.call = pcall
  parts.current = function() end -- the fiber that runs; this and the two above: see iocp.shared_waits

  -- By a dictionary's handle and a key: what computes it in this state, a fiber, or false.
  local computing = {}

  --- Puts a value there, unless somebody has put one there meanwhile: the one that is there now.
  local function put(self, key, value, ms)
    local ok, message, code = add(self, key, value, ms)
    if ok then
      return value
    elseif code ~= "EXISTS" then
      return nil, message, code
    end
    local there = get(self, key)
    if there ~= nil then
      return there
    end
    return put(self, key, value, ms)
  end

  --- With the claim to do it.
  local function compute(self, key, f, ms, right)
    local name = self:handle() .. key
    computing[name] = parts.current() or false
    local ok, value, life = parts.call(f, key)
    computing[name] = nil
    local message, code
    if ok and value ~= nil then
      ok, value, message, code = pcall(put, self, key, value, life or ms) -- which may not cross
    end
    release(right)
    if not ok then
      error(value, 0)
    end
    return options.outcome(value, message, code)
  end

  --- Another one has the claim: as claim, once that has ended.
  local function wait(self, key)
    if computing[self:handle() .. key] == (parts.current() or false) then
      private.raise("get_or_set: what computes this key asks for it itself, and would wait for ever")
    end
    return parts.wait(self, key)
  end

  --- The value; where there is none, what f(key) returns, which is put there: one caller computes, the others wait.
  -- What somebody else puts there meanwhile stays, and is the result.
  -- @param key a string
  -- @param f returns the value, nil for none, and for how many milliseconds, if not `ms`. Its error is this call's; the
  -- next one that waits computes then
  -- @param ms for how long; nil: for good
  -- @return the value; or nil, message, code: CANCELLED, NOMEM; TIMEOUT, of a fiber's `within`
  local function get_or_set(self, key, f, ms)
    options.check("f", f, type(f) == "function", "a function")
    local found, value, code = claim(self, key, 0)
    if found == nil and code == "TIMEOUT" then
      found, value, code = wait(self, key)
    end
    if found == nil then
      return nil, value, code
    elseif found then
      return value
    end
    return compute(self, key, f, ms, value)
  end

  --- Puts what f(value, key) returns in the value's place, and calls it again where another thread was faster.
  -- @param key a string
  -- @param f gets nil where there is none; returns the new one, nil to delete it, and for how many milliseconds, if it
  -- is not to live as long as the old one
  -- @return the new value; or nil, message, code: NOMEM
  local function update(self, key, f)
    options.check("f", f, type(f) == "function", "a function")
    local value, life, done, message, code
    repeat
      local held, old = hold(self, key)
      value, life = f(old, key)
      done, message, code = swap(self, key, held, value, life)
    until done ~= false
    if not done then
      return nil, message, code
    end
    return value
  end

  private.put(dicts, "iocp.methods\0iocp.Dict", "get_or_set", get_or_set)
  private.put(dicts, "iocp.methods\0iocp.Dict", "update", update)
  private.dict = parts
  if private.dict_opened then
    private.dict_opened()
  end
end
