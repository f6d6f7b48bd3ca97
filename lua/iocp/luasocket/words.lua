--- luasocket's words for what failed, and its way of saying that an argument is wrong.
-- @module iocp.luasocket.words
local words = {}

-- What its programs compare with; the rest is what Linux says.
local TEXTS = {
  TIMEOUT = "timeout", ETIMEDOUT = "timeout",
  CLOSED = "closed", EPIPE = "closed", ECONNRESET = "closed", ECONNABORTED = "closed", ECANCELED = "closed",
  INVALID = "closed",
  CANCELLED = "cancelled",
  ECONNREFUSED = "connection refused",
  EADDRINUSE = "address already in use",
  EISCONN = "already connected",
  EACCES = "permission denied",
  EALREADY = "Operation already in progress",
  ENOTCONN = "Transport endpoint is not connected",
  EADDRNOTAVAIL = "Cannot assign requested address",
  EAFNOSUPPORT = "Address family not supported by protocol",
  ENETUNREACH = "Network is unreachable",
  EHOSTUNREACH = "No route to host",
  EINVAL = "Invalid argument",
  EMFILE = "Too many open files",
  ENFILE = "Too many open files in system",
  EMSGSIZE = "Message too long",
  EAI_AGAIN = "temporary failure in name resolution",
  EAI_FAIL = "non-recoverable failure in name resolution",
  EAI_NONAME = "host or service not provided, or not known",
  EAI_SERVICE = "service not supported for socket type",
  NOMEM = "memory allocation failure",
}

--- The text for a code; `message` where luasocket has none of its own.
function words.of(code, message)
  return TEXTS[code] or message
end

--- nil, and the text: what luasocket returns. For nil, message, code.
function words.failure(_, message, code)
  return nil, words.of(code, message)
end

--- Raises as its C functions do. `index` counts what is behind self; 0: self.
function words.refuse(name, index, expected)
  if index == 0 then
    error(("calling '%s' on bad self (%s)"):format(name, expected), 3)
  end
  error(("bad argument #%d to '%s' (%s)"):format(index, name, expected), 3)
end

--- A string; numbers are strings, too.
function words.text(name, index, value)
  if type(value) == "string" then
    return value
  elseif type(value) ~= "number" then
    words.refuse(name, index, "string expected, got " .. (value == nil and "no value" or type(value)))
  end
  return tostring(value)
end

--- A number, as which texts of numbers count; `default` for nil.
function words.number(name, index, value, default)
  if value == nil and default then
    return default
  end
  local number = type(value) == "number" and value or tonumber(value)
  if not number then
    words.refuse(name, index, "number expected, got " .. (value == nil and "no value" or type(value)))
  end
  return number
end

return words
