--- The block that this thread's streams receive into, one for all of them: they wait until there is something, take it
-- at once, and keep what is theirs as strings. So an idle connection has no block.
-- @module iocp.scratch
local core, private, scheduler = require "iocp.core", require "iocp.private", require "iocp.scheduler"
local scratch = { SIZE = 65536, LARGEST = 65535 } -- bytes of a receive; of a datagram

local heap = assert(core.Heap())
local block -- nil: there is none at the moment
local HEAD = core.PEER -- bytes before the data, which datagrams need for their peer

--- The block.
function scratch.block()
  block = block or assert(heap:alloc(HEAD + scratch.SIZE))
  return block
end

--- Bytes of a block that nobody frees meanwhile, so that one copy will do.
local text_of = private.text_at
if rawget(_G, "jit") and jit.status() and pcall(require, "ffi") then
  local ffi = require "ffi"
  local cast, string_of, bytes = ffi.cast, ffi.string, ffi.typeof("const char *")
  function text_of(address, n)
    return string_of(cast(bytes, address), n)
  end
end

--- The first n bytes that were received, from `at` on.
function scratch.read(at, n)
  return text_of(block + at, n)
end

function scratch.peer()
  return heap:peer(block)
end

--- An operation that was to end at once goes on with the block: that is the operation's, and the next one has another.
-- ended(bytes, text) is called when it has, with what was received.
function scratch.give_away(ended)
  local given = block
  block = nil
  scheduler.blocks[given] = function(bytes)
    ended(bytes, bytes > 0 and text_of(given, bytes) or "")
    heap:free(given)
  end
  return given
end

--- A block for a datagram that is sent: the peer, then the data; or nil, message, code.
function scratch.outgoing(data, host, port)
  local head = scratch.block() -- nothing is lost if the peer is none, which raises
  local ok, message, code = heap:peer(head, host, port)
  if not ok then
    return nil, message, code
  end
  local address
  address, message, code = heap:alloc(HEAD + #data)
  if not address then
    return nil, message, code
  end
  heap:write(address, text_of(head, HEAD))
  heap:write(address, data, HEAD)
  return address
end

function scratch.free(address)
  heap:free(address)
end

--- Such a block is a pending operation's.
function scratch.when_sent(address, ended)
  scheduler.blocks[address] = function(bytes)
    heap:free(address)
    ended(bytes)
  end
end

return scratch
